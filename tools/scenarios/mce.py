# SPDX-License-Identifier: BSD-2-Clause
"""What the machine-check scenarios have in common."""

import re
from typing import Callable, Iterator

from simulate import transcript
from simulate.console import Unexpected
from simulate.transcript import CONTEXTS

from .stage import STEP, Stage

HIT, OTHER = "linux-1", "linux-2"
ERRORS = 20
# At most so many more errors until each kind of interrupted context has occurred.
MORE = 160
# What runs in the VM while its victim sleeps, to be met in a certain context. "": nothing, so that all are idle.
LOADS = {"guest-user": "spin", "guest-kernel": "kernel", "kernel": "exit", "server": "port", "idle": ""}


def start(stage: Stage, *overrides: str, variant: str = "") -> None:
    """Boots the two VMs, with a bystander in each."""
    stage.start("scenario-mce", *overrides, variant=variant)
    for vm in (HIT, OTHER):
        stage.ready(vm)
    for vm in (HIT, OTHER):
        stage.start_bystander(vm)


class Quiet:
    """Both bystanders hold still, so that the machine is idle once a victim has fallen asleep."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.instants = stage.instants

    def __enter__(self) -> None:
        for vm in (HIT, OTHER):
            self.stage.shell(vm, "killall -STOP bystander")
        self.stage.instants = (0.5, 1.5)

    def __exit__(self, kind: object, *_: object) -> None:
        self.stage.instants = self.instants
        for vm in (HIT, OTHER) if kind is None else ():
            self.stage.shell(vm, "killall -CONT bystander")


class Load:
    """A process in a VM that keeps it busy: spin, exit, port or kernel."""

    def __init__(self, stage: Stage, vm: str, mode: str) -> None:
        self.stage, self.vm, self.mode = stage, vm, mode

    def __enter__(self) -> "Load":
        self.stage.shell(self.vm, f"load {self.mode} &")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.stage.shell(self.vm, "killall load")


def every_context(stage: Stage, hit: Callable[[str], None]) -> int:
    """Goes on injecting, with loads that make the missing contexts likely, until each has occurred; returns how many."""
    more = turn = 0
    stage.anywhere = False  # the loads are on the CPU of their VM
    while True:
        missing = [context for context in CONTEXTS if not stage.contexts[context]]
        if not missing:
            stage.anywhere = True
            return more
        if more >= MORE:
            raise Unexpected(f"no error interrupted {' or '.join(missing)} in {more} more tries")
        # In turns: one that is met seldom leaves the others their tries.
        wanted, turn = missing[turn % len(missing)], turn + 1
        with Load(stage, HIT, LOADS[wanted]) if LOADS[wanted] else Quiet(stage):
            for _ in range(4):
                more += 1
                hit(f"context-{more}")
                if stage.contexts[wanted]:
                    break


def only_polled(stage: Stage) -> None:
    """Corrected and deferred errors are found by polling: there is no exception, hence nothing that it interrupts."""
    others = sorted(context for context in stage.contexts if context != "poll")
    if others or not stage.contexts["poll"]:
        raise Unexpected(f"these errors should be found by polling, but they interrupted {', '.join(others) or 'nothing'}")
    stage.say(f"all {stage.contexts['poll']} were found by polling, which interrupts nobody")


def injected(stage: Stage) -> Iterator[tuple[str, int]]:
    """(AR or AO, guest-physical address) of each virtual machine check that was delivered."""
    for text in stage.out.texts("system"):
        match = re.search(r"vMCE injected: (AR|AO) gpa (0x[0-9a-f]+)", text)
        if match:
            yield match[1], int(match[2], 0)


def other_never_noticed(stage: Stage) -> None:
    """No gap, no wrong result, not a word about machine checks from the other VM, and it goes on."""
    stage.forbid(r"[Mm]achine [Cc]heck|Memory failure|mce:|Hardware Error", OTHER, why="it should not notice")
    stage.bystander_goes_on(OTHER)


def finish(stage: Stage, errors: int) -> None:
    """After `errors` pages were lost: the guest counts each, is alive, and nobody else noticed."""
    corrupted = stage.corrupted_kb(HIT)
    if corrupted != 4 * errors:
        raise Unexpected(f"{HIT} counts {corrupted} kB as corrupted instead of {4 * errors} kB for {errors} errors")
    stage.say(f"{HIT}: HardwareCorrupted {corrupted} kB for {errors} errors; its shell answers")
    stage.bystander_goes_on(HIT)
    other_never_noticed(stage)
    stage.forbid(r"CORRUPTED", HIT, why="a victim read wrong data")
    # A line that the console shows anew is still the same victim's.
    victims = {victim for text in stage.out.texts(HIT) if (victim := transcript.parse_victim(text))}
    pages = {victim.gpa for victim in victims}
    stage.say(f"{len(pages)} different pages")
    if len(pages) != len(victims):
        raise Unexpected("a lost page was used again by the guest")
    stage.say_contexts()


def both_alive(stage: Stage) -> None:
    for vm in (HIT, OTHER):
        if "answer-42" not in stage.shell(vm, "echo answer-$((6 * 7))", STEP):
            raise Unexpected(f"{vm}'s shell does not answer")
