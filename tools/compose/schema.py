# SPDX-License-Identifier: BSD-2-Clause
"""The tables and keys of a system description: their types, limits and defaults."""

import difflib
import re
from dataclasses import dataclass, field

from . import abi

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
UNITS = {"KiB": KIB, "MiB": MIB, "GiB": GIB}
SIZE = re.compile(r"^\s*(\d+)\s*(KiB|MiB|GiB)\s*$")
NAME = re.compile(r"^[a-z0-9][a-z0-9-]*$")
REQUIRED = object()

# An endpoint of a channel is shown by its name; these are taken.
RESERVED_NAMES = ("root", "system")
# vmm-servers are named after their VM.
VMM_PREFIX = "vmm-"


class BadValue(Exception):
    """What is wrong with a value, and what to write instead."""


@dataclass
class Text:
    """A string of at most `limit` bytes."""
    limit: int

    def read(self, value):
        """The checked string."""
        if not isinstance(value, str):
            raise BadValue("must be a string, in quotes")
        if "\0" in value:
            raise BadValue("must not hold a NUL character")
        size = len(value.encode())
        if size > self.limit:
            raise BadValue(f"has {size} bytes; at most {self.limit} fit")
        return value


@dataclass
class Name:
    """What names servers and VMs: short, in lower case."""
    limit: int

    def read(self, value):
        """The checked name."""
        value = Text(self.limit).read(value)
        if not NAME.match(value):
            raise BadValue(f'is "{value}"; use lower-case letters, digits and hyphens')
        if value in RESERVED_NAMES:
            raise BadValue(f'is "{value}", which is reserved; choose another')
        return value


@dataclass
class Number:
    """A whole number."""
    low: int
    high: int

    def read(self, value):
        """The checked number."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadValue("must be a whole number, without quotes")
        if not self.low <= value <= self.high:
            raise BadValue(f"is {value}; it must lie in {self.low}..{self.high}")
        return value


class Flag:
    """true or false."""

    def read(self, value):
        """The checked flag."""
        if not isinstance(value, bool):
            raise BadValue("must be true or false, without quotes")
        return value


@dataclass
class Size:
    """An amount of memory with its unit, in bytes."""
    low: int
    high: int
    multiple: int = KIB

    def read(self, value):
        """The checked number of bytes."""
        match = SIZE.match(value) if isinstance(value, str) else None
        if not match:
            raise BadValue('must be a string with a unit (KiB, MiB, GiB), as in "256 MiB"')
        size = int(match.group(1)) * UNITS[match.group(2)]
        if size % self.multiple:
            raise BadValue(f'is "{value}"; it must be a multiple of {show_size(self.multiple)}')
        if not self.low <= size <= self.high:
            raise BadValue(f'is "{value}"; it must lie in {show_size(self.low)}..'
                           f"{show_size(self.high)}")
        return size


@dataclass
class Choice:
    """One of a few words, each with its number."""
    words: dict

    def read(self, value):
        """The number of the word."""
        if not isinstance(value, str) or value not in self.words:
            raise BadValue(f"must be one of {', '.join(quoted(self.words))}")
        return self.words[value]


@dataclass
class Choices:
    """A list of such words, as the or of their numbers."""
    words: dict

    def read(self, value):
        """The or of the numbers."""
        if not isinstance(value, list):
            raise BadValue(f"must be a list, as in [{quoted(self.words)[0]}]")
        result = 0
        for word in value:
            bit = Choice(self.words).read(word)
            if result & bit:
                raise BadValue(f'names "{word}" twice')
            result |= bit
        return result


@dataclass
class Key:
    """One key of a table: its type, what it is when absent, and a sentence for --help-description."""
    kind: object
    default: object
    help: str


@dataclass
class Table:
    """A table's keys, and (subtables) tables below it."""
    keys: dict
    subtables: dict = field(default_factory=dict)


def quoted(words):
    """Words as they stand in the file."""
    return [f'"{word}"' for word in words]


def show_size(size):
    """Bytes in the largest unit that divides them."""
    for unit, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} bytes"


GRANTS = {"serial": abi.GRANT_SERIAL, "machine-check": abi.GRANT_MACHINECHECK,
          "memory": abi.GRANT_MEMORY, "root-service": abi.GRANT_ROOT_SERVICE,
          "hardware": abi.GRANT_HARDWARE}

