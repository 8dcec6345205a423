# SPDX-License-Identifier: BSD-2-Clause
"""Deferred errors (AMD) on pages that are not being touched."""

from . import mce_optional
from .stage import Stage

SUMMARY = "deferred errors (AMD) on pages not being touched: retired, the guest is told, the process lives until it touches"
CPUS = ("amd",)


def run(stage: Stage) -> None:
    mce_optional.run(stage, "deferred")
