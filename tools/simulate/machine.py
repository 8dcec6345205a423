# SPDX-License-Identifier: BSD-2-Clause
"""One emulator process. QEMU's: its command line, its life, its serial console and its control sockets."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from .errors import SimulateError
from .qmp import Qmp

QEMU = "qemu-system-x86_64"
# The backend is SVM in both cases, as QEMU's TCG has no VMX; the vendor decides on the machine-check rules.
CPU_MODELS = {"intel": "Haswell,+svm,+npt", "amd": "EPYC"}
DEBUG_EXIT = "isa-debug-exit,iobase=0xf4,iosize=4"
# Said by QEMU at every start: CPU features that its models name and TCG lacks; its socket.
HARMLESS = ("TCG doesn't support requested feature", "QEMU waiting for connection")
PR_SET_PDEATHSIG = 1
RFLAGS_IF = 1 << 9


@dataclass
class Settings:
    """What one run needs to know. Memory in MiB."""

    emulator: str = "qemu"
    cpu: str = "intel"
    cpu_model: str = ""
    cpus: int = 1
    memory: int = 1024
    icount: bool = False
    kernel: pathlib.Path | None = None
    initrd: pathlib.Path | None = None
    append: str = ""
    system: str = ""
    extra: list[str] = field(default_factory=list)


def command_line(settings: Settings, console: pathlib.Path, qmp: list[pathlib.Path], log: pathlib.Path) -> list[str]:
    assert settings.kernel is not None
    command = [QEMU, "-accel", "tcg", "-M", "q35", "-m", str(settings.memory)]
    command += ["-cpu", settings.cpu_model or CPU_MODELS[settings.cpu], "-smp", str(settings.cpus)]
    command += ["-nodefaults", "-display", "none", "-no-reboot", "-device", DEBUG_EXIT]
    if settings.icount:
        # A measured run has no peer that could make it wait: its output goes to a file, its monitor does not exist.
        command += ["-chardev", f"file,id=console,path={log}"]
    else:
        command += ["-chardev", f"socket,id=console,path={console},server=on,wait=on,logfile={log}"]
        for path in qmp:
            command += ["-qmp", f"unix:{path},server=on,wait=off"]
    command += ["-serial", "chardev:console"]
    command += ["-kernel", str(settings.kernel)]
    if settings.initrd:
        command += ["-initrd", str(settings.initrd)]
    if settings.append:
        command += ["-append", settings.append]
    if settings.icount:
        # Neither the host's clock nor its random numbers (RDRAND) may make two runs differ.
        command += ["-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]
    return command + settings.extra


def is_halted_for_good(registers: str) -> bool:
    """What QEMU's `info registers` shows of a CPU that is halted in ring 0 with interrupts off."""
    found = re.search(r"RFL=([0-9a-f]+).*?CPL=0.*?HLT=1", registers, re.DOTALL)
    return bool(found) and not int(found[1], 16) & RFLAGS_IF


