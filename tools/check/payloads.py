# SPDX-License-Identifier: BSD-2-Clause
"""Stage payload: `./simulate --kernel FILE`, from the command line to the exit status."""

import os
import subprocess
import threading

from . import builds
from .report import TOP, Watch
from .run import log_path, tail

LIMIT = 300.0
# isa-debug-exit: (value << 1) | 1, and the value is 0 when all is well.
CLEAN_END = 1


def stage_payload(report):
    """`./simulate --kernel`: the payload's value for the debug-exit port becomes the exit status."""
    watch = Watch()
    reason = builds.build("release")
    if reason:
        report.fail("build-release", watch.lap(), reason)
        return
    guests = os.path.join(builds.directory("release"), "guests")
    linux = os.path.join(builds.directory("release"), "guest-linux")
    for title, words, typed, wanted in (
            ("nano", [os.path.join(guests, "nano-reflect.elf")], "", CLEAN_END),
            ("linux", [os.path.join(linux, "vmlinuz"), "--initrd", os.path.join(linux, "initrd.img"),
                               "--append", "console=ttyS0 quiet cairn.shell=plain"],
             "debug_exit 21\n", (21 << 1) | 1)):
        watch, log = Watch(), log_path("payload", title)
        reason = run_payload([os.path.join(TOP, "simulate"), "--kernel", *words], typed, wanted, log)
        report.judge(title, watch.lap(), reason, log if reason else None)


def run_payload(command, typed, wanted, log):
    """Runs a payload and types into its shell once that is there; the reason why its exit status is not `wanted`, or ""."""
    with open(log, "w", encoding="utf-8") as file, subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True) as process:
        # SIGTERM: ./simulate ends its emulator then.
        timer = threading.Timer(LIMIT, process.terminate)
        timer.start()
        try:
            for line in process.stdout:
                file.write(line)
                if typed and "init: ready" in line:
                    process.stdin.write(typed)
                    process.stdin.flush()
            status = process.wait()
        except BaseException:
            process.terminate()
            raise
        finally:
            timer.cancel()
    return "" if status == wanted else f"exit status {status}, not {wanted}\n{tail(log)}"
