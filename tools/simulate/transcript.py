# SPDX-License-Identifier: BSD-2-Clause
"""What the system prints, parsed: sources of lines, the VMs' memory, error records. Pure functions, no input or output."""

import re
from dataclasses import dataclass
from typing import Iterable, Iterator

from .errors import SimulateError

SYSTEM = "system"
# ESC [ … letter: what shells and programs send to move the cursor or to change colours.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_MARK = re.compile(r"\[([A-Za-z0-9_-]+)\] ?(.*)")


@dataclass(frozen=True)
class Line:
    """One line of the terminal. source: a VM's name, "system", or "" where the line has no mark."""

    source: str
    text: str


def clean(text: str) -> str:
    return _CONTROL.sub("", text)


def parse_line(raw: str, sources: Iterable[str]) -> Line:
    """Splits the mark off. Only known sources count: Linux prints lines such as `[    1.234] …` itself."""
    text = clean(raw)
    match = _MARK.fullmatch(text)
    if match and match.group(1) in sources:
        return Line(match.group(1), match.group(2))
    return Line("", text)


_PIECE = re.compile(
    r"vm (?P<vm>[\w-]+): guest-physical (?P<start>0x[0-9a-f]+)\.\.(?P<end>0x[0-9a-f]+) "
    r"at system-physical (?P<spa>0x[0-9a-f]+)"
)


@dataclass(frozen=True)
class Piece:
    """A contiguous piece of a VM's memory; end is exclusive."""

    vm: str
    start: int
    end: int
    spa: int


def parse_pieces(lines: Iterable[str]) -> list[Piece]:
    """Where the VMs' memory lies. A VM that was built anew is reported again, from 0 on: its last report counts."""
    pieces: list[Piece] = []
    for line in lines:
        match = _PIECE.search(line)
        if match:
            piece = Piece(match["vm"], int(match["start"], 0), int(match["end"], 0), int(match["spa"], 0))
            if piece.start == 0:
                pieces = [other for other in pieces if other.vm != piece.vm]
            pieces.append(piece)
    return pieces


def to_system_physical(pieces: Iterable[Piece], vm: str, gpa: int) -> int:
    mine = [piece for piece in pieces if piece.vm == vm]
    if not mine:
        known = sorted({piece.vm for piece in pieces})
        raise SimulateError(
            f"the system has reported no memory of a VM `{vm}`"
            + (f"; it has {', '.join(known)}" if known else ": is it still starting?")
        )
    for piece in mine:
        if piece.start <= gpa < piece.end:
            return piece.spa + (gpa - piece.start)
    ranges = ", ".join(f"{piece.start:#x}..{piece.end:#x}" for piece in mine)
    raise SimulateError(f"{gpa:#x} is not in the memory of {vm} ({ranges})")


_PLACE = re.compile(r"vm ([\w-]+): on CPU (\d+)")


def parse_places(lines: Iterable[str]) -> dict[str, int]:
    """The CPU that each VM is on."""
    return {m[1]: int(m[2]) for line in lines if (m := _PLACE.search(line))}


def vm_at(pieces: Iterable[Piece], spa: int) -> str | None:
    """The VM whose memory has this system-physical address."""
    for piece in pieces:
        if piece.spa <= spa < piece.spa + piece.end - piece.start:
            return piece.vm
    return None


_FREE = re.compile(r"memory: free at system-physical (0x[0-9a-f]+)\.\.(0x[0-9a-f]+)")


def parse_free(lines: Iterable[str]) -> list[tuple[int, int]]:
    """(start, end) of each range that the root-task has left over."""
    return [(int(m[1], 0), int(m[2], 0)) for line in lines if (m := _FREE.search(line))]


_RECORD = re.compile(
    r"record cpu (?P<cpu>\d+) seq (?P<seq>\d+) bank (?P<bank>\d+) status (?P<status>0x[0-9a-f]+) "
    r"addr (?P<addr>0x[0-9a-f]+) misc (?P<misc>0x[0-9a-f]+) mcg (?P<mcg>0x[0-9a-f]+) context (?P<context>[\w-]+) "
    r"owner (?P<owner>\S+) class (?P<class>[\w-]+) action (?P<action>[\w-]+)"
)
CONTEXTS = ("guest-user", "guest-kernel", "kernel", "server", "idle")


@dataclass(frozen=True)
class Record:
    """One record as the mca-server logged it."""

    cpu: int
    seq: int
    bank: int
    status: int
    addr: int
    misc: int
    mcg: int
    context: str
    owner: str
    kind: str
    action: str


def parse_record(text: str) -> Record | None:
    match = _RECORD.search(text)
    if not match:
        return None
    numbers = {key: int(match[key], 0) for key in ("cpu", "seq", "bank", "status", "addr", "misc", "mcg")}
    return Record(**numbers, context=match["context"], owner=match["owner"], kind=match["class"], action=match["action"])


_RETIRED = re.compile(r"retired page (0x[0-9a-f]+)(?: holders: *(.*))?")
_HOLDER = re.compile(r"(vm|server|buffer|kernel)(?: ([\w-]+))?(?: (gpa|va) (0x[0-9a-f]+))?")


@dataclass(frozen=True)
class Holder:
    kind: str
    name: str
    address: int | None


@dataclass(frozen=True)
class Retired:
    spa: int
    holders: tuple[Holder, ...]


def parse_retired(text: str) -> Retired | None:
    match = _RETIRED.search(text)
    if not match:
        return None
    holders = []
    for part in (match[2] or "").split(","):
        holder = _HOLDER.fullmatch(part.strip())
        if holder:
            address = int(holder[4], 0) if holder[4] else None
            holders.append(Holder(holder[1], holder[2] or "", address))
        elif part.strip() not in ("", "none"):
            holders.append(Holder("other", part.strip(), None))
    return Retired(int(match[1], 0), tuple(holders))


_VICTIM = re.compile(r"victim: pid (\d+) gpa (0x[0-9a-f]+) mode (spin|exit|sleep)")


@dataclass(frozen=True)
class Victim:
    pid: int
    gpa: int
    mode: str


def parse_victim(text: str) -> Victim | None:
    match = _VICTIM.search(text)
    return Victim(int(match[1]), int(match[2], 0), match[3]) if match else None


_STEP = re.compile(r"bystander: step (\d+) (ok ([0-9a-f]{8})|BAD)")


def bystander_steps(lines: Iterable[str]) -> Iterator[tuple[int, str | None]]:
    """(number, first eight digits of the hash; None for a failed self-check) of each step that was printed.

    The console server shows an unfinished line anew when another one came between: that is the same step.
    """
    last = None
    for line in lines:
        match = _STEP.search(line)
        if match and match[0] != last:
            last = match[0]
            yield int(match[1]), match[3]


_BENCH = re.compile(r"\bbench (\w+) (\d+)\s*$")


def parse_bench(lines: Iterable[str]) -> dict[str, int]:
    figures: dict[str, int] = {}
    for line in lines:
        match = _BENCH.search(line)
        if match:
            figures[match[1]] = int(match[2])
    return figures
