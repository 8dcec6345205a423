# SPDX-License-Identifier: BSD-2-Clause
"""A machine's RAM, saved while it stands still, read as the kernel does: slots[], page bytes, and every paging structure."""

import pathlib
import struct
from dataclasses import dataclass
from typing import Iterator

from simulate.console import Unexpected
from simulate.machine import Machine

PAGE = 4096
LARGE = 512 * PAGE
KERNEL_BASE = 0xFFFFFFFF80000000
PTE_P, PTE_PS, PTE_NX = 1 << 0, 1 << 7, 1 << 63
ADDRESS = 0x000FFFFFFFFFF000
POISON_TAG = 3 << 9  # arch/x86_64/paging.c
PAGE_POISONED = 0x80  # hal/hal.h
CAP_FRAME, CAP_PAGETABLE = 3, 4  # abi/cairn/types.h
PT_HOST = 0
SLOTS_PER_PAGE = 32
# struct slot (core/slot.h) up to `label`.
_SLOT = struct.Struct("<QIIIHBB6xxBB3xB3xQQQQQIIII")


def symbols(kernel: pathlib.Path) -> dict[str, int]:
    """The symbols of a 64-bit ELF file, local ones too."""
    data = kernel.read_bytes()
    offset, = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)]
    found: dict[str, int] = {}
    for _, kind, _, _, start, length, link, *_ in sections:
        if kind != 2:  # SHT_SYMTAB
            continue
        strings = sections[link][4]
        for at in range(start, start + length, 24):
            name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", data, at)
            end = data.index(b"\0", strings + name)
            found[data[strings + name:end].decode()] = value
    return found


@dataclass(frozen=True)
class Slot:
    """A live capability."""

    number: int
    type: int
    original: bool
    kind: int  # PageTable: enum cairn_pt_kind
    level: int
    base: int
    size: int
    id: int
    map_id: int
    map_pt: int
    map_index: int
    deposit: int
    label: int


@dataclass(frozen=True)
class Leaf:
    """A translation that is present."""

    va: int
    pa: int
    size: int


