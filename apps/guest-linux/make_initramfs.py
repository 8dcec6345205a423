#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the guest's initramfs: a newc cpio archive, gzip'd, the same bytes for the same input whoever builds it."""

import argparse
import gzip
import os
import pathlib
import stat
import subprocess
import sys

# Linux, Documentation/driver-api/early-userspace/buffer-format.rst
NEWC_MAGIC = "070701"
TRAILER = "TRAILER!!!"


def pad4(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def newc_entry(name: str, mode: int, content: bytes = b"", inode: int = 0, device: tuple[int, int] = (0, 0)) -> bytes:
    """One archive member: header, name and content, each padded to 4 bytes. Owner root, time 0."""
    path = name.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, device[0], device[1], len(path), 0)
    header = NEWC_MAGIC + "".join(f"{field:08x}" for field in fields)
    return pad4(header.encode() + path) + pad4(content)


class Archive:
    """Members by name; written sorted, so that a directory precedes what is in it."""

    def __init__(self) -> None:
        self.members: dict[str, tuple[int, bytes, tuple[int, int]]] = {}

    def directory(self, name: str) -> None:
        self.members[name] = (stat.S_IFDIR | 0o755, b"", (0, 0))

    def file(self, name: str, content: bytes, mode: int = 0o755) -> None:
        self.members[name] = (stat.S_IFREG | mode, content, (0, 0))

    def link(self, name: str, target: str) -> None:
        self.members[name] = (stat.S_IFLNK | 0o777, target.encode(), (0, 0))

    def character_device(self, name: str, major: int, minor: int) -> None:
        self.members[name] = (stat.S_IFCHR | 0o600, b"", (major, minor))

    def data(self) -> bytes:
        parts = []
        for inode, name in enumerate(sorted(self.members), start=1):
            mode, content, device = self.members[name]
            parts.append(newc_entry(name, mode, content, inode, device))
        parts.append(newc_entry(TRAILER, 0))
        joined = b"".join(parts)
        return joined + bytes(-len(joined) % 512)


def applets(busybox: pathlib.Path) -> list[str]:
    """The commands this busybox knows, asked from itself."""
    output = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout
    return [name for name in output.split() if name != "busybox"]


def is_static(program: pathlib.Path) -> bool:
    """Whether an ELF file has no PT_INTERP program header, so that it runs without libraries."""
    data = program.read_bytes()
    if data[:4] != b"\x7fELF" or data[4] != 2:
        return False
    offset = int.from_bytes(data[32:40], "little")
    size = int.from_bytes(data[54:56], "little")
    count = int.from_bytes(data[56:58], "little")
    return all(data[offset + i * size : offset + i * size + 4] != b"\x03\0\0\0" for i in range(count))


def build(busybox: pathlib.Path, init: pathlib.Path, programs: list[pathlib.Path]) -> bytes:
    archive = Archive()
    for name in ("bin", "dev", "proc", "sys", "tmp"):
        archive.directory(name)
    # The kernel opens /dev/console for init before anything is mounted.
    archive.character_device("dev/console", 5, 1)
    archive.file("bin/busybox", busybox.read_bytes())
    for name in applets(busybox):
        archive.link(f"bin/{name}", "busybox")
    archive.file("init", init.read_bytes())
    for program in programs:
        archive.file(f"bin/{program.name}", program.read_bytes())
    return archive.data()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busybox", type=pathlib.Path, default=pathlib.Path("/bin/busybox"))
    parser.add_argument("--init", type=pathlib.Path, required=True, help="the first process")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("programs", nargs="*", type=pathlib.Path, help="go to /bin")
    args = parser.parse_args()
    for program in [args.busybox, *args.programs]:
        if not program.is_file():
            sys.exit(f"{program}: no such file" + (": install busybox-static" if program is args.busybox else ""))
        if not is_static(program):
            sys.exit(f"{program}: is not a static 64-bit ELF program, so it would not run in the initramfs")
    data = gzip.compress(build(args.busybox, args.init, args.programs), compresslevel=9, mtime=0)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    scratch = args.output.with_name(args.output.name + ".new")
    scratch.write_bytes(data)
    os.replace(scratch, args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
