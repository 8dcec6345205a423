# SPDX-License-Identifier: BSD-2-Clause
"""Hardware memory errors: which kinds each vendor's rules know, and the recipe that delivers them in QEMU."""

import re
import time
from dataclasses import dataclass
from typing import Iterable

from .errors import SimulateError
from .qmp import Qmp

PAGE = 4096
BANK = 4
# IA32_MCi_MISC, SDM vol. 3 15.3.2.4: bits 8:6 = 2 physical address, bits 5:0 = 12 lowest valid bit: a whole page.
MISC_PAGE = 0x8C
# IA32_MCG_STATUS, SDM vol. 3 15.3.1.2.
RIPV, EIPV, MCIP = 1, 2, 4

KINDS = ("ce", "srao", "srar", "deferred", "fatal")
MEANING = {
    "ce": "corrected error",
    "srao": "uncorrected error, action optional",
    "srar": "uncorrected error, action required",
    "deferred": "deferred error",
    "fatal": "uncorrected error, processor context corrupt",
}


@dataclass(frozen=True)
class Error:
    """What goes into a bank. With `exception` a #MC is raised; without, the bank waits for a poll."""

    status: int
    mcg_status: int
    exception: bool


# The words are those that Linux alone was seen to handle as described in the scenarios.
RULES: dict[str, dict[str, Error]] = {
    "intel": {
        "ce": Error(0x9C00004000000091, 0, False),
        "srao": Error(0xBD000000000000C0, MCIP | RIPV, True),
        "srar": Error(0xBD80000000000134, MCIP | RIPV | EIPV, True),
        "fatal": Error(0xBE00000000000134, MCIP, True),
    },
    "amd": {
        "ce": Error(0x9C00004000000091, 0, False),
        "deferred": Error(0x9C00100000000811, 0, False),
        "srar": Error(0xBC00000000000134, MCIP | RIPV | EIPV, True),
        "fatal": Error(0xBE00000000000134, MCIP, True),
    },
}
INSTEAD = {("intel", "deferred"): "srao", ("amd", "srao"): "deferred"}


def error_for(cpu: str, kind: str) -> Error:
    """The bank content for a kind, or a sentence why the vendor's rules have none."""
    try:
        return RULES[cpu][kind]
    except KeyError:
        instead = INSTEAD[cpu, kind]
        raise SimulateError(
            f"`{kind}` is not an error of {cpu.upper() if cpu == 'amd' else 'Intel'} CPUs; "
            f"what comes closest here is `{instead}` ({MEANING[instead]})"
        ) from None


# What the other CPUs see of an error that is broadcast, when QEMU does it: a bank with nothing that was signalled.
UNAFFECTED = "1 0xa000000000000000 0x5 0 0"


def command_for(cpu: str, kind: str, address: int, target_cpu: int, broadcast: bool = False) -> str:
    """QEMU's monitor command that puts an error into a CPU's bank, and raises #MC there or, broadcast, on all CPUs."""
    error = error_for(cpu, kind)
    if broadcast and (cpu != "intel" or not error.exception):
        raise SimulateError("only Intel CPUs broadcast machine checks, and only those of errors that raise one")
    option = "-b " if broadcast else ""
    return f"mce {option}{target_cpu} {BANK} {error.status:#x} {error.mcg_status:#x} {address:#x} {MISC_PAGE:#x}"


def deliver(qmp: Qmp, commands: Iterable[str]) -> str:
    """Raises machine checks, all at the same instant; returns what was done.

    Under TCG a #MC that arrives while a guest runs would go through the guest's own IDT. The NMI, which is
    intercepted, makes the host leave the guest first, and the #MC then meets the host. It reaches all CPUs; the others
    leave their guests for nothing.
    """
    steps = ["nmi", *commands]
    qmp.command("stop")
    try:
        answers = [qmp.monitor(step) for step in steps]
    finally:
        qmp.command("cont")
    if any(answers):
        raise SimulateError(f"QEMU refuses the error: {' '.join(answers)}")
    return "; ".join(["stop", *steps, "cont"])


def inject_in_user_mode(qmp: Qmp, cpu: str, kind: str, address: int) -> str:
    """For an operating system that runs alone: a #MC that meets it at CPL 3, as an error that a process consumes does."""
    command = command_for(cpu, kind, address, 0)
    for _ in range(200):
        qmp.command("stop")
        try:
            if re.search(r"\bCPL=3\b", qmp.monitor("info registers")):
                answer = qmp.monitor(command)
                break
        finally:
            qmp.command("cont")
        time.sleep(0.01)
    else:
        raise SimulateError("the machine was never seen in user mode")
    if answer:
        raise SimulateError(f"QEMU refuses the error: {answer}")
    return f"{kind} at physical {address:#x}, in user mode: stop; {command}; cont"


def inject(qmp: Qmp, cpu: str, kind: str, address: int, target_cpu: int = 0, broadcast: bool = False) -> str:
    """Puts the error into the running machine, to be seen by one CPU; returns what was done, for the user."""
    command = command_for(cpu, kind, address, target_cpu, broadcast)
    if error_for(cpu, kind).exception:
        done = deliver(qmp, [command])
    else:
        answer, done = qmp.monitor(command), command
        if answer:
            raise SimulateError(f"QEMU refuses the error: {answer}")
    return f"{kind} ({MEANING[kind]}) at system-physical {address:#x} on CPU {target_cpu}: {done}"
