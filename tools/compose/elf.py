# SPDX-License-Identifier: BSD-2-Clause
"""Reads the 64-bit ELF files of servers and kernel, and writes the 32-bit one that boot loaders take."""

import struct
from dataclasses import dataclass

from .abi import PAGE_SIZE_4K

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
PF_X, PF_W = 1, 2
ET_EXEC, EM_386, EM_X86_64 = 2, 3, 62
ELFCLASS32, ELFCLASS64, ELFDATA2LSB = 1, 2, 1

HEADER64 = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM64 = struct.Struct("<IIQQQQQQ")
HEADER32 = struct.Struct("<16sHHIIIIIHHHHHH")
PROGRAM32 = struct.Struct("<IIIIIIII")


class BadElf(Exception):
    """One sentence about a file that cannot be used."""


@dataclass
class Segment:
    """A PT_LOAD: data is its content in the file; memory_size includes what is zero."""
    vaddr: int
    paddr: int
    data: bytes
    memory_size: int
    flags: int

    @property
    def writable(self):
        """Whether it may be written."""
        return bool(self.flags & PF_W)

    @property
    def executable(self):
        """Whether it may be executed."""
        return bool(self.flags & PF_X)


@dataclass
class Elf:
    """An executable: its entry and its PT_LOADs in ascending order of address."""
    entry: int
    segments: list


def read(data):
    """Parses a static 64-bit executable; raises BadElf."""
    if len(data) < HEADER64.size or data[:4] != b"\x7fELF":
        raise BadElf("is no ELF file")
    (ident, kind, machine, _, entry, offset, _, _, _, entry_size, count, *_) = \
        HEADER64.unpack_from(data)
    if ident[4] != ELFCLASS64 or ident[5] != ELFDATA2LSB or machine != EM_X86_64:
        raise BadElf("is no 64-bit x86 ELF file")
    if kind != ET_EXEC:
        raise BadElf("is not linked at fixed addresses (link it with -static -no-pie)")
    if entry_size != PROGRAM64.size or offset + count * entry_size > len(data):
        raise BadElf("is cut off: its program headers lie outside the file")
    segments = []
    for index in range(count):
        kind, flags, start, vaddr, paddr, size, memory_size, _ = \
            PROGRAM64.unpack_from(data, offset + index * entry_size)
        if kind in (PT_INTERP, PT_DYNAMIC):
            raise BadElf("is dynamically linked (link it with -static)")
        if kind != PT_LOAD or memory_size == 0:
            continue
        if start + size > len(data) or size > memory_size:
            raise BadElf("is cut off: a segment lies outside the file")
        segments.append(Segment(vaddr, paddr, data[start:start + size], memory_size, flags))
    if not segments:
        raise BadElf("has no segment to load")
    segments.sort(key=lambda segment: segment.vaddr)
    return Elf(entry, segments)


def page_range(segment):
    """(first byte, end) of the whole pages a segment occupies."""
    first = segment.vaddr & ~(PAGE_SIZE_4K - 1)
    end = (segment.vaddr + segment.memory_size + PAGE_SIZE_4K - 1) & ~(PAGE_SIZE_4K - 1)
    return first, end


def check_server(elf, end):
    """What root-task demands of an ELF it loads: below `end`, W^X, no page in two segments."""
    last_end = PAGE_SIZE_4K
    for segment in elf.segments:
        first, segment_end = page_range(segment)
        if first < last_end:
            raise BadElf(f"has overlapping memory: two segments share the page at {first:#x}, or one is in page 0")
        if segment_end > end:
            raise BadElf(f"occupies {first:#x}..{segment_end:#x}, overlapping memory from {end:#x} "
                         "on, which is not the program's own")
        if segment.writable and segment.executable:
            raise BadElf(f"has a segment at {segment.vaddr:#x} that is writable and executable")
        last_end = segment_end
    if not any(segment.executable and segment.vaddr <= elf.entry < segment.vaddr +
               segment.memory_size for segment in elf.segments):
        raise BadElf(f"has its entry {elf.entry:#x} outside its code")


def physical_entry(elf):
    """The kernel's entry as a physical address, whether e_entry holds that or the linked address."""
    for segment in elf.segments:
        if segment.vaddr <= elf.entry < segment.vaddr + segment.memory_size:
            return elf.entry - segment.vaddr + segment.paddr
    for segment in elf.segments:
        if segment.paddr <= elf.entry < segment.paddr + segment.memory_size:
            return elf.entry
    raise BadElf(f"has its entry {elf.entry:#x} outside its segments")


def write32(entry, segments):
    """A 32-bit ELF file of segments at their physical addresses; the first one starts at offset 4096."""
    offset = PAGE_SIZE_4K
    headers, body = [], []
    for segment in segments:
        padding = (segment.paddr - offset) % PAGE_SIZE_4K
        offset += padding
        headers.append(PROGRAM32.pack(PT_LOAD, offset, segment.paddr, segment.paddr,
                                      len(segment.data), segment.memory_size, segment.flags,
                                      PAGE_SIZE_4K))
        body += [bytes(padding), segment.data]
        offset += len(segment.data)
    ident = b"\x7fELF" + bytes([ELFCLASS32, ELFDATA2LSB, 1]) + bytes(9)
    header = HEADER32.pack(ident, ET_EXEC, EM_386, 1, entry, HEADER32.size, 0, 0, HEADER32.size,
                           PROGRAM32.size, len(headers), 0, 0, 0)
    start = header + b"".join(headers)
    return b"".join([start, bytes(PAGE_SIZE_4K - len(start))] + body)
