# SPDX-License-Identifier: BSD-2-Clause
"""What a Linux guest must be seen to do with each kind of error, and what Cairn's servers must be seen to do before."""

import re

from simulate.console import Unexpected
from simulate.inject import PAGE
from simulate.transcript import Record, Victim

from .stage import STEP, Stage

SIGBUS = 128 + 7  # as the shell tells it


def in_page(address: int) -> str:
    """A pattern for any address in the page of this one."""
    return rf"{address // PAGE:#x}[0-9a-f]{{3}}\b" if address >= PAGE else r"0x[0-9a-f]{1,3}\b"


def page_of(address: int) -> int:
    return address & ~(PAGE - 1)


def wait_recovered(stage: Stage, vm: str, gpa: int, start: int) -> None:
    """Linux has taken the page out of use."""
    frame = gpa // PAGE
    match, _ = stage.out.wait_for(
        rf"Memory failure: {frame:#x}: recovery action for (.*): (Recovered|Ignored|Failed|Delayed)\b", vm, start, STEP,
        f"{vm}'s recovery of frame {frame:#x}",
    )
    if match[2] != "Recovered":
        raise Unexpected(f"{vm} did not recover: {match[0]}")


def wait_recovery_lines(stage: Stage, vm: str, victim: Victim, start: int) -> None:
    """What Linux prints for a process that consumed an error: the address it was given, whom it signals, the recovery."""
    stage.out.wait_for(
        rf"mce: Uncorrected hardware memory error in user-access at {victim.gpa // PAGE:x}[0-9a-f]{{3}}\b", vm, start,
        STEP, f"{vm}'s line about the uncorrected error",
    )
    stage.out.wait_for(
        rf"Memory failure: {victim.gpa // PAGE:#x}: Sending SIGBUS to victim:{victim.pid} ", vm, start, STEP,
        f"the signal to pid {victim.pid}",
    )
    wait_recovered(stage, vm, victim.gpa, start)


def wait_death(stage: Stage, vm: str, tag: str, start: int) -> None:
    match, _ = stage.out.wait_for(rf"victim ended (\d+) {tag}$", vm, start, STEP, "the victim's end")
    if int(match[1]) != SIGBUS:
        raise Unexpected(f"the victim ended with status {match[1]}, not of SIGBUS ({SIGBUS})")


def taken_from_vm(stage: Stage, vm: str, victim: Victim, spa: int, start: int, kinds: tuple[str, ...]) -> Record | None:
    """Record, verdict and unmapping, as the mca-server printed them. None where Linux runs alone."""
    if stage.native:
        return None
    record = stage.record(spa, start)
    if record.kind not in kinds:
        raise Unexpected(f"the error was taken for `{record.kind}` instead of {' or '.join(kinds)}")
    stage.check_holder(stage.retired(spa, start), vm, victim.gpa)
    return record


def action_required_at(stage: Stage, vm: str, gpa: int, start: int) -> None:
    """The access to the page that is gone became a virtual machine check with the guest's own address."""
    if stage.native:
        return
    match, _ = stage.out.wait_for(
        rf"vMCE injected: AR gpa {in_page(gpa)}.*", "system", start, STEP, f"the action-required vMCE for {gpa:#x}"
    )
    level = re.search(r"cpl (\d)", match[0])
    if level and level[1] != "3":
        raise Unexpected(f"the guest's kernel consumed the page, not the victim: {match[0]}")


def spinning_dies(stage: Stage, vm: str, mode: str, tag: str) -> None:
    """An error on the page that the victim reads all the time: it dies of SIGBUS, at once."""
    victim = stage.start_victim(vm, mode, tag)
    spa = stage.system_physical(vm, victim.gpa)
    stage.at_random()
    start = stage.out.position()
    stage.inject("srar", spa)
    record = taken_from_vm(stage, vm, victim, spa, start, ("SRAR",))
    action_required_at(stage, vm, victim.gpa, start)
    wait_recovery_lines(stage, vm, victim, start)
    wait_death(stage, vm, tag, start)
    stage.say(
        f"{tag}: page {page_of(victim.gpa):#x} lost, its victim (pid {victim.pid}, {mode}) died of SIGBUS; "
        f"interrupted: {record.context if record else 'Linux'}"
    )


def sleeping_survives(stage: Stage, vm: str, kind: str, tag: str) -> Victim:
    """An error on a page that is not being touched: the guest retires it, and its process lives on."""
    victim = stage.start_victim(vm, "sleep", tag)
    spa = stage.system_physical(vm, victim.gpa)
    stage.at_random()
    start = stage.out.position()
    stage.inject(kind, spa)
    record = taken_from_vm(stage, vm, victim, spa, start, {"srao": ("SRAO",), "deferred": ("DEFERRED",)}[kind])
    if not stage.native:
        stage.out.wait_for(
            rf"vMCE injected: AO gpa {in_page(victim.gpa)}", "system", start, STEP, "the action-optional notice"
        )
    wait_recovered(stage, vm, victim.gpa, start)
    start = stage.out.position()
    stage.out.type(vm, f"kill -USR2 {victim.pid}")
    stage.out.wait_for(rf"victim: pid {victim.pid} alive", vm, start, STEP, "the surviving process")
    stage.say(
        f"{tag}: page {page_of(victim.gpa):#x} retired, pid {victim.pid} lives on; "
        f"interrupted: {record.context if record else 'Linux'}"
    )
    return victim


def kill_by_touch(stage: Stage, vm: str, victim: Victim, tag: str) -> None:
    """The surviving process touches its page, and dies of SIGBUS without having read wrong data."""
    start = stage.out.position()
    stage.out.type(vm, f"kill -USR1 {victim.pid}")
    wait_death(stage, vm, tag, start)


def resting_dies_at_touch(stage: Stage, vm: str, tag: str) -> None:
    """An action-required error whose page is consumed later only: the process lives until it touches it."""
    victim = stage.start_victim(vm, "sleep", tag)
    spa = stage.system_physical(vm, victim.gpa)
    stage.at_random()
    start = stage.out.position()
    stage.inject("srar", spa)
    record = taken_from_vm(stage, vm, victim, spa, start, ("SRAR",))
    kill_by_touch(stage, vm, victim, tag)
    wait_recovery_lines(stage, vm, victim, start)
    stage.say(
        f"{tag}: page {page_of(victim.gpa):#x} lost, pid {victim.pid} died of SIGBUS when it touched it; "
        f"interrupted: {record.context if record else 'Linux'}"
    )


def ce_native(stage: Stage, vm: str) -> None:
    """A corrected error: Linux logs it, the process does not notice."""
    victim = stage.start_victim(vm, "sleep", "ce")
    start = stage.out.position()
    stage.inject("ce", victim.gpa)
    stage.out.wait_for(rf"ADDR {victim.gpa:x}\b", vm, start, STEP, "Linux's log of the corrected error")
    stage.out.type(vm, f"kill -USR1 {victim.pid}")
    stage.out.wait_for(rf"victim: pid {victim.pid} page intact", vm, start, STEP, "the victim's intact page")
    stage.say("ce: logged, the page is intact")
