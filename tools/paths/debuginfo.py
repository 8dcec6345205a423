# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel's ELF file says of itself: symbols, types and variables (DWARF)."""

import bisect
import pathlib
from dataclasses import dataclass, field
from typing import Iterator

from elftools.elf.elffile import ELFFile

from .errors import PathsError


@dataclass
class Type:
    """kind: struct (unions too), array, pointer, or scalar (all else). count: of an array."""

    kind: str
    name: str = ""
    size: int = 0
    count: int = 0
    target: "Type | None" = None
    members: list[tuple[int, str, "Type"]] = field(default_factory=list)


@dataclass(frozen=True)
class Symbol:
    """A name of the ELF file's symbol table. writable: its section is."""

    name: str
    address: int
    size: int
    writable: bool


def leaves(kind: Type, first: int, end: int, prefix: str = "", at: int = 0) -> Iterator[tuple[str, int, int]]:
    """(name, offset, size) of every field that bytes [first, end) of a type touch. An array's elements share a name."""
    if at >= end or at + kind.size <= first:
        return
    if kind.kind == "struct" and kind.members:
        for offset, name, member in kind.members:
            inner = prefix if not name else f"{prefix}.{name}" if prefix else name
            yield from leaves(member, first, end, inner, at + offset)
    elif kind.kind == "array" and kind.target and kind.target.size and kind.target.kind in ("struct", "array"):
        size = kind.target.size
        for index in range(max(0, (first - at) // size), min(kind.count, (end - at + size - 1) // size)):
            yield from leaves(kind.target, first, end, f"{prefix}[]", at + index * size)
    else:
        yield prefix + ("[]" if kind.kind == "array" else ""), at, kind.size


class DebugInfo:
    """Of one ELF file."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.symbols: list[Symbol] = []
        self.structs: dict[str, Type] = {}
        self._enumerators: dict[str, dict[int, str]] = {}
        self._sections: list[tuple[int, int, str, bool]] = []
        self._variables: dict[str, Type] = {}
        self._at: dict[int, Type] = {}
        self._types: dict[int, Type] = {}
        with open(path, "rb") as file:
            elf = ELFFile(file)
            if not elf.has_dwarf_info():
                raise PathsError(f"{path} has no debugging information: it must be built with -g")
            self._read_symbols(elf)
            for unit in elf.get_dwarf_info().iter_CUs():
                self._read_unit(unit)
        self._by_name = {symbol.name: symbol for symbol in self.symbols}
        self._objects = sorted((symbol for symbol in self.symbols if symbol.size), key=lambda symbol: symbol.address)
        self._addresses = [symbol.address for symbol in self._objects]

    def _read_symbols(self, elf: ELFFile) -> None:
        for section in elf.iter_sections():
            if section["sh_flags"] & 2:  # SHF_ALLOC
                first = section["sh_addr"]
                self._sections.append((first, first + section["sh_size"], section.name, bool(section["sh_flags"] & 1)))
        for entry in elf.get_section_by_name(".symtab").iter_symbols():
            section = entry["st_shndx"]
            writable = not isinstance(section, int) or bool(elf.get_section(section)["sh_flags"] & 1)  # SHF_WRITE
            if entry.name and section != "SHN_UNDEF":
                self.symbols.append(Symbol(entry.name, entry["st_value"], entry["st_size"], writable))

    # DWARF

    def _read_unit(self, unit) -> None:
        for die in unit.iter_DIEs():
            if die.tag == "DW_TAG_structure_type" and "DW_AT_name" in die.attributes and "DW_AT_byte_size" in die.attributes:
                self.structs.setdefault(_name(die), self._type(die))
            elif die.tag == "DW_TAG_enumeration_type":
                self._enumerators.setdefault(_name(die), {
                    _number(child, "DW_AT_const_value"): _name(child) for child in die.iter_children()})
            elif die.tag == "DW_TAG_variable":
                self._read_variable(die)

    def _read_variable(self, die) -> None:
        location = die.attributes.get("DW_AT_location")
        if "DW_AT_specification" in die.attributes:
            die = die.get_DIE_from_attribute("DW_AT_specification")
        if "DW_AT_type" not in die.attributes:
            return
        kind = self._type(die.get_DIE_from_attribute("DW_AT_type"))
        # DW_OP_addr and eight bytes: a variable with a place of its own.
        if location and isinstance(location.value, list) and len(location.value) == 9 and location.value[0] == 3:
            self._at[int.from_bytes(bytes(location.value[1:]), "little")] = kind
        if _name(die):
            self._variables.setdefault(_name(die), kind)

    def _type(self, die) -> Type:
        known = self._types.get(die.offset)
        if known is None:
            known = self._types[die.offset] = Type("scalar", _name(die), _number(die, "DW_AT_byte_size"))
            self._fill(known, die)
        return known

    def _fill(self, kind: Type, die) -> None:
        inner = None
        if die.tag not in ("DW_TAG_structure_type", "DW_TAG_union_type") and "DW_AT_type" in die.attributes:
            inner = die.get_DIE_from_attribute("DW_AT_type")
        if die.tag in ("DW_TAG_structure_type", "DW_TAG_union_type"):
            kind.kind = "struct"
            kind.members += [  # in place: a `const` one shares the list
                (_number(child, "DW_AT_data_member_location"), _name(child),
                 self._type(child.get_DIE_from_attribute("DW_AT_type")))
                for child in die.iter_children() if child.tag == "DW_TAG_member"
            ]
        elif die.tag == "DW_TAG_pointer_type":
            kind.kind, kind.size, kind.target = "pointer", 8, self._type(inner) if inner else None
        elif die.tag == "DW_TAG_array_type":
            self._fill_array(kind, die, self._type(inner))
        elif die.tag in ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type") and inner:
            other = self._type(inner)
            kind.kind, kind.size, kind.count, kind.target = other.kind, other.size, other.count, other.target
            kind.members, kind.name = other.members, other.name or kind.name
        elif die.tag == "DW_TAG_enumeration_type":
            kind.size = kind.size or 4

    def _fill_array(self, kind: Type, die, element: Type) -> None:
        counts = [_number(child, "DW_AT_upper_bound", -1) + 1 if "DW_AT_upper_bound" in child.attributes
                  else _number(child, "DW_AT_count") for child in die.iter_children() if child.tag == "DW_TAG_subrange_type"]
        for count in reversed(counts[1:]):
            element = Type("array", "", element.size * count, count, element)
        kind.kind, kind.count, kind.target = "array", counts[0] if counts else 0, element
        kind.size = element.size * kind.count

    # Questions

    def symbol(self, name: str) -> int:
        """A symbol's address."""
        if name not in self._by_name:
            raise PathsError(f"{self.path} has no symbol `{name}`")
        return self._by_name[name].address

    def struct(self, name: str) -> Type:
        if name not in self.structs:
            raise PathsError(f"{self.path} has no struct `{name}`")
        return self.structs[name]

    def member(self, struct: str, path: str) -> tuple[int, Type]:
        """(offset, type) of a member, as `cpu.current` of struct percpu."""
        kind, offset = self.struct(struct), 0
        for part in path.split("."):
            found = _member(kind, part)
            if found is None:
                raise PathsError(f"struct {struct} of {self.path} has no member `{path}`")
            offset, kind = offset + found[0], found[1]
        return offset, kind

    def enumerator(self, enum: str, value: int) -> str:
        """The name of a value."""
        return self._enumerators.get(enum, {}).get(value, str(value))

    def section(self, address: int) -> str:
        return next((name for first, end, name, _ in self._sections if first <= address < end), "?")

    def writable(self, address: int) -> bool:
        return any(first <= address < end and writes for first, end, _, writes in self._sections)

    def place(self, address: int) -> str:
        """function+offset of code."""
        below = [symbol for symbol in self.symbols if symbol.address <= address]
        near = max(below, key=lambda symbol: symbol.address, default=None)
        return f"{near.name}+{address - near.address:#x}" if near else f"{address:#x}"

    def object_at(self, address: int) -> tuple[str, int, Type | None, bool] | None:
        """(name, address, type if known, whether it is writable) of the variable at an address."""
        index = bisect.bisect_right(self._addresses, address) - 1
        if index >= 0 and address < self._objects[index].address + self._objects[index].size:
            found = self._objects[index]
            return found.name, found.address, self._at.get(found.address), found.writable
        # Placed by the linker script, and only declared in C.
        for symbol in self.symbols:
            kind = self._variables.get(symbol.name)
            if not symbol.size and kind and symbol.address <= address < symbol.address + kind.size:
                return symbol.name, symbol.address, kind, True
        return None


def _name(die) -> str:
    value = die.attributes.get("DW_AT_name")
    return value.value.decode() if value else ""


def _number(die, attribute: str, default: int = 0) -> int:
    value = die.attributes.get(attribute)
    return value.value if value and isinstance(value.value, int) else default


def _member(kind: Type, name: str) -> tuple[int, Type] | None:
    """A member of a struct, also one of an anonymous struct inside."""
    for offset, own, member in kind.members:
        if own == name:
            return offset, member
        if not own and (found := _member(member, name)):
            return offset + found[0], found[1]
    return None
