# SPDX-License-Identifier: BSD-2-Clause
"""The serial console of a machine, read line by line in the background, for programs that wait for what is printed."""

import pathlib
import re
import threading
import time
from typing import Callable

from .errors import SimulateError
from .machine import Machine
from .transcript import Line, clean, parse_line

# The console server's escape key (Ctrl-]), then a digit: that VM gets the input.
ESCAPE = b"\x1d"
# Words after which waiting any longer is pointless, unless they were expected.
DISASTERS = (
    r"cairn: .*panic", r"cairn: stopped", r"cairn: a thread of space", r"[Aa]ssertion .*failed", r"server vmm-\S+: fault",
    r"server (root|console|mca-server)\S*: fault", r"Kernel panic - not syncing", r"vm \S+: is built anew",
)


class Unexpected(SimulateError):
    """Something that should be seen was not seen, or the opposite."""


class Console:
    """Collects the lines of a machine. Positions are indexes in `lines`."""

    def __init__(self, machine: Machine, vms: list[str], transcript: pathlib.Path, marked: bool = True) -> None:
        self.machine = machine
        self.vms = vms
        self.marked = marked
        self.lines: list[Line] = []
        self.tail = ""
        self.finished = False
        self.expected: set[str] = set()
        self.input_to = ""
        self._changed = threading.Condition()
        self._transcript = open(transcript, "w", encoding="utf-8", errors="replace")
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _parse(self, raw: str) -> Line:
        if not self.marked:
            return Line(self.vms[0], clean(raw))
        return parse_line(raw, [*self.vms, "system"])

    def _read(self) -> None:
        pending = b""
        while True:
            try:
                data = self.machine.console.recv(65536) if self.machine.console else b""
            except OSError:
                data = b""
            with self._changed:
                if not data:
                    if pending:
                        self._add(pending)
                    self.finished = True
                    self._changed.notify_all()
                    return
                *complete, pending = (pending + data).split(b"\n")
                for raw in complete:
                    self._add(raw)
                self.tail = clean(pending.decode(errors="replace"))
                self._changed.notify_all()

    def _add(self, raw: bytes) -> None:
        text = raw.decode(errors="replace").rstrip("\r")
        self.lines.append(self._parse(text))
        self._note(clean(text))

    def _note(self, text: str) -> None:
        if not self._transcript.closed:
            self._transcript.write(f"{time.monotonic() - self._started:9.3f} {text}\n")
            self._transcript.flush()

    def note(self, text: str) -> None:
        """A line of our own in the transcript."""
        with self._changed:
            self._note(f">>> {text}")

    def position(self) -> int:
        with self._changed:
            return len(self.lines)

    def texts(self, source: str | None = None, start: int = 0, end: int | None = None) -> list[str]:
        """What a source printed; a line without a mark may come from the kernel or the root-task: source "system"."""
        with self._changed:
            wanted = self.lines[start:end]
        if source is None:
            return [line.text for line in wanted]
        sources = ("system", "") if source == "system" else (source,)
        return [line.text for line in wanted if line.source in sources]

    def wait_for(
        self, pattern: str, source: str | None = None, start: int = 0, timeout: float = 120.0, what: str = "",
    ) -> tuple[re.Match[str], int]:
        """Waits for a line that matches; returns the match and the position after it."""
        compiled = re.compile(pattern)
        sources = None if source is None else ("system", "") if source == "system" else (source,)
        deadline = time.monotonic() + timeout
        position = start
        with self._changed:
            while True:
                while position < len(self.lines):
                    line = self.lines[position]
                    position += 1
                    match = compiled.search(line.text)
                    if match and (sources is None or line.source in sources):
                        return match, position
                    self._check_disaster(line)
                remaining = deadline - time.monotonic()
                wanted = what or f"`{pattern}`" + (f" from {source}" if source else "")
                if self.finished:
                    raise Unexpected(f"the machine ended before {wanted} was seen ({self.machine.complaint()})")
                if remaining <= 0:
                    raise Unexpected(f"{wanted} was not seen within {timeout:.0f} s")
                self._changed.wait(min(remaining, 1.0))

    def _check_disaster(self, line: Line) -> None:
        for pattern in DISASTERS:
            if pattern not in self.expected and re.search(pattern, line.text):
                raise Unexpected(f"something went wrong: {line.text}")

    def expect(self, word: str) -> None:
        """Disasters whose pattern has this word in it are wanted from now on."""
        found = {pattern for pattern in DISASTERS if word in pattern}
        assert found, word
        self.expected |= found

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 120.0) -> None:
        """Waits until a condition on what was printed so far holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            with self._changed:
                if self.finished:
                    raise Unexpected(f"the machine ended before {what}")
                if time.monotonic() > deadline:
                    raise Unexpected(f"{what}: not seen within {timeout:.0f} s")
                self._changed.wait(0.5)

    def wait_end(self, timeout: float) -> bool:
        """Whether the machine ended within the time."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self.finished and time.monotonic() < deadline:
                self._changed.wait(1.0)
            return self.finished

    def send(self, data: bytes) -> None:
        if not self.machine.console:
            raise Unexpected("the machine has ended")
        try:
            self.machine.console.sendall(data)
        except OSError as error:
            raise Unexpected(f"the machine does not take input: {error}") from error

    def type(self, vm: str, text: str) -> None:
        """Types a line into a VM's console."""
        data = text.encode() + b"\n"
        if self.marked and self.input_to != vm:
            data = ESCAPE + str(self.vms.index(vm) + 1).encode() + data
            self.input_to = vm
        self.note(f"type to {vm}: {text}")
        self.send(data)

    def close(self) -> None:
        self._thread.join(timeout=10)
        with self._changed:
            self._transcript.close()
