# SPDX-License-Identifier: BSD-2-Clause
"""An interactive run: the user's terminal connected to the machine's serial port."""

import os
import select
import sys
import termios
from types import TracebackType

from .machine import Machine

PREFIX = 0x01  # Ctrl-A, as QEMU's own serial console has it
HELP = "\r\n[simulate: Ctrl-A x leaves; Ctrl-A a sends Ctrl-A; Ctrl-] is the console server's key]\r\n"
# The last part of what was printed, kept to see how the system ended.
KEPT = 65536


class Keys:
    """Separates what is typed to the machine from what is meant for us."""

    def __init__(self) -> None:
        self.prefixed = False

    def feed(self, data: bytes) -> tuple[bytes, bool, bool]:
        """(bytes for the machine, leave, show help)."""
        out = bytearray()
        show_help = False
        for byte in data:
            if not self.prefixed:
                if byte == PREFIX:
                    self.prefixed = True
                else:
                    out.append(byte)
                continue
            self.prefixed = False
            if byte in b"xX":
                return bytes(out), True, show_help
            if byte in (PREFIX, ord("a")):
                out.append(PREFIX)
            elif byte in b"h?":
                show_help = True
            else:
                out += bytes((PREFIX, byte))
        return bytes(out), False, show_help


class RawTerminal:
    """Keys go through as they are typed, unechoed; put back at the end. Does nothing where stdin is no terminal."""

    def __init__(self) -> None:
        self.fd = sys.stdin.fileno()
        self.saved = termios.tcgetattr(self.fd) if os.isatty(self.fd) else None

    def __enter__(self) -> "RawTerminal":
        if self.saved:
            mode = termios.tcgetattr(self.fd)
            mode[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
            mode[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
            termios.tcsetattr(self.fd, termios.TCSADRAIN, mode)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.saved:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self.saved)


class Session:
    """Copies between terminal and machine until the machine ends, the user leaves, or the kernel has stopped it: `stop_at` was
    printed, and the CPU confirms it, for a guest can print that as well."""

    def __init__(self, machine: Machine, stop_at: bytes) -> None:
        self.machine = machine
        self.stop_at = stop_at
        self.printed = b""
        self.stopped = False
        self.left = False

    def run(self) -> None:
        with RawTerminal() as terminal:
            self._pump(terminal.saved is not None)

    def _pump(self, is_terminal: bool) -> None:
        console = self.machine.console
        assert console
        keys = Keys()
        inputs = [console, sys.stdin.fileno()]
        while True:
            ready, _, _ = select.select(inputs, [], [])
            if console in ready and not self._show(console.recv(65536)):
                return
            if sys.stdin.fileno() in ready:
                data = os.read(sys.stdin.fileno(), 4096)
                if not data:
                    inputs.remove(sys.stdin.fileno())
                    continue
                if is_terminal:
                    data, self.left, show_help = keys.feed(data)
                    if show_help:
                        os.write(sys.stdout.fileno(), HELP.encode())
                console.sendall(data)
                if self.left:
                    return

    def _show(self, data: bytes) -> bool:
        if not data:
            return False
        view = memoryview(data)
        while view:
            view = view[os.write(sys.stdout.fileno(), view) :]
        # Words may be cut in two: the last few bytes are looked at again.
        recent = self.printed[-len(self.stop_at) + 1 :] + data
        self.printed = (self.printed + data)[-KEPT:]
        if self.stop_at in recent:
            self.stopped = self.machine.stands_still()
        return not self.stopped
