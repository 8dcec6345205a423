# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's machine protocol (QMP) over a Unix socket: commands, and monitor commands (HMP) through them."""

import json
import pathlib
import socket
import time
from typing import Any

from .errors import SimulateError


class QmpError(SimulateError):
    """QEMU refused a command or does not answer."""


class Qmp:
    """One connection. QEMU serves one client per socket at a time."""

    def __init__(self, path: pathlib.Path, timeout: float = 20.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.pending = b""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.socket.connect(str(path))
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise QmpError(f"QEMU does not listen at {path}: {error}") from error
                time.sleep(0.02)
        self._receive()  # the greeting
        self.command("qmp_capabilities")

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self.pending:
            try:
                data = self.socket.recv(65536)
            except OSError as error:
                raise QmpError(f"QEMU does not answer: {error}") from error
            if not data:
                raise QmpError("QEMU closed its control connection: it has ended")
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def command(self, name: str, **arguments: Any) -> Any:
        request: dict[str, Any] = {"execute": name}
        if arguments:
            request["arguments"] = arguments
        try:
            self.socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise QmpError(f"QEMU has ended: {error}") from error
        while True:
            answer = self._receive()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise QmpError(f"QEMU refuses {name}: {answer['error'].get('desc', answer['error'])}")
            # Everything else is an event.

    def monitor(self, line: str, cpu: int = 0) -> str:
        """A command of QEMU's human monitor, about one CPU; the answer is '' where it has nothing to say."""
        return self.command("human-monitor-command", **{"command-line": line, "cpu-index": cpu}).strip()

    def close(self) -> None:
        self.socket.close()