CPU = Number(0, 63)
PRIORITY = Number(1, 63)
MICROSECONDS = Number(0, 3_600_000_000)
# Windows of libs/include/cairn/server.h: the heap ends where the stacks begin; stacks have guard pages.
HEAP = Size(4 * KIB, abi.SERVER_STACK_VA - abi.SERVER_HEAP_VA, 4 * KIB)
STACK = Size(4 * KIB, abi.SERVER_STACK_STRIDE - 8 * KIB, 4 * KIB)
HANDLERS = abi.SEL_CHANNEL - abi.SEL_THREAD - 1


def server_keys(priority, heap, slots, **others):
    """The keys that every kind of server has."""
    keys = {
        "elf": Key(Text(4000), "", "its ELF: a name (servers/NAME.elf) or a path"),
        "args": Key(Text(239), "", "its arguments, separated by blanks"),
        "cpu": Key(CPU, 0, "the CPU it runs on, counted modulo those of the machine"),
        "priority": Key(PRIORITY, priority, "of its main thread; higher runs first"),
        "heap": Key(HEAP, heap, "memory for malloc"),
        "stack": Key(STACK, 64 * KIB, "of each of its threads"),
        "slots": Key(Number(64, 1 << 20), slots, "capabilities it can hold"),
        "budget_us": Key(MICROSECONDS, 0, "time of its main thread per period; 0: no limit"),
        "period_us": Key(MICROSECONDS, 0, "the period"),
    }
    keys.update(others)
    return keys


SYSTEM = Table({
    "name": Key(Name(31), REQUIRED, "shown at the start"),
    "memory": Key(Size(64 * MIB, 64 * GIB, 2 * MIB), GIB, "RAM of the machine; everything must fit"),
    "cpus": Key(Number(1, 64), 1, "CPUs of the machine that ./simulate makes"),
    "start_cpus": Key(Number(1, 64), 64, "so many of them are started at most; the rest is left to servers"),
    "end": Key(Choice({"idle": 1, "never": 0}), None,
               '"idle": ends when all VMs have stopped (the default with VMs)'),
    "reserve": Key(Size(0, GIB, 4 * KIB), 4 * MIB, "RAM that nobody gets"),
    "root": Key(Text(4000), "root-task", "the root-task's ELF"),
    "kernel": Key(Text(4000), "${BUILD}/kernel/kernel.elf", "the kernel's ELF"),
    "root_slots": Key(Number(1024, 1 << 20), 1 << 15, "capabilities the root-task can hold"),
})

CONSOLE = Table(server_keys(
    48, 256 * KIB, 256,
    enabled=Key(Flag(), True, "false: this system has no console"),
    mode=Key(Text(32), "", '"all": every line marked; "raw:VM": that VM\'s bytes as they are')))

MCA = Table(server_keys(
    56, 256 * KIB, 512,
    enabled=Key(Flag(), True, "false: nobody recovers from machine checks"),
    succor_override=Key(Flag(), False,
                        "treat an AMD CPU as SUCCOR-capable although CPUID does not say so (QEMU)")))

SERVER = Table(server_keys(
    24, 256 * KIB, 256,
    name=Key(Name(15), REQUIRED, "its name"),
    ceiling=Key(Number(0, 63), None, "the highest priority that it may give (default: its own)"),
    handlers=Key(Number(0, HANDLERS), 0, "portal handler threads"),
    grants=Key(Choices(GRANTS), 0, "what it may do beyond its channels"),
    untyped=Key(Size(4 * KIB, 64 * GIB, 4 * KIB), 0, 'memory of its own (with grant "memory")')))

