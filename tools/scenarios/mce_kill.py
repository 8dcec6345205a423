# SPDX-License-Identifier: BSD-2-Clause
"""Policies `restart` and `kill`: the VM that loses a page is stopped, with a clear message; the other goes on."""

from simulate import transcript
from simulate.console import Unexpected
from simulate.inject import PAGE

from .mce import HIT, OTHER, injected, other_never_noticed, start
from .stage import STEP, Stage

SUMMARY = (
    "policy restart: the VM that loses a page is stopped with a clear message and built anew without it, three times; "
    "policy kill: it is stopped for good; the other goes on"
)
CPUS = ("intel", "amd")


def lose_page(stage: Stage, mode: str, policy: str) -> tuple[int, int]:
    """An error on the victim's page, and the message about the VM's end: the page, and the position before the error."""
    victim = stage.start_victim(HIT, mode, policy)
    spa = stage.system_physical(HIT, victim.gpa)
    page = spa & ~(PAGE - 1)
    stage.at_random()
    begin = stage.out.position()
    stage.inject("srar", spa)
    record = stage.record(spa, begin)
    stage.check_holder(stage.retired(spa, begin), HIT, victim.gpa)
    match, _ = stage.out.wait_for(rf"vm {HIT} killed: .*", "system", begin, STEP, f"the message that {HIT} was killed")
    for words in (f"its policy is {policy}", f"(page {page:#x})"):
        if words not in match[0]:
            raise Unexpected(f"the message does not say `{words}`: {match[0]}")
    stage.say(f"{match[0]}; interrupted: {record.context}")
    return page, begin


def told_nobody(stage: Stage) -> None:
    if list(injected(stage)):
        raise Unexpected("a virtual machine check was injected, although the policy does not say so")
    stage.forbid(rf"vm {OTHER}\b.*(killed|stopped|built anew)", "system", why="it lost nothing")
    other_never_noticed(stage)


def restarts_without(stage: Stage, pages: list[int], begin: int) -> None:
    """The VM boots again, in memory that was reported after its end and has none of the lost pages."""
    stage.out.wait_for(rf"vm {HIT}: is built anew", "system", begin, STEP, f"that {HIT} is built anew")
    stage.ready(HIT, begin)
    pieces = [piece for piece in transcript.parse_pieces(stage.out.texts("system", begin)) if piece.vm == HIT]
    if not pieces:
        raise Unexpected(f"the root-task did not say where the memory of {HIT} lies now")
    for page in pages:
        if any(piece.spa <= page < piece.spa + piece.end - piece.start for piece in pieces):
            raise Unexpected(f"the lost page {page:#x} is in the memory of {HIT} again")
    if stage.corrupted_kb(HIT) != 0:
        raise Unexpected(f"{HIT} starts with corrupted memory")
    stage.say(f"{HIT} was built anew: its memory has none of the {len(pages)} lost pages")


def restart(stage: Stage) -> None:
    start(stage, f"vm.{HIT}.policy=restart", variant="-restart")
    stage.out.expect("is built anew")
    pages: list[int] = []
    for mode in ("spin", "exit", "sleep"):
        page, begin = lose_page(stage, mode, "restart")
        pages.append(page)
        restarts_without(stage, pages, begin)
        told_nobody(stage)


def kill(stage: Stage) -> None:
    start(stage, f"vm.{HIT}.policy=kill", variant="-kill")
    lose_page(stage, "spin", "kill")
    told_nobody(stage)
    # What the console had still to print may follow the message; after the other VM's next steps nothing may.
    later = stage.out.position()
    stage.bystander_goes_on(OTHER, 10)
    if stage.out.texts(HIT, later):
        raise Unexpected(f"{HIT} goes on although it was killed: {stage.out.texts(HIT, later)[0]!r}")
    stage.forbid(rf"vm {HIT}: is built anew", "system", why="it should stay stopped")
    stage.say(f"{HIT} is silent")


def run(stage: Stage) -> None:
    restart(stage)
    kill(stage)
    stage.say_contexts()
