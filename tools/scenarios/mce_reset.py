# SPDX-License-Identifier: BSD-2-Clause
"""The machine is reset after a fatal error: what its banks still hold is told as such, and concerns nobody who runs then."""

import re

from simulate.console import Unexpected
from simulate.inject import error_for

from .mce import HIT, OTHER, both_alive, start
from .stage import BOOT, STEP, Stage

SUMMARY = "a reset after a fatal error: what the banks still hold is logged as from before the reset, and nothing else happens"
CPUS = ("intel", "amd")
LEFT_OVER = r"from before the last reset: record cpu (\d+) seq \d+ bank \d+ status (0x[0-9a-f]+) addr (0x[0-9a-f]+) .* class (\w+)"


def die(stage: Stage) -> int:
    """A corrupt processor context stops the system; returns the address of the error."""
    victim = stage.start_victim(HIT, "spin", "fatal")
    spa = stage.system_physical(HIT, victim.gpa)
    stage.at_random()
    begin = stage.out.position()
    stage.out.expect("cairn: stopped")
    stage.inject("fatal", spa)
    stage.out.wait_for(r"cairn: stopped", None, begin, STEP, "`cairn: stopped`")
    stage.say("a fatal error stopped the system")
    return spa


def run(stage: Stage) -> None:
    start(stage)
    spa = die(stage)
    begin = stage.out.position()
    assert stage.machine
    stage.machine.reset()
    stage.out.wait_for(r"cairn: microhypervisor", None, begin, BOOT, "the kernel's first line after the reset")
    match, _ = stage.out.wait_for(LEFT_OVER, "system", begin, BOOT, "the error from before the reset")
    stage.say(match[0])
    found = (int(match[2], 0), int(match[3], 0), match[4])
    if found != (error_for(stage.cpu, "fatal").status, spa, "FATAL"):
        raise Unexpected(f"that is another error than the one at {spa:#x}")
    for vm in (HIT, OTHER):
        stage.ready(vm, begin)
        stage.start_bystander(vm)
    both_alive(stage)
    for vm in (HIT, OTHER):
        stage.bystander_goes_on(vm)
        stage.forbid(r"[Mm]achine [Cc]heck|Memory failure|mce:|Hardware Error", vm, begin, "it is another life's error")
    stage.forbid(r"retired page|verdict|thawed", "system", begin, "nothing is to be done about it")
    told = [text for text in stage.out.texts("system", begin) if re.search(LEFT_OVER, text)]
    if len(told) != 1:
        raise Unexpected(f"the error from before the reset was told {len(told)} times")
    stage.say("both VMs run; nothing was stopped, thawed or retired")
