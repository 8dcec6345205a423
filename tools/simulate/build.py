# SPDX-License-Identifier: BSD-2-Clause
"""Builds on demand: packages, the tree, guests, images. A second call finds everything done."""

import os
import pathlib
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass

from .errors import SimulateError
from .paths import BUILD, COMPOSER, INSTALL, ROOT, SYSTEMS

PYTHON = "/usr/bin/python3"


def _run(command: list[str], what: str) -> None:
    """Runs a tool; its output is shown only when it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise SimulateError(f"{what} failed: see above")


def install() -> None:
    """Installs the packages that are missing (silent and quick when none is)."""
    if subprocess.run([str(INSTALL)], cwd=ROOT, check=False).returncode != 0:
        raise SimulateError("some packages are missing and could not be installed: see above")


def directory(preset: str) -> pathlib.Path:
    return BUILD / preset


def configure(preset: str) -> pathlib.Path:
    """Makes sure that there is a build directory."""
    where = directory(preset)
    if not (where / "build.ninja").is_file():
        if not shutil.which("cmake") or not shutil.which("ninja"):
            raise SimulateError("cmake and ninja are needed: run tools/install-deps.sh")
        print(f"configuring build/{preset} …", file=sys.stderr)
        _run(["cmake", "--preset", preset], f"configuring build/{preset}")
    return where


def ninja(preset: str, *targets: str) -> pathlib.Path:
    """Builds targets, with ninja's own progress line when there is something to do and a terminal to show it on."""
    where = configure(preset)
    command = ["ninja", "-C", str(where), *targets]
    if sys.stderr.isatty():
        # Ninja rewrites one line on a terminal, and says "no work to do" in a line of its own: not wanted.
        dry = subprocess.run([*command, "-n", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False)
        if dry.returncode == 0 and not dry.stdout.strip():
            return where
    _run([*command], f"building {' '.join(targets) or 'everything'} in build/{preset}")
    return where


def guest_linux(preset: str) -> tuple[pathlib.Path, pathlib.Path]:
    """Debian's kernel and our initramfs."""
    where = ninja(preset, "guest-linux/vmlinuz", "guest-linux/initrd.img")
    return where / "guest-linux" / "vmlinuz", where / "guest-linux" / "initrd.img"


def description(name: str) -> pathlib.Path:
    """The file of a system: a path, or a name in systems/."""
    path = pathlib.Path(name)
    if path.suffix == ".toml" or os.sep in name:
        if not path.is_file():
            raise SimulateError(f"{name}: no such file")
        return path.resolve()
    path = SYSTEMS / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in SYSTEMS.glob("*.toml")))
        raise SimulateError(f"there is no system `{name}` in systems/; there are: {known}")
    return path



@dataclass(frozen=True)
class Image:
    """A composed system: the file QEMU boots, and what its description says about machine and VMs."""

    path: pathlib.Path
    name: str
    memory: int  # MiB
    cpus: int
    vms: tuple[str, ...]


def image(name: str, preset: str, overrides: tuple[str, ...] = (), variant: str = "") -> Image:
    """The bootable image of a system: checked first, then built and composed as far as that is needed.

    overrides: KEY=VALUE as the composer's --set takes them; variant: marks the image made with them.
    """
    source = description(name)
    where = configure(preset)
    output = where / "images" / f"{source.stem}{variant}.elf"
    compose = [PYTHON, str(COMPOSER), str(source), "--build", str(where), "--quiet", "--output", str(output)]
    for override in overrides:
        compose += ["--set", override]
    # Mistakes first, before anything is built.
    _run([*compose, "--check"], f"{source.name} has mistakes: checking it")
    ninja(preset, "products")
    _run(compose, f"composing {source.name}")
    return _read(source, overrides, output)


def _mebibytes(text: str) -> int:
    number, unit = text.split()
    return int(number) * {"KiB": 1, "MiB": 1024, "GiB": 1024 * 1024}[unit] // 1024


def _read(source: pathlib.Path, overrides: tuple[str, ...], output: pathlib.Path) -> Image:
    """What the emulator must be told; the composer has checked the description."""
    data = tomllib.loads(source.read_text())
    system = dict(data["system"])
    for override in overrides:
        key, _, value = override.partition("=")
        if key in ("system.memory", "system.cpus"):
            system[key.removeprefix("system.")] = value
    return Image(
        output, source.stem, _mebibytes(system.get("memory", "1 GiB")), int(system.get("cpus", 1)),
        tuple(vm["name"] for vm in data.get("vm", [])),
    )
