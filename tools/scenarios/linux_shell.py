# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernel boots to a shell in a VM, does what is typed, powers off; the system ends cleanly."""

from simulate.console import Unexpected

from .stage import BOOT, KERNEL_OR_END, STEP, Stage

SUMMARY = "Linux boots to its shell, runs commands typed to it, powers off; the system ends cleanly"
CPUS = ("intel", "amd")
EMULATORS = ("qemu", "bochs")
PROMPT = "# "
CLEAN_END = 1  # the exit status for value 0 at the debug-exit port


def prompt(stage: Stage, after: int) -> None:
    """Waits for the shell's prompt; a message of the kernel may have ended its line."""
    stage.out.wait_until(
        lambda: any(text.startswith(PROMPT) for text in [*stage.out.texts(None, after), stage.out.tail]), "a prompt", STEP
    )


def typed(stage: Stage, after: int, command: str, wanted: str) -> int:
    """Types at the prompt and waits for a line that the echo of the command cannot match; returns its position.

    A message of the kernel may follow it on its line.
    """
    prompt(stage, after)
    start = stage.out.position()
    stage.out.type("linux-1", command)
    match, position = stage.out.wait_for(wanted + KERNEL_OR_END, "linux-1", start, STEP)
    stage.say(f"`{command}` printed `{match[0]}`")
    return position


def run(stage: Stage) -> None:
    stage.start("default", marked=False)
    _, at = stage.out.wait_for(r"init: ready", "linux-1", 0, BOOT, "the shell")
    stage.say("linux-1 is ready")
    at = typed(stage, at, "echo sum-$((40 + 2))", r"^sum-42")
    at = typed(stage, at, "uname -sm", r"^Linux x86_64")
    at = typed(stage, at, "dmesg | grep -c 'Linux version 6.1'", r"^1")
    # Sleeping needs the guest's timer interrupt.
    at = typed(stage, at, "sleep 1; echo slept-$?", r"^slept-0")
    at = typed(stage, at, "sha256sum /bin/busybox | cut -c65-", r"^ +/bin/busybox")
    prompt(stage, at)
    start = stage.out.position()
    stage.out.type("linux-1", "poweroff -f")
    match, _ = stage.out.wait_for(r"system: ended \((.*)\)", None, start, STEP)
    stage.say(match[0])
    if not stage.out.wait_end(STEP):
        raise Unexpected("the system said that it ended, but the machine goes on")
    status = stage.machine.wait(STEP)
    if status != CLEAN_END:
        raise Unexpected(f"the exit status is {status}, not {CLEAN_END}")
    stage.say("the machine is off")
