# SPDX-License-Identifier: BSD-2-Clause
"""Builds on demand: packages, the tree, guests, images. A second call finds everything done."""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from typing import Iterator

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


@contextlib.contextmanager
def _alone(preset: str) -> Iterator[None]:
    """One build at a time in a build directory: ninja and the composer do not expect company."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / f"{preset}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def configure(preset: str) -> pathlib.Path:
    """Makes sure that there is a build directory."""
    where = directory(preset)
    if not (where / "build.ninja").is_file():
        if not shutil.which("cmake") or not shutil.which("ninja"):
            raise SimulateError("cmake and ninja are needed: run tools/install-deps.sh")
        print(f"configuring build/{preset} …", file=sys.stderr)
        _run(["cmake", "--preset", preset], f"configuring build/{preset}")
    return where


# Ninja's progress: [done/total] what. The first of [0/2] only looks for new files, each time.
_PROGRESS = re.compile(r"\[(\d+)/(\d+)\] (.*)")
_NO_PROGRESS = "Re-checking globbed directories"


def ninja(preset: str, *targets: str) -> pathlib.Path:
    """Builds targets. On a terminal one line shows progress; what ninja said is shown when it fails."""
    where = configure(preset)
    said = []
    shown = False
    with subprocess.Popen(
        ["ninja", "-C", str(where), *targets], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            said.append(line)
            match = _PROGRESS.match(line)
            if match and _NO_PROGRESS not in line and sys.stderr.isatty():
                shown = True
                sys.stderr.write(f"\r\x1b[Kbuilding {match[1]}/{match[2]}: {match[3][:60]}")
                sys.stderr.flush()
    if shown:
        sys.stderr.write("\r\x1b[K")
    if process.returncode != 0:
        sys.stderr.write("".join(said))
        raise SimulateError(f"building in build/{preset} failed: see above")
    return where


def guest_linux(preset: str) -> tuple[pathlib.Path, pathlib.Path]:
    """Debian's kernel and our initramfs."""
    with _alone(preset):
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

    path: pathlib.Path  # an ELF file, or a CD
    name: str
    memory: int  # MiB
    cpus: int
    vms: tuple[str, ...]


def image(name: str, preset: str, overrides: tuple[str, ...] = (), variant: str = "", emulator: str = "qemu") -> Image:
    """The bootable image of a system: checked first, then built and composed as far as that is needed.

    overrides: KEY=VALUE as the composer's --set takes them; variant: marks the image made with them; emulator: Bochs boots a CD.
    """
    source = description(name)
    with _alone(preset):
        return _image(source, preset, overrides, variant, emulator == "bochs")


def mistakes(name: str, preset: str, overrides: tuple[str, ...] = ()) -> str:
    """What the composer has to say against a description before anything is built; "" if nothing."""
    source = description(name)
    with _alone(preset):
        command = [*_composer(source, configure(preset), overrides), "--check"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stderr or done.stdout or "the composer failed") if done.returncode != 0 else ""


def _composer(source: pathlib.Path, where: pathlib.Path, overrides: tuple[str, ...]) -> list[str]:
    command = [PYTHON, str(COMPOSER), str(source), "--build", str(where), "--quiet"]
    for override in overrides:
        command += ["--set", override]
    return command


def _image(source: pathlib.Path, preset: str, overrides: tuple[str, ...], variant: str, medium: bool) -> Image:
    where = configure(preset)
    output = where / "images" / f"{source.stem}{variant}.elf"
    compose = [*_composer(source, where, overrides), "--output", str(output)]
    if medium:
        compose += ["--iso", str(output.with_suffix(".iso"))]
    # Mistakes first, before anything is built.
    _run([*compose, "--check"], f"{source.name} has mistakes: checking it")
    ninja(preset, "products")
    _run(compose, f"composing {source.name}")
    return _read(source, overrides, output.with_suffix(".iso") if medium else output)


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
