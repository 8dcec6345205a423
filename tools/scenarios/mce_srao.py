# SPDX-License-Identifier: BSD-2-Clause
"""Action-optional errors (Intel) on pages that are not being touched."""

from . import mce_optional
from .stage import Stage

SUMMARY = "action-optional errors (Intel) on pages not being touched: retired, the guest is told, the process lives until it touches"
CPUS = ("intel",)


def run(stage: Stage) -> None:
    mce_optional.run(stage, "srao")
