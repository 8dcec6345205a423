# SPDX-License-Identifier: BSD-2-Clause
"""Errors on memory that nobody uses: retired, and never handed out again."""

from simulate import transcript
from simulate.console import Unexpected
from simulate.inject import PAGE

from .guest_errors import sleeping_survives
from .mce import ERRORS, HIT, Load, every_context, only_polled, other_never_noticed, start
from .stage import Stage

SUMMARY = "errors on memory that nobody uses: retired, and not handed out when a VM is built anew"
CPUS = ("intel", "amd")


def retire_free(stage: Stage, kind: str, spa: int) -> None:
    stage.at_random()
    start = stage.out.position()
    stage.inject(kind, spa)
    record = stage.record(spa, start)
    retired = stage.retired(spa, start)
    if retired.holders or record.owner != "none":
        raise Unexpected(f"{spa:#x} was said to be free, but was held: {record.owner} {retired.holders}")
    stage.say(f"{spa:#x}: retired, nobody held it; interrupted: {record.context}")


def not_handed_out(stage: Stage, pages: list[int]) -> None:
    for piece in transcript.parse_pieces(stage.out.texts()):
        for page in pages:
            if piece.spa <= page < piece.spa + piece.end - piece.start:
                raise Unexpected(f"the retired page {page:#x} was handed out to {piece.vm}")


class FreePages:
    """Pages that the root-task said nobody has, each taken once."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.ranges = transcript.parse_free(stage.out.texts())
        self.taken: list[int] = []
        if not self.ranges:
            raise Unexpected("the root-task did not say which memory is free")

    def take(self) -> int:
        while True:
            first, end = self.stage.random.choice(self.ranges)
            page = self.stage.random.randrange(first // PAGE, end // PAGE) * PAGE
            if page not in self.taken:
                self.taken.append(page)
                return page


def run(stage: Stage) -> None:
    kind = "srao" if stage.cpu == "intel" else "deferred"
    start(stage)
    free = FreePages(stage)
    for mode in ("spin", "exit"):
        with Load(stage, HIT, mode):
            for _ in range(ERRORS):
                retire_free(stage, kind, free.take())
    if kind == "srao":
        every_context(stage, lambda _: retire_free(stage, kind, free.take()))
    pages = free.taken
    victim = sleeping_survives(stage, HIT, kind, "reboot")
    pages.append(stage.system_physical(HIT, victim.gpa))
    position = stage.out.position()
    stage.out.expect("is built anew")
    stage.out.type(HIT, "reboot -f")
    stage.ready(HIT, position)
    not_handed_out(stage, pages)
    stage.say(f"{HIT} was built anew, without any of the {len(pages)} retired pages")
    if stage.corrupted_kb(HIT) != 0:
        raise Unexpected(f"{HIT} starts with corrupted memory")
    other_never_noticed(stage)
    if kind == "deferred":
        only_polled(stage)
    stage.say_contexts()
