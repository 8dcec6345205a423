# SPDX-License-Identifier: BSD-2-Clause
"""Stage bochs: the VT-x backend, on Bochs."""

import concurrent.futures
import os

from . import boots, builds
from .report import Watch
from .run import log_path, run, stop_all

LIMIT = 1800.0
# (system, preset, CPUs, exit status: ./simulate hands on what a guest writes to its debug-exit port)
RUNS = (("tests", "debug", 1, 0), ("tests", "release", 2, 0), ("nano-reflect", "release", 1, boots.CLEAN_END),
        ("nano-mmio", "debug", 1, boots.CLEAN_END), ("nano-triple", "release", 1, boots.CLEAN_END))
SCENARIO = "linux-shell"
MAX_JOBS = 4


def on_target(report, system, preset, cpus, status):
    """The tests of one system."""
    command = [boots.SIMULATE, system, "--emulator", "bochs", "--preset", preset, "--cpus", str(cpus)]
    sights = [f"{cpus} CPU(s): APIC ids", boots.TARGET_SIGHTS.get(system, "")]
    boots.run_target(report, f"{system}-{preset}-{cpus}", command, sights, stage="bochs", limit=LIMIT, clean_end=status)


def scenario(report):
    """Debian's Linux to its shell, and off."""
    watch, log = Watch(), log_path("bochs", SCENARIO)
    reason = run([boots.SIMULATE, "--emulator", "bochs", "--scenario", SCENARIO], log, LIMIT)
    report.judge(SCENARIO, watch.lap(), reason, log if reason else None)


def stage_bochs(report):
    """VT-x on Bochs: the on-target tests on one CPU and on two, nano guests, and Linux to its shell."""
    watch = Watch()
    for preset in ("release", "debug"):
        reason = builds.build(preset)
        if reason:
            report.fail(f"build-{preset}", watch.lap(), reason)
            return
    with concurrent.futures.ThreadPoolExecutor(min(MAX_JOBS, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(scenario, report), *(pool.submit(on_target, report, *job) for job in RUNS)]
        try:
            for done in concurrent.futures.as_completed(jobs):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop_all()
            raise
