# SPDX-License-Identifier: BSD-2-Clause
"""The reference: Linux alone in the same emulator, hit by the same errors, handles them as the other scenarios demand."""

from simulate.console import Unexpected

from .guest_errors import ce_native, kill_by_touch, sleeping_survives, spinning_dies
from .stage import Stage

SUMMARY = "the reference: Linux alone, without Cairn, loses one process and nothing else to each error"
CPUS = ("intel", "amd")
# A #MC that one CPU alone sees is fatal to a Linux that expects it to be broadcast.
ONE_CPU = True
APPEND = "console=ttyS0 quiet cairn.shell=plain cairn.check_interval=1"
ROUNDS = 3


def run(stage: Stage) -> None:
    vm = "linux-1"
    hit = 0
    stage.start_native(APPEND)
    stage.ready(vm)
    if stage.cpu == "intel":
        # Only the victim runs meanwhile: without Cairn the process (or the kernel) that is interrupted pays.
        # On AMD Linux alone cannot recover at all here: QEMU's CPU does not offer SUCCOR.
        for number in range(ROUNDS):
            spinning_dies(stage, vm, "spin", f"srar-{number}")
            hit += 1
    stage.start_bystander(vm)
    kind = "srao" if stage.cpu == "intel" else "deferred"
    for number in range(ROUNDS):
        tag = f"{kind}-{number}"
        victim = sleeping_survives(stage, vm, kind, tag)
        kill_by_touch(stage, vm, victim, tag)
        hit += 1
    ce_native(stage, vm)
    corrupted = stage.corrupted_kb(vm)
    stage.say(f"HardwareCorrupted: {corrupted} kB after {hit} errors")
    if corrupted != 4 * hit:
        raise Unexpected(f"HardwareCorrupted is {corrupted} kB instead of {4 * hit} kB")
    stage.bystander_goes_on(vm)
