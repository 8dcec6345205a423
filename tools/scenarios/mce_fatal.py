# SPDX-License-Identifier: BSD-2-Clause
"""A corrupt processor context: the record is printed, and everything stops."""

import re
import time

from simulate.console import Unexpected
from simulate.inject import error_for
from simulate.transcript import CONTEXTS

from .mce import HIT, OTHER, start
from .stage import STEP, Stage

SUMMARY = "processor context corrupt (PCC): the record is printed, no VM runs any more, everything stops; three times"
CPUS = ("intel", "amd")
SAMPLES = 20


def fatal_once(stage: Stage, mode: str) -> None:
    start(stage)
    stage.anywhere = mode == "sleep"  # else it meets the CPU that the victim keeps busy
    victim = stage.start_victim(HIT, mode, "fatal")
    spa = stage.system_physical(HIT, victim.gpa)
    stage.at_random()
    begin = stage.out.position()
    stage.out.expect("cairn: stopped")
    stage.inject("fatal", spa)
    match, _ = stage.out.wait_for(r"cairn: fatal machine check: .*", None, begin, STEP, "the fatal record")
    stage.say(match[0])
    stage.out.wait_for(r"cairn: stopped", None, begin, STEP, "`cairn: stopped`")
    printed = " ".join(stage.out.texts(None, begin))
    for what, value in (("status", error_for(stage.cpu, "fatal").status), ("address", spa)):
        if not re.search(rf"\b(0x)?0*{value:x}\b", printed):
            raise Unexpected(f"the {what} {value:#x} of the record was not printed")
    interrupted = re.search(rf"\bcontext ({'|'.join(CONTEXTS)}) ", printed)
    if not interrupted:
        raise Unexpected("the record does not tell what the error interrupted")
    stage.contexts[interrupted[1]] += 1
    stage.say(f"interrupted: {interrupted[1]}")
    nothing_runs(stage)


def place_of(stage: Stage, cpu: int) -> tuple[str, str]:
    """Where a CPU is, and whether it is halted; its interrupts must be off."""
    registers = stage.machine.qmp.monitor("info registers", cpu)
    match = re.search(r"RIP=([0-9a-f]+) RFL=([0-9a-f]+).*?HLT=(\d)", registers, re.DOTALL)
    if not match:
        raise Unexpected("QEMU does not tell the registers")
    if int(match[2], 16) & 0x200:
        raise Unexpected(f"CPU {cpu} runs with interrupts enabled after `cairn: stopped`")
    return match[1], match[3]


def nothing_runs(stage: Stage) -> None:
    """No VM prints any more, and each CPU stands still at one place, with interrupts off."""
    if not stage.machine.stands_still():
        raise Unexpected("a CPU does not halt after `cairn: stopped`")
    quiet_from = stage.out.position()
    cpus = range(stage.machine.settings.cpus)
    places: dict[int, set[tuple[str, str]]] = {cpu: set() for cpu in cpus}
    for _ in range(SAMPLES):
        time.sleep(0.1)
        for cpu in cpus:
            places[cpu].add(place_of(stage, cpu))
    for cpu in cpus:
        if len(places[cpu]) != 1:
            raise Unexpected(f"CPU {cpu} still runs after `cairn: stopped`: {sorted(places[cpu])}")
    for vm in (HIT, OTHER):
        if stage.out.texts(vm, quiet_from):
            raise Unexpected(f"{vm} goes on after `cairn: stopped`")
    stage.say(f"stopped: no VM prints, {len(cpus)} CPU(s) stand still")


def run(stage: Stage) -> None:
    for mode in ("spin", "exit", "sleep"):
        fatal_once(stage, mode)
    stage.say_contexts()
