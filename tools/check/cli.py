# SPDX-License-Identifier: BSD-2-Clause
"""The command line of ./check."""

import argparse
import signal
import sys

from . import analysis, bochs, boots, builds, fuzz, machines, models, paths, payloads, proof, reproducible, source, units
from .report import Report, Watch

# In the order of running: what is quick and what others rest on comes first.
STAGES = {
    "rules": source.stage_rules,
    "size": source.stage_size,
    "format": source.stage_format,
    "manual": source.stage_manual,
    "build": builds.stage_build,
    "analysis": analysis.stage_analysis,
    "python": units.stage_python,
    "unit": units.stage_unit,
    "models": models.stage_models,
    "proof": proof.stage_proof,
    "reproducible": reproducible.stage_reproducible,
    "target": boots.stage_target,
    "paths": paths.stage_paths,
    "payload": payloads.stage_payload,
    "boot": machines.stage_boot,
    "scenarios": boots.stage_scenarios,
    "bochs": bochs.stage_bochs,
    "bench": boots.stage_bench,
    "fuzz": fuzz.stage_fuzz,
    "fuzz-long": fuzz.stage_fuzz_long,
}

# These run only when they are named.
ON_REQUEST = ("fuzz-long",)


def parse(arguments):
    """The command line as an object."""
    parser = argparse.ArgumentParser(
        prog="./check", description="Builds everything and runs all tests. The last line is "
        "'N passed, N failed, N skipped'; the exit status is 0 when none failed. Logs are in "
        "build/check/.")
    parser.add_argument("--stage", action="append", choices=list(STAGES), metavar="NAME",
                        help="run this stage only (may be repeated)")
    parser.add_argument("--list", action="store_true", help="list the stages")
    return parser.parse_args(arguments)


def main(arguments):
    """Returns the exit status."""
    options = parse(arguments)
    if options.list:
        for name, stage in STAGES.items():
            print(f"{name:<12} {stage.__doc__}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report, watch = Report(), Watch()
    for name, stage in STAGES.items():
        if name not in options.stage if options.stage else name in ON_REQUEST:
            continue
        report.start_stage(name, stage.__doc__)
        stage(report)
    print(f"time: {watch.lap():.0f} s")
    report.summary()
    return 1 if report.failed else 0