VM = Table({
    "name": Key(Name(15 - len(VMM_PREFIX)), REQUIRED, "its name"),
    "memory": Key(Size(2 * MIB, 64 * GIB, 2 * MIB), REQUIRED, "its RAM"),
    "vcpus": Key(Number(1, HANDLERS), 1, "virtual CPUs"),
    "cpu": Key(CPU, None, "the CPU of all its vCPUs, counted modulo those of the machine; VM n has CPU n"),
    "priority": Key(PRIORITY, 16, "of its vCPUs"),
    "kernel": Key(Text(4000), REQUIRED, "a Linux bzImage, or an ELF with a PVH note"),
    "initrd": Key(Text(4000), "", "its initial RAM disk"),
    "cmdline": Key(Text(1023), "", "its kernel's command line"),
    "policy": Key(Choice({"inject": abi.POLICY_INJECT, "kill": abi.POLICY_KILL,
                          "restart": abi.POLICY_RESTART}),
                  abi.POLICY_INJECT, "what an uncorrected error does to it"),
    "profile": Key(Choice({"intel": abi.PROFILE_INTEL, "amd": abi.PROFILE_AMD,
                           "host": abi.PROFILE_HOST}), abi.PROFILE_HOST,
                   "whose machine-check architecture it sees"),
    "end_system": Key(Flag(), False, "the system ends when it powers off"),
    "debug_exit": Key(Flag(), False, "a write to port 0xf4 ends the system with that value"),
    "budget_us": Key(MICROSECONDS, 0, "time of each vCPU per period; 0: no limit"),
    "period_us": Key(MICROSECONDS, 0, "the period"),
}, {"server": Table(server_keys(40, 256 * KIB, abi.SEL_FREE,
                                cpu=Key(CPU, None, "that of its VM, and no other")))})

TOP = {"system": SYSTEM, "console": CONSOLE, "mca": MCA}
TOP_ARRAYS = {"server": SERVER, "vm": VM}


def read_table(table, values, path, mistakes):
    """The checked values of one table; mistakes get what is wrong, and its default goes on instead."""
    result = {}
    known = list(table.keys) + list(table.subtables)
    for key in values:
        if key not in known:
            mistakes.add(path + (key,), unknown(f"key '{key}'", key, known))
    for key, spec in table.keys.items():
        result[key] = None if spec.default is REQUIRED else spec.default
        if key not in values:
            if spec.default is REQUIRED:
                mistakes.add(path, f"key '{key}' is missing ({spec.help}); add it to [{_title(path)}]")
            continue
        try:
            result[key] = spec.kind.read(values[key])
        except BadValue as error:
            mistakes.add(path + (key,), f"{key} {error}")
    for key, subtable in table.subtables.items():
        below = values.get(key, {})
        if not isinstance(below, dict):
            mistakes.add(path + (key,), f"'{key}' must be a table [{_title(path)}.{key}]")
            below = {}
        result[key] = read_table(subtable, below, path + (key,), mistakes)
    return result


def _title(path):
    return ".".join(str(part) for part in path if not isinstance(part, int))


def unknown(what, word, known):
    """The sentence for a word that is not known, with the nearest known one."""
    near = difflib.get_close_matches(word, known, 1)
    if near:
        return f"unknown {what}; did you mean '{near[0]}'?"
    return f"unknown {what}; known are {', '.join(sorted(known))}"


def read_description(document, mistakes):
    """{"system": {…}, "console": {…}, "mca": {…}, "server": [{…}], "vm": [{…}]}"""
    data, result = document.data, {}
    known = list(TOP) + list(TOP_ARRAYS)
    for key in data:
        if key not in known:
            mistakes.add((key,), unknown(f"table '{key}'", key, known))
    for name, table in TOP.items():
        values = data.get(name, {})
        if not isinstance(values, dict):
            mistakes.add((name,), f"'{name}' must be a table: write [{name}]")
            values = {}
        result[name] = read_table(table, values, (name,), mistakes)
    for name, table in TOP_ARRAYS.items():
        items = data.get(name, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            mistakes.add((name,), f"'{name}' must be an array of tables: write [[{name}]]")
            items = []
        result[name] = [read_table(table, item, (name, index), mistakes)
                        for index, item in enumerate(items)]
    return result


def help_text():
    """All tables and keys, as text."""
    lines = []
    for title, table in [("[system]", SYSTEM), ("[console]", CONSOLE), ("[mca]", MCA),
                         ("[[server]]", SERVER), ("[[vm]]", VM),
                         ("[vm.server] (below its [[vm]])", VM.subtables["server"])]:
        lines.append(title)
        for key, spec in table.keys.items():
            lines.append(f"  {key:<16} {spec.help}")
    return "\n".join(lines)
