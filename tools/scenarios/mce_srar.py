# SPDX-License-Identifier: BSD-2-Clause
"""Action-required errors on the page that a process reads: it alone dies."""

from .guest_errors import resting_dies_at_touch, spinning_dies
from .mce import ERRORS, HIT, every_context, finish, start
from .stage import Stage

SUMMARY = "errors on pages being read, spinning and exiting: each kills its process by SIGBUS, and nothing else"
CPUS = ("intel", "amd")


def run(stage: Stage) -> None:
    start(stage)
    for mode in ("spin", "exit"):
        for number in range(1, ERRORS + 1):
            spinning_dies(stage, HIT, mode, f"{mode}-{number}")
    more = every_context(stage, lambda tag: resting_dies_at_touch(stage, HIT, tag))
    finish(stage, 2 * ERRORS + more)
