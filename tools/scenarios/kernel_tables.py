# SPDX-License-Identifier: BSD-2-Clause
"""The page tables that the kernel stands in, walked from outside: what it can reach, and how."""

import re
from dataclasses import dataclass
from typing import Iterable

from simulate import transcript
from simulate.console import Unexpected

from .stage import BOOT, Stage

SUMMARY = "the kernel's page tables: no translation of guests' or free memory, nothing writable and executable"
CPUS = ("intel", "amd")
TRIES = 200
USER_END = 0x0000800000000000
LARGE = 0x200000
# QEMU's `info tlb`: address, physical address, and one letter for each bit that is set; X stands for NX.
_ENTRY = re.compile(r"^([0-9a-f]{16}): ([0-9a-f]+) ([XGPDACTUW-]{9})\s*$")


@dataclass(frozen=True)
class Entry:
    va: int
    pa: int
    size: int
    user: bool
    write: bool
    execute: bool


def parse(text: str) -> list[Entry]:
    """The leaves of `info tlb`. Pages larger than 2 MiB are not used here."""
    entries = []
    for line in text.splitlines():
        match = _ENTRY.match(line)
        if match:
            flags = match[3]
            size = LARGE if "P" in flags else 0x1000
            entries.append(Entry(int(match[1], 16), int(match[2], 16), size, "U" in flags, "W" in flags, "X" not in flags))
    return entries


def mistakes(entries: Iterable[Entry], foreign: list[tuple[int, int, str]]) -> list[str]:
    """What must not be: W with X anywhere; in the kernel's half user pages, or memory (first, end, whose) that is not its own."""
    wrong = []
    for entry in entries:
        if entry.write and entry.execute:
            wrong.append(f"{entry.va:#x} is writable and executable")
        if entry.va < USER_END:
            continue
        if entry.user:
            wrong.append(f"{entry.va:#x} in the kernel's half is user level's")
        for first, end, whose in foreign:
            if entry.pa < end and entry.pa + entry.size > first:
                wrong.append(f"{entry.va:#x} translates to {entry.pa:#x}, which is {whose}")
    return wrong


def tables_of(stage: Stage, cpu: int) -> list[Entry]:
    """What a CPU's tables hold, taken while it idles in Cairn's kernel: only there it halts."""
    assert stage.machine
    qmp = stage.machine.qmp
    for _ in range(TRIES):
        qmp.command("stop")
        try:
            registers = qmp.monitor("info registers", cpu)
            if re.search(r"RIP=ffffffff8", registers) and "HLT=1" in registers:
                return parse(qmp.monitor("info tlb", cpu))
        finally:
            qmp.command("cont")
        stage.at_random()
    raise Unexpected(f"CPU {cpu} was never seen idle in {TRIES} looks")


def check_cpu(stage: Stage, cpu: int, foreign: list[tuple[int, int, str]]) -> int:
    """Checks one CPU's tables; returns how many pages of user level they hold (an idle CPU may stand in nobody's)."""
    entries = tables_of(stage, cpu)
    kernel = [entry for entry in entries if entry.va >= USER_END]
    users = len(entries) - len(kernel)
    if len(kernel) < 20:
        raise Unexpected(f"`info tlb` shows {len(kernel)} pages of the kernel on CPU {cpu}")
    wrong = mistakes(entries, foreign)
    if wrong:
        raise Unexpected(f"CPU {cpu}: " + "; ".join(wrong[:5]))
    size = sum(entry.size for entry in kernel)
    stage.say(f"CPU {cpu}: {len(kernel)} kernel pages ({size >> 10} KiB), {users} of user level: none is wrong")
    return users


def run(stage: Stage) -> None:
    stage.start("two-linux")
    for vm in stage.vms:
        stage.out.wait_for(r"init: ready", vm, 0, BOOT, f"the shell of {vm}")
    lines = stage.out.texts()
    foreign = [(piece.spa, piece.spa + piece.end - piece.start, f"RAM of {piece.vm}") for piece in transcript.parse_pieces(lines)]
    foreign += [(first, end, "free memory") for first, end in transcript.parse_free(lines)]
    if len({whose for _, _, whose in foreign}) < 3:
        raise Unexpected("the root-task did not say where the VMs' RAM and free memory lie")
    assert stage.machine
    users = sum(check_cpu(stage, cpu, foreign) for cpu in range(stage.machine.settings.cpus))
    if not users:
        raise Unexpected("`info tlb` shows no page of user level on any CPU")
