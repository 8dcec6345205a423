# SPDX-License-Identifier: BSD-2-Clause
"""Stage paths: the kernel's short paths, followed in an emulator, and docs/paths.md."""

import os
import re

from . import builds
from .report import TOP, Watch
from .run import TooLong, lines_of, log_path, tail

PATHS_LIMIT = 600.0
LINE = re.compile(r"^(ok|FAIL) ([^:]+): (.*)$")


def stage_paths(report):
    """What the path from exit to portal to reply reads and writes: no lock, nothing of another CPU, as in docs/paths.md."""
    watch, log = Watch(), log_path("paths", "paths")
    reason = builds.build("release")
    if reason:
        report.fail("build", watch.lap(), reason)
        return
    judge_paths(report, [builds.PYTHON, os.path.join(TOP, "tools", "paths")], log)


def judge_paths(report, command, log):
    """Each `ok NAME: …` is a test, and each NAME of `FAIL NAME: …` lines; an end that does not fit them is one more."""
    watch, failed, status, ran = Watch(), {}, None, 0
    try:
        for line, status in lines_of(command, log, PATHS_LIMIT):
            found = LINE.match(line)
            if found and found.group(1) == "ok":
                ran += 1
                report.ok(found.group(2), watch.lap(), found.group(3))
            elif found:
                failed.setdefault(found.group(2), []).append(found.group(3))
    except (TooLong, OSError) as error:
        failed["end"] = [str(error), tail(log)]
    for name, reasons in failed.items():
        report.fail(name, watch.lap(), "\n".join(reasons), log)
    if not failed and (status != 0 or ran == 0):
        report.fail("end", watch.lap(), f"exit status {status} after {ran} tests\n{tail(log)}", log)
