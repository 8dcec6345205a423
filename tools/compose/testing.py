# SPDX-License-Identifier: BSD-2-Clause
"""For the tests: small ELF files, and a build directory with everything a description can name."""

import os
import struct

from . import elf

MULTIBOOT_HEADER = struct.pack("<III", 0x1BADB002, 3, (-(0x1BADB002 + 3)) & 0xFFFFFFFF)
READ, WRITE, EXEC = 4, elf.PF_W, elf.PF_X


def elf64(entry, segments, kind=elf.ET_EXEC, machine=elf.EM_X86_64, interpreter=False):
    """A 64-bit ELF file; segments: (vaddr, paddr, data, memory size, flags)."""
    headers = [(elf.PT_LOAD, *segment) for segment in segments]
    if interpreter:
        headers.append((elf.PT_INTERP, 0, 0, b"/lib/ld.so\0", 11, READ))
    offset = elf.HEADER64.size + elf.PROGRAM64.size * len(headers)
    table, body = b"", b""
    for type_, vaddr, paddr, data, memory_size, flags in headers:
        table += elf.PROGRAM64.pack(type_, flags, offset + len(body), vaddr, paddr, len(data),
                                    memory_size, 1)
        body += data
    ident = b"\x7fELF" + bytes([elf.ELFCLASS64, elf.ELFDATA2LSB, 1]) + bytes(9)
    return elf.HEADER64.pack(ident, kind, machine, 1, entry, elf.HEADER64.size, 0, 0,
                             elf.HEADER64.size, elf.PROGRAM64.size, len(headers), 0, 0,
                             0) + table + body


def server_elf(text=b"\x90" * 100):
    """A server with code, data and bss."""
    return elf64(0x401000, [(0x401000, 0x401000, text, len(text), READ | EXEC),
                            (0x402010, 0x402010, b"data", 0x2000, READ | WRITE)])


def kernel_elf(header=MULTIBOOT_HEADER, size=0x20000):
    """A kernel in the top 2 GiB, at physical 1 MiB."""
    base = 0xFFFFFFFF80100000
    return elf64(base + 16, [(base, 0x100000, header + bytes(100), size, READ | WRITE | EXEC)])


def bzimage(size=5000):
    """Something with the magic of a Linux kernel."""
    return bytes(0x202) + b"HdrS" + bytes(size - 0x206)


def make_build(directory):
    """Fills a build directory; returns its path."""
    files = {"kernel/kernel.elf": kernel_elf(), "guest-linux/vmlinuz": bzimage(),
             "guest-linux/initrd.img": b"initrd" * 1000, "guests/nano.elf": server_elf(b"nano")}
    for name in ("root-task", "console", "mca-server", "vmm-server", "tests"):
        files[f"servers/{name}.elf"] = server_elf(name.encode() * 10)
    for name, data in files.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    with open(os.path.join(directory, "products.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(files) + "\n")
    return directory
