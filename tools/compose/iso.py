# SPDX-License-Identifier: BSD-2-Clause
"""Puts an image on a GRUB medium that boots from CD and from USB, by BIOS and by UEFI. Equal images give equal media."""

import os
import shutil
import subprocess
import tempfile

from .errors import DescriptionError

GRUB = "/usr/lib/grub"
GRUB_CFG = """\
set timeout=0
set default=0
menuentry "Cairn: {name}" {{
{commands}	multiboot2 /boot/cairn.elf {append}
	boot
}}
"""
# UEFI starts GRUB from a file system of its own on the medium.
FIND_MEDIUM = "search --file --set=root /boot/cairn.elf\nset prefix=($root)/boot/grub\n"
MODULES = ("iso9660", "part_msdos", "normal", "multiboot2")
FAT_KIB = 2880
# The time of all files, and what identifies the medium; grub-mkrescue would take the time of day.
MEDIUM_TIME, MEDIUM_DATE = "1577836800", "2020010100000000"


def _run(command, output):
    """One tool; raises DescriptionError with what it said last."""
    if not shutil.which(command[0]):
        raise DescriptionError([(output, 0, f"{command[0]} is not installed; run tools/install-deps.sh")])
    # xorriso asks the locale for capital letters.
    environment = dict(os.environ, SOURCE_DATE_EPOCH=MEDIUM_TIME, TZ="UTC", LC_ALL="C")
    done = subprocess.run(command, text=True, check=False, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        last = (done.stdout.strip().splitlines() or ["no message"])[-1]
        raise DescriptionError([(output, 0, f"{command[0]} failed: {last}")])


def _grub(platform, path, output, *modules, config=None):
    """GRUB's core for a platform."""
    directory = os.path.join(GRUB, platform.removesuffix("-eltorito"))
    if not os.path.isdir(directory):
        raise DescriptionError([(output, 0, f"GRUB's modules in {directory} are missing; run tools/install-deps.sh")])
    _run(["grub-mkimage", "-O", platform, "-d", directory, "-p", "/boot/grub", "-o", path,
          *(["-c", config] if config else []), *MODULES, *modules], output)


def _uefi(stage, scratch, output, modules):
    """The file system that UEFI looks into."""
    config, loader, fat = (os.path.join(scratch, name) for name in ("uefi.cfg", "bootx64.efi", "efi.img"))
    with open(config, "w", encoding="utf-8") as file:
        file.write(FIND_MEDIUM)
    _grub("x86_64-efi", loader, output, "search", "part_gpt", *modules, config=config)
    _run(["mformat", "-C", "-i", fat, "-f", str(FAT_KIB), "-N", "0", "::"], output)
    _run(["mmd", "-i", fat, "::/EFI", "::/EFI/BOOT"], output)
    _run(["mcopy", "-i", fat, loader, "::/EFI/BOOT/BOOTX64.EFI"], output)
    shutil.copyfile(fat, os.path.join(stage, "boot", "grub", "efi.img"))


def make_iso(image, output, name, append="", commands=(), modules=()):
    """commands: GRUB's, carried out before it loads the image, and the modules that they need. Raises DescriptionError with what a tool said last."""
    with tempfile.TemporaryDirectory() as scratch:
        stage = os.path.join(scratch, "medium")
        os.makedirs(os.path.join(stage, "boot", "grub"))
        shutil.copyfile(image, os.path.join(stage, "boot", "cairn.elf"))
        with open(os.path.join(stage, "boot", "grub", "grub.cfg"), "w", encoding="utf-8") as file:
            file.write(GRUB_CFG.format(name=name, append=append, commands="".join(f"\t{line}\n" for line in commands)))
        _grub("i386-pc-eltorito", os.path.join(stage, "boot", "grub", "bios.img"), output, "biosdisk", *modules)
        _uefi(stage, scratch, output, modules)
        partial = f"{output}.{os.getpid()}.partial"
        _run(["xorriso", "-as", "mkisofs", "-quiet", "-r", "-V", "CAIRN", "--set_all_file_dates", MEDIUM_DATE,
              "--sort-weight", "1", "/boot/grub", "-b", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4",
              "-boot-info-table", "--grub2-boot-info", "--grub2-mbr", os.path.join(GRUB, "i386-pc", "boot_hybrid.img"),
              "--efi-boot", "boot/grub/efi.img", "-efi-boot-part", "--efi-boot-image", "--protective-msdos-label",
              "-o", partial, stage], output)
        os.replace(partial, output)
