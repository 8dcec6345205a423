# SPDX-License-Identifier: BSD-2-Clause
"""Counts verdicts and shows each one, with its time, as soon as it is known."""

import os
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOGS = os.path.join(TOP, "build", "check")
# Of a failed test's log, this much is shown at once.
TAIL_LINES = 25


class Report:
    """The verdicts so far; threads may add to them."""

    def __init__(self, out=None):
        self.out = out or sys.stdout
        self.passed, self.failed, self.skipped = 0, 0, 0
        self.failures = []
        self.stage = ""
        self._lock = threading.Lock()

    def start_stage(self, name, summary):
        """A new stage's heading."""
        self.stage = name
        self._print(f"== {name}: {summary}")

    def _print(self, line):
        print(line, file=self.out, flush=True)

    def _verdict(self, word, name, seconds, note=""):
        line = f"{word:<4}  {self.stage}/{name}  {seconds:.1f} s"
        self._print(f"{line}  {note}".rstrip())

    def ok(self, name, seconds, note=""):
        """A test that showed what it is named for."""
        with self._lock:
            self.passed += 1
            self._verdict("ok", name, seconds, note)

    def fail(self, name, seconds, reason, log=None):
        """A test that did not; reason is one sentence or a few lines."""
        with self._lock:
            self.failed += 1
            self.failures.append(f"{self.stage}/{name}")
            self._verdict("FAIL", name, seconds)
            for line in reason.strip().splitlines()[-TAIL_LINES:]:
                self._print(f"      {line}")
            if log:
                self._print(f"      log: {os.path.relpath(log, TOP)}")

    def skip(self, name, reason):
        """A test that could not run here."""
        with self._lock:
            self.skipped += 1
            self._verdict("skip", name, 0.0, reason)

    def judge(self, name, seconds, reason, log=None):
        """ok without a reason against it, else FAIL."""
        if reason:
            self.fail(name, seconds, reason, log)
        else:
            self.ok(name, seconds)

    def summary(self):
        """The last line of all."""
        for name in self.failures:
            self._print(f"failed: {name}")
        self._print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")


class Watch:
    """Seconds since it was made or last read."""

    def __init__(self):
        self.start = time.monotonic()

    def lap(self):
        """Seconds since the last call."""
        now = time.monotonic()
        seconds, self.start = now - self.start, now
        return seconds
