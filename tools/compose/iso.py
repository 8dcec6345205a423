# SPDX-License-Identifier: BSD-2-Clause
"""Puts an image on a GRUB medium that boots from CD and from USB stick, by BIOS and by UEFI."""

import os
import shutil
import subprocess
import tempfile

from .errors import DescriptionError

GRUB_CFG = """\
set timeout=0
set default=0
menuentry "Cairn: {name}" {{
{commands}	multiboot2 /boot/cairn.elf {append}
	boot
}}
"""


def make_iso(image, output, name, append="", commands=()):
    """Runs grub-mkrescue; commands: GRUB's, carried out before it loads the image; raises DescriptionError with what it said last."""
    if not shutil.which("grub-mkrescue"):
        raise DescriptionError([(output, 0, "grub-mkrescue is not installed; run "
                                 "tools/install-deps.sh")])
    with tempfile.TemporaryDirectory() as stage:
        os.makedirs(os.path.join(stage, "boot", "grub"))
        shutil.copyfile(image, os.path.join(stage, "boot", "cairn.elf"))
        with open(os.path.join(stage, "boot", "grub", "grub.cfg"), "w", encoding="utf-8") as file:
            file.write(GRUB_CFG.format(name=name, append=append, commands="".join(f"\t{line}\n" for line in commands)))
        partial = f"{output}.{os.getpid()}.partial"
        done = subprocess.run(["grub-mkrescue", "-o", partial, stage], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            last = (done.stdout.strip().splitlines() or ["no message"])[-1]
            raise DescriptionError([(output, 0, f"grub-mkrescue failed: {last}")])
        os.replace(partial, output)
