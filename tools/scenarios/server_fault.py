# SPDX-License-Identifier: BSD-2-Clause
"""A server dereferences NULL: it is reported, and the rest goes on."""

import re

from simulate.console import Unexpected

from .stage import BOOT, Stage

SUMMARY = "a server dereferences NULL: reported with address and registers, and the rest goes on"
CPUS = ("intel", "amd")
EMULATORS = ("qemu", "bochs")


def run(stage: Stage) -> None:
    stage.start("server-fault")
    match, _ = stage.out.wait_for(
        r"server server-fault: fault vector (\d+) address (0x[0-9a-f]+|0) at rip (0x[0-9a-f]+) rsp (0x[0-9a-f]+).*",
        None, 0, BOOT, "the report of the fault",
    )
    stage.say(match[0])
    if match[1] != "14" or int(match[2], 16) >= 4096:
        raise Unexpected("the report is not one of a page fault at NULL")
    if not re.search(r"0x[0-9a-f]+", match[3]) or int(match[3], 16) == 0:
        raise Unexpected("the report has no instruction address")
    stage.ready("linux-1")
    stage.start_bystander("linux-1")
    stage.bystander_goes_on("linux-1", 5)
    if "answer-42" not in stage.shell("linux-1", "echo answer-$((6 * 7))"):
        raise Unexpected("linux-1's shell does not answer")
    stage.say("linux-1 works")
