# SPDX-License-Identifier: BSD-2-Clause
"""Corrected errors: logged with bank, address and owner; nobody is disturbed."""

from simulate.console import Unexpected
from simulate.inject import BANK

from .mce import ERRORS, HIT, Load, both_alive, injected, only_polled, other_never_noticed, start
from .stage import STEP, Stage

SUMMARY = "corrected errors: logged with bank, address and owner, and nobody is disturbed"
CPUS = ("intel", "amd")


def correct_one(stage: Stage, tag: str) -> None:
    victim = stage.start_victim(HIT, "sleep", tag)
    spa = stage.system_physical(HIT, victim.gpa)
    stage.at_random()
    start = stage.out.position()
    stage.inject("ce", spa)
    record = stage.record(spa, start)
    if (record.kind, record.bank, record.owner) != ("CE", BANK, HIT):
        raise Unexpected(f"logged as {record.kind}, bank {record.bank}, owner {record.owner}")
    stage.out.type(HIT, f"kill -USR1 {victim.pid}")
    stage.out.wait_for(rf"victim: pid {victim.pid} page intact", HIT, start, STEP, "the page, still intact")
    stage.out.type(HIT, f"kill {victim.pid}")
    stage.out.wait_for(rf"victim ended \d+ {tag}$", HIT, start, STEP)
    stage.say(f"{tag}: page {victim.gpa:#x}: logged with bank {record.bank}, owner {record.owner}; intact")


def run(stage: Stage) -> None:
    start(stage)
    for mode in ("spin", "exit"):
        with Load(stage, HIT, mode):
            for number in range(1, ERRORS + 1):
                correct_one(stage, f"{mode}-{number}")
    only_polled(stage)
    if list(injected(stage)):
        raise Unexpected("a corrected error became a virtual machine check")
    stage.forbid(r"retired page", "system", why="a corrected error does not cost a page")
    stage.bystander_goes_on(HIT)
    both_alive(stage)
    other_never_noticed(stage)