class Memory:
    """What `pmemsave` wrote, with the symbols of the kernel that ran."""

    def __init__(self, ram: bytes, symbol: dict[str, int]) -> None:
        self.ram = ram
        self.symbol = symbol
        self.root = symbol["pml4"] - KERNEL_BASE

    def words(self, page: int) -> tuple[int, ...]:
        """The 512 entries of a paging structure."""
        if page + PAGE > len(self.ram):
            raise Unexpected(f"a paging structure at {page:#x} lies outside the RAM")
        return struct.unpack_from("<512Q", self.ram, page)

    def physical(self, va: int) -> int | None:
        """The kernel's own translation."""
        table = self.root
        for level in (4, 3, 2, 1):
            entry = self.words(table)[va >> (3 + 9 * level) & 511]
            if not entry & PTE_P:
                return None
            if level == 1 or entry & PTE_PS:
                size = 1 << (3 + 9 * level)
                return (entry & ADDRESS & ~(size - 1)) | (va & (size - 1))
            table = entry & ADDRESS
        return None

    def read(self, va: int, size: int) -> bytes:
        out = b""
        while size:
            at = self.physical(va)
            if at is None:
                raise Unexpected(f"the kernel has no translation of {va:#x}")
            part = min(size, PAGE - va % PAGE)
            out += self.ram[at:at + part]
            va, size = va + part, size - part
        return out

    def word(self, name: str) -> int:
        """The 8 bytes at a symbol."""
        return struct.unpack("<Q", self.read(self.symbol[name], 8))[0]

    def poisoned(self) -> set[int]:
        """The pages that the kernel's page bytes call poisoned."""
        count = self.word("ram_top") // PAGE
        return {i * PAGE for i, byte in enumerate(self.read(self.word("page_bytes"), count)) if byte & PAGE_POISONED}

    def slots(self) -> dict[int, Slot]:
        backed = self.read(self.symbol["slot_page_backed"], 262144 // SLOTS_PER_PAGE)
        found = {}
        for page, is_backed in enumerate(backed):
            if not is_backed:
                continue
            data = self.read(self.symbol["slots"] + page * PAGE, PAGE)
            for n in range(SLOTS_PER_PAGE):
                live, _, _, _, _, kind, original, pt_kind, level, _, base, size, _, id_, map_id, map_pt, map_index, deposit, label = (
                    _SLOT.unpack_from(data, n * 128)
                )
                number = page * SLOTS_PER_PAGE + n
                if live:
                    found[number] = Slot(
                        number, kind, bool(original), pt_kind, level, base, size, id_, map_id, map_pt, map_index, deposit, label,
                    )
        return found

    def leaves(self, table: int, level: int, entries: range, va: int = 0) -> Iterator[Leaf]:
        """Every present translation below a paging structure."""
        words = self.words(table)
        for i in entries:
            entry, at = words[i], va + (i << (3 + 9 * level))
            if not entry & PTE_P:
                continue
            if level == 1 or entry & PTE_PS:
                yield Leaf(at, entry & ADDRESS, 1 << (3 + 9 * level))
            else:
                yield from self.leaves(entry & ADDRESS, level - 1, range(512), at)

    def tags(self, table: int, level: int, entries: range) -> int:
        """How many pages below a paging structure have the poison tag."""
        count = 0
        words = self.words(table)
        for i in entries:
            if words[i] == POISON_TAG:
                count += 1
            elif level > 1 and words[i] & PTE_P and not words[i] & PTE_PS:
                count += self.tags(words[i] & ADDRESS, level - 1, range(512))
        return count


def save(machine: Machine, kernel: pathlib.Path) -> Memory:
    """The RAM of a machine that was stopped."""
    file = (machine.directory / "ram").resolve()
    try:
        machine.qmp.command("pmemsave", val=0, size=machine.settings.memory << 20, filename=str(file))
        return Memory(file.read_bytes(), symbols(kernel))
    finally:
        file.unlink(missing_ok=True)


def user_entries(slot: Slot) -> range:
    """What user level can fill of a structure: the upper half of a host root is the kernel's."""
    return range(256) if slot.kind == PT_HOST and slot.level == 4 else range(512)


def lost(leaf: Leaf, poisoned: set[int]) -> int | None:
    """A poisoned page that a translation leads to."""
    if leaf.size > LARGE:
        raise Unexpected(f"{leaf.va:#x} is translated by a page of {leaf.size:#x} bytes")
    for page in range(leaf.pa & ~(leaf.size - 1), (leaf.pa & ~(leaf.size - 1)) + leaf.size, PAGE):
        if page in poisoned:
            return page
    return None


def mistakes(memory: Memory, slots: dict[int, Slot], poisoned: set[int]) -> list[str]:
    """Every translation of a poisoned page: in any paging structure that a capability names, and in the kernel's tables."""
    wrong = []
    for slot in slots.values():
        if slot.type != CAP_PAGETABLE or not slot.original:
            continue
        if slot.base in poisoned:
            continue  # nobody walks it: checked by who links to it
        words = memory.words(slot.base)
        for i in user_entries(slot):
            entry = words[i]
            if not entry & PTE_P:
                continue
            is_page = slot.level == 1 or entry & PTE_PS
            size = 1 << (3 + 9 * slot.level) if is_page else PAGE
            page = lost(Leaf(i, entry & ADDRESS, size), poisoned)
            if page is not None:
                what = "translates to" if is_page else "names a structure on"
                wrong.append(f"slot {slot.number} (kind {slot.kind}, level {slot.level}) entry {i} {what} {page:#x}")
    for leaf in memory.leaves(memory.root, 4, range(256, 512)):
        page = lost(leaf, poisoned)
        if page is not None:
            wrong.append(f"the kernel's {(leaf.va | 0xFFFF << 48):#x} translates to {page:#x}")
    return wrong
