# SPDX-License-Identifier: BSD-2-Clause
"""A CPU with nothing to do executes nothing: it is halted, and stays at one instruction."""

import re
import time

from simulate.console import Unexpected

from .stage import BOOT, STEP, Stage

SUMMARY = "nobody has anything to do: every CPU is halted and stays so"
CPUS = ("intel", "amd")
SAMPLES = 40
PAUSE = 0.05


def halted(stage: Stage) -> list[tuple[str, bool]]:
    """(RIP, whether it is halted) of each CPU."""
    text = stage.machine.qmp.monitor("info registers -a")
    return [(rip, halt == "1") for rip, halt in
            re.findall(r"^[RE]IP=([0-9a-f]+).*?\bHLT=([01])", text, re.MULTILINE)]


def run(stage: Stage) -> None:
    stage.start("idle")
    stage.out.wait_for(r"tests: idle", None, 0, BOOT, "the server to have nothing to do")
    deadline = time.monotonic() + STEP
    while not all(halt for _, halt in halted(stage)):  # the console still prints
        if time.monotonic() > deadline:
            raise Unexpected("a CPU does not halt although nobody has anything to do")
        time.sleep(PAUSE)
    time.sleep(1.0)
    first = halted(stage)
    if len(first) != stage.machine.settings.cpus:
        raise Unexpected(f"the emulator tells of {len(first)} CPUs, not of {stage.machine.settings.cpus}")
    for _ in range(SAMPLES):
        time.sleep(PAUSE)
        if halted(stage) != first or not all(halt for _, halt in first):
            raise Unexpected(f"a CPU has run although nobody had anything to do: {halted(stage)} after {first}")
    stage.say(f"all CPUs are halted, at {', '.join(rip for rip, _ in first)}")
