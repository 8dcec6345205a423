# SPDX-License-Identifier: BSD-2-Clause
"""Stages unit (cmocka programs) and python (unittest files)."""

import glob
import os
import re

from . import builds
from .report import TOP, Watch
from .run import TooLong, lines_of, log_path, tail

VERDICT = re.compile(r"^\[\s+(OK|FAILED|SKIPPED)\s+\] (\S.*)$")
RUNNING = re.compile(r"^\[ RUN\s+\] (.*)$")
PROGRAM_LIMIT = 300.0
PYTHON_TESTS = ("tools/**/*_test.py", "apps/**/*_test.py")


def stage_unit(report):
    """The host's tests of pure code, under sanitizers."""
    watch = Watch()
    reason = builds.build("debug")
    if reason:
        report.fail("build", watch.lap(), reason)
        return
    names = builds.listed("debug", "tests.txt")
    if not names:
        report.fail("programs", watch.lap(), "this build has no host tests")
    for name in names:
        run_cmocka(report, name, os.path.join(builds.directory("debug"), name))


def run_cmocka(report, name, program):
    """Each test of one program is a test."""
    name = os.path.basename(name)
    log, watch, running, reason, failed, ran = log_path("unit", name), Watch(), None, "", 0, 0
    # Leaks are looked for by default; a program may opt out by itself, so nothing is said of them here.
    environment = {"ASAN_OPTIONS": "abort_on_error=0",
                   "UBSAN_OPTIONS": "print_stacktrace=1", "CMOCKA_MESSAGE_OUTPUT": "STDOUT"}
    try:
        for line, status in lines_of([program], log, PROGRAM_LIMIT, env=environment):
            found = RUNNING.match(line)
            if found:
                running = found.group(1)
            found = VERDICT.match(line)
            if found and running is not None:
                ran, running = ran + 1, None
                failed += found.group(1) == "FAILED"
                _cmocka_verdict(report, found, name, watch.lap(), log)
            if status:
                reason = f"exit status {status}\n{tail(log)}"
    except (TooLong, OSError) as error:
        reason = str(error)
    if running is not None:
        report.fail(f"{name}/{running}", watch.lap(), f"did not return: {reason}", log)
    elif reason and not failed:
        report.fail(name, watch.lap(), reason, log)
    elif ran == 0:
        report.fail(name, watch.lap(), "ran no test", log)


def _cmocka_verdict(report, found, program, seconds, log):
    word, test = found.group(1), f"{program}/{found.group(2)}"
    if word == "OK":
        report.ok(test, seconds)
    elif word == "SKIPPED":
        report.skip(test, "the test skipped itself")
    else:
        report.fail(test, seconds, tail(log), log)


def stage_python(report):
    """Unit tests of the tools."""
    files = []
    for pattern in PYTHON_TESTS:
        files += glob.glob(os.path.join(TOP, pattern), recursive=True)
    for file in sorted(files):
        run_unittests(report, os.path.relpath(file, TOP))


def run_unittests(report, file):
    """Each test method of one file is a test."""
    log, watch, reason, ran, failed = log_path("python", file), Watch(), "", 0, 0
    short = os.path.basename(file).removesuffix(".py")
    command = [builds.PYTHON, os.path.join(TOP, "tools", "check", "unittests.py"), file]
    try:
        for line, status in lines_of(command, log, PROGRAM_LIMIT):
            word, _, test = line.partition(" ")
            if word == "ok:":
                ran += 1
                report.ok(f"{short}/{test}", watch.lap())
            elif word == "FAIL:":
                ran, failed = ran + 1, failed + 1
                report.fail(f"{short}/{test}", watch.lap(), tail(log), log)
            elif word == "skip:":
                report.skip(f"{short}/{test.partition(' ')[0]}", test.partition(" ")[2])
            if status:
                reason = f"exit status {status}\n{tail(log)}"
    except (TooLong, OSError) as error:
        reason = str(error)
    if reason and not failed:
        report.fail(short, watch.lap(), reason, log)
    elif ran == 0 and not reason:
        report.fail(short, watch.lap(), "ran no test", log)
