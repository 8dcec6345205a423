# SPDX-License-Identifier: BSD-2-Clause
"""Stage bochs: the VT-x backend, on Bochs."""

from . import boots, builds
from .report import Watch
from .run import at_once, log_path, run

LIMIT = 1800.0
# (system, preset, CPUs, exit status: ./simulate hands on what a guest writes to its debug-exit port)
RUNS = (("tests", "debug", 1, 0), ("tests", "release", 2, 0), ("nano-reflect", "release", 1, boots.CLEAN_END),
        ("nano-mmio", "debug", 1, boots.CLEAN_END), ("nano-triple", "release", 1, boots.CLEAN_END))
SCENARIO = "linux-shell"


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
    for _ in at_once([(scenario, report), *((on_target, report, *job) for job in RUNS)]):
        pass
