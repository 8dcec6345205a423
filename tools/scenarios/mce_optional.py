# SPDX-License-Identifier: BSD-2-Clause
"""Errors on pages that nobody is touching: retired in time, and the process lives until it touches its page."""

from .guest_errors import kill_by_touch, sleeping_survives
from .mce import ERRORS, HIT, Load, every_context, finish, only_polled, start
from .stage import Stage


def lose_untouched(stage: Stage, kind: str, tag: str) -> None:
    victim = sleeping_survives(stage, HIT, kind, tag)
    kill_by_touch(stage, HIT, victim, tag)


def run(stage: Stage, kind: str) -> None:
    start(stage)
    for mode in ("spin", "exit"):
        with Load(stage, HIT, mode):
            for number in range(1, ERRORS + 1):
                lose_untouched(stage, kind, f"{mode}-{number}")
    more = 0
    if kind == "srao":
        more = every_context(stage, lambda tag: lose_untouched(stage, kind, tag))
    else:
        only_polled(stage)
    finish(stage, 2 * ERRORS + more)
