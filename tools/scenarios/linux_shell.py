# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernel boots to a shell in a VM, does what is typed, powers off; the system ends cleanly."""

import re

from simulate.console import Unexpected

from .stage import BOOT, STEP, Stage

SUMMARY = "Linux boots to its shell, runs commands typed to it, powers off; the system ends cleanly"
CPUS = ("intel", "amd")
PROMPT = re.compile(r"# $")
CLEAN_END = 1  # QEMU's exit status for value 0 at the debug-exit port


def typed(stage: Stage, command: str, wanted: str) -> None:
    """Waits for the prompt, types, and waits for a line of output that the echo of the command cannot match."""
    stage.out.wait_until(lambda: bool(PROMPT.search(stage.out.tail)), f"a prompt before `{command}`", STEP)
    start = stage.out.position()
    stage.out.type("linux-1", command)
    stage.out.wait_for(wanted, "linux-1", start, STEP)
    stage.say(f"`{command}`: {wanted}")


def run(stage: Stage) -> None:
    stage.start("default", marked=False)
    stage.out.wait_for(r"init: ready", "linux-1", 0, BOOT, "the shell")
    stage.say("linux-1 is ready")
    typed(stage, "echo sum-$((40 + 2))", r"^sum-42$")
    typed(stage, "uname -sm", r"^Linux x86_64$")
    typed(stage, "dmesg | grep -c 'Linux version 6.1'", r"^1$")
    # Sleeping needs the guest's timer interrupt.
    typed(stage, "sleep 1; echo slept-$?", r"^slept-0$")
    typed(stage, "sha256sum /bin/busybox | cut -c65-", r"^ +/bin/busybox$")
    start = stage.out.position()
    stage.out.wait_until(lambda: bool(PROMPT.search(stage.out.tail)), "a prompt", STEP)
    stage.out.type("linux-1", "poweroff -f")
    match, _ = stage.out.wait_for(r"system: ended \((.*)\)", None, start, STEP)
    stage.say(match[0])
    if not stage.out.wait_end(STEP):
        raise Unexpected("the system said that it ended, but the machine goes on")
    status = stage.machine.wait(STEP)
    if status != CLEAN_END:
        raise Unexpected(f"QEMU's exit status is {status}, not {CLEAN_END}")
    stage.say("the machine is off")
