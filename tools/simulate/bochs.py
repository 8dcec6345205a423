# SPDX-License-Identifier: BSD-2-Clause
"""One Bochs process, for VT-x: its configuration, its life, its serial console."""

import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

from .errors import SimulateError
from .machine import Machine, Settings, die_with_parent

BOCHS = "bochs-bin"
# Its other Intel models say in CPUID that the TSC runs at the speed of the real one, and guests then wait 35 times too long.
CPU_MODEL = "corei7_haswell_4770"
CPUS_MAX = 8
MEMORY_MAX = 2048
# What the root-task prints last. Bochs does not know the port that ends QEMU.
ENDED = re.compile(rb"system: ended \(.*\): value (\d+)\r?\n")
# Ticks of the TSC per second of emulated time; one instruction takes one.
SPEED = 100_000_000

CONFIGURATION = """\
config_interface: textconfig
display_library: rfb, options="timeout=0, hideIPS"
cpu: model={model}, count={cpus}, ips={speed}, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/vgabios/vgabios.bin
plugin_ctrl: unmapped=1, biosdev=1, serial=1, extfpuirq=1, iodebug=1, speaker=0, parallel=0, gameport=0
ata0-master: type=cdrom, path="{medium}", status=inserted
boot: cdrom
clock: sync=none, time0=315529200
vga: realtime=0, update_freq=1
sound: waveoutdrv=dummy
log: {directory}/bochs.log
debugger_log: -
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
"""


def configuration(settings: Settings, directory: pathlib.Path, port: int) -> str:
    """The text of a configuration file."""
    return CONFIGURATION.format(
        model=settings.cpu_model or CPU_MODEL, cpus=settings.cpus, memory=settings.memory, medium=settings.kernel,
        directory=directory, port=port, speed=SPEED,
    )


def check(settings: Settings) -> None:
    """What Bochs cannot do, each refused with one sentence."""
    if settings.cpu != "intel":
        raise SimulateError("Bochs stands for Intel's VT-x: --cpu amd goes with --emulator qemu")
    if settings.cpus > CPUS_MAX:
        raise SimulateError(f"Bochs has at most {CPUS_MAX} CPUs here: --cpus {settings.cpus} goes with --emulator qemu")
    if settings.memory > MEMORY_MAX:
        raise SimulateError(
            f"Bochs has at most {MEMORY_MAX} MiB of RAM and the machine shall have {settings.memory}: say less with --memory, "
            "or use --emulator qemu"
        )


class Bochs(Machine):
    """A running Bochs. `directory` keeps what remains: serial.log, bochs.rc, bochs.log, emulator.log, state.json."""

    name = "Bochs"

    def __init__(self, settings: Settings, directory: pathlib.Path) -> None:
        super().__init__(settings, directory)
        self._value: int | None = None

    def start(self) -> None:
        check(self.settings)
        if not shutil.which(BOCHS):
            raise SimulateError(f"{BOCHS} is not installed: run tools/install-deps.sh")
        self.directory.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as server:
            rc, commands = self.directory / "bochs.rc", self.directory / "bochs.go"
            rc.write_text(configuration(self.settings, self.directory, server.getsockname()[1]))
            commands.write_text("c\n")  # its debugger is built in, and would wait for this
            with open(self.directory / "emulator.log", "wb") as log:
                self.process = subprocess.Popen(
                    [BOCHS, "-q", "-f", str(rc), "-rc", str(commands)], stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, cwd=self.directory, start_new_session=True, preexec_fn=die_with_parent,
                )
            try:
                self._relay(self._accept(server))
                self._write_state(None)
            except BaseException:
                self.stop()
                raise

    def _accept(self, server: socket.socket, timeout: float = 60.0) -> socket.socket:
        server.settimeout(0.2)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                serial, _ = server.accept()
                serial.setblocking(True)
                return serial
            except TimeoutError:
                if self.ended():
                    raise SimulateError(f"Bochs did not start: {self.complaint()}") from None
        raise SimulateError("Bochs did not open its console")

    def _relay(self, serial: socket.socket) -> None:
        """What the machine prints goes to the log and the console; when it has said that it ended, it does."""
        self.console, inner = socket.socketpair()

        def prints() -> None:
            recent = b""
            with open(self.serial_log, "wb") as log:
                found = None
                while not found:
                    try:
                        data = serial.recv(65536)
                        log.write(data)
                        log.flush()
                        inner.sendall(data)
                    except OSError:
                        break
                    recent = (recent + data)[-4096:]
                    found = ENDED.search(recent)
                    if not data:
                        break
            if found:
                self._value = int(found[1])
                self._kill()
            inner.shutdown(socket.SHUT_RDWR)  # a close would wait for the other thread

        def typed() -> None:
            try:
                while data := inner.recv(4096):
                    serial.sendall(data)
            except OSError:
                pass

        for work in (prints, typed):
            threading.Thread(target=work, daemon=True).start()

    def _kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def status(self) -> int | None:
        """As QEMU's would be: (value << 1) | 1 when the system ended with a value, None while it runs."""
        if self._value is not None:
            return self._value << 1 | 1
        return self.process.poll() if self.process else None

    def wait(self, timeout: float) -> int | None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and not self.ended():
            time.sleep(0.05)
        return self.status() if self.ended() else None

    def complaint(self) -> str:
        try:
            lines = (self.directory / "bochs.log").read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        panics = [line for line in lines if ">>PANIC<<" in line] or lines[-1:]
        return "; ".join(panics[-2:]) or f"exit status {self.status()}, no message"

    def stands_still(self) -> bool:
        """Nobody can look from outside: what the kernel prints is believed."""
        return True

    def stop(self) -> None:
        self._kill()
        super().stop()