def die_with_parent() -> None:
    """Even a killed front end leaves no QEMU behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Machine:
    """A running QEMU. `directory` keeps what remains: serial.log, qemu.log, state.json."""

    name = "QEMU"

    def __init__(self, settings: Settings, directory: pathlib.Path) -> None:
        self.settings = settings
        self.directory = directory
        self.serial_log = directory / "serial.log"
        self.state_file = directory / "state.json"
        self.process: subprocess.Popen[bytes] | None = None
        self.console: socket.socket | None = None
        self._qmp: Qmp | None = None
        self._sockets: pathlib.Path | None = None

    def __enter__(self) -> "Machine":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        if not shutil.which(QEMU):
            raise SimulateError(f"{QEMU} is not installed: run tools/install-deps.sh")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.serial_log.unlink(missing_ok=True)  # _follow must not take the last run's for this one's
        # Not in the build directory: the name of a Unix socket has at most 107 characters.
        self._sockets = pathlib.Path(tempfile.mkdtemp(prefix="cairn-"))
        console, own, others = (self._sockets / name for name in ("console", "qmp", "inject"))
        command = command_line(self.settings, console, [own, others], self.serial_log)
        with open(self.directory / "qemu.log", "wb") as log:
            # Its own session: Ctrl-C at the terminal is ours to handle.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent,
            )
        try:
            if self.settings.icount:
                self._follow()
            else:
                self._connect(console)
            self._write_state(others)
        except BaseException:
            self.stop()
            raise

    def _follow(self) -> None:
        """The console of a measured run: what appears in its file."""
        self.console, writer = socket.socketpair()

        def follow() -> None:
            with writer, open(self.serial_log, "rb") as log:
                while True:
                    ended = self.ended()
                    data = log.read()
                    try:
                        writer.sendall(data)
                    except OSError:
                        return
                    if ended and not data:
                        return
                    time.sleep(0.05)

        self.serial_log.touch()
        threading.Thread(target=follow, daemon=True).start()

    def _connect(self, path: pathlib.Path, timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        self.console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while True:
            try:
                self.console.connect(str(path))
                return
            except OSError as error:
                if self.ended():
                    raise SimulateError(f"QEMU did not start: {self.complaint()}") from error
                if time.monotonic() > deadline:
                    raise SimulateError("QEMU did not open its console") from error
                time.sleep(0.02)

    def _write_state(self, qmp: pathlib.Path | None) -> None:
        assert self.process
        state = {
            "pid": self.process.pid, "emulator": self.settings.emulator, "qmp": str(qmp), "serial": str(self.serial_log),
            "cpu": self.settings.cpu, "cpus": self.settings.cpus, "system": self.settings.system,
        }
        self.state_file.write_text(json.dumps(state, indent=1) + "\n")

    @property
    def qmp(self) -> Qmp:
        if self._qmp is None:
            if not self._sockets:
                raise SimulateError(f"{self.name} has no monitor: this goes with --emulator qemu only")
            self._qmp = Qmp(self._sockets / "qmp")
        return self._qmp

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def status(self) -> int | None:
        return self.process.poll() if self.process else None

    def complaint(self) -> str:
        """What QEMU itself had to say."""
        try:
            lines = (self.directory / "qemu.log").read_text(errors="replace").splitlines()
        except OSError:
            return "no message"
        lines = [line for line in lines if line.strip() and not any(word in line for word in HARMLESS)]
        return "; ".join(lines[-3:]) or f"exit status {self.status()}, no message"

    def stands_still(self) -> bool:
        """Is each CPU halted with interrupts off, as Cairn's kernel leaves it? Halting, they may need a moment."""
        for _ in range(20):
            if all(is_halted_for_good(self.qmp.monitor("info registers", cpu)) for cpu in range(self.settings.cpus)):
                return True
            time.sleep(0.05)
        return False

    def reset(self) -> None:
        """Presses the reset button: the machine starts anew, its machine-check banks keep what they hold."""
        self.qmp.command("set-action", reboot="reset")
        self.qmp.command("system_reset")

    def wait(self, timeout: float) -> int | None:
        assert self.process
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        if self._qmp:
            self._qmp.close()
            self._qmp = None
        if self.console:
            self.console.close()
            self.console = None
        if self.process and self.process.poll() is None:
            self.process.terminate()
            if self.wait(10) is None:
                self.process.kill()
                self.process.wait()
        self.state_file.unlink(missing_ok=True)
        if self._sockets:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None


def make_machine(settings: Settings, directory: pathlib.Path) -> Machine:
    """The machine, not started yet, of the emulator that the settings name."""
    if settings.emulator == "bochs":
        from .bochs import Bochs

        return Bochs(settings, directory)
    return Machine(settings, directory)


def read_state(path: pathlib.Path) -> dict[str, Any] | None:
    """The state of a machine that still runs, or None."""
    try:
        state = json.loads(path.read_text())
        os.kill(int(state["pid"]), 0)
        return state
    except (OSError, ValueError, KeyError, TypeError):
        return None
