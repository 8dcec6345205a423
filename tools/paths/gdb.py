# SPDX-License-Identifier: BSD-2-Clause
"""A client of QEMU's gdbstub: registers by name, physical memory, breakpoints, single steps of one CPU."""

import pathlib
import re
import socket
import tempfile
import time
import xml.etree.ElementTree as xml

from .errors import PathsError

TIMEOUT = 60.0
CHUNK = 1024
PACKET = re.compile(rb"\$([^#]*)#([0-9a-f]{2})")
# QEMU's sstep: timers stand still while a CPU is stepped, and it takes no interrupts, or does.
STEP_ENABLE, STEP_NOIRQ, STEP_NOTIMER = 1, 2, 4


def packet(data: str) -> bytes:
    """$data#checksum"""
    raw = data.encode("latin-1")
    return b"$" + raw + b"#%02x" % (sum(raw) & 0xFF)


def unescape(raw: bytes) -> bytes:
    """What a packet means: } escapes one byte; * and n repeats the byte before it n - 29 times."""
    if b"}" not in raw and b"*" not in raw:
        return raw
    data, i = bytearray(), 0
    while i < len(raw):
        if raw[i] == ord("}"):
            data.append(raw[i + 1] ^ 0x20)
            i += 2
        elif raw[i] == ord("*"):
            data += data[-1:] * (raw[i + 1] - 29)
            i += 2
        else:
            data.append(raw[i])
            i += 1
    return bytes(data)


class Gdb:
    """One connection. The machine stands still except within step() and run()."""

    def __init__(self, path: pathlib.Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT)
        self.pending = b""
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                self.socket.connect(str(path))
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise PathsError(f"QEMU's gdbstub does not listen at {path}: {error}") from error
                time.sleep(0.02)
        self.ask("qSupported:xmlRegisters=i386")
        self.layout = self._layout()
        self.at_breakpoint: int | None = None
        self._must("Qqemu.PhyMemMode:1")
        self.step_flags = 0

    def close(self) -> None:
        self.socket.close()

    def _more(self) -> None:
        try:
            data = self.socket.recv(65536)
        except OSError as error:
            raise PathsError(f"QEMU's gdbstub does not answer: {error}") from error
        if not data:
            raise PathsError("QEMU closed the gdbstub's connection: it has ended")
        self.pending += data

    def _receive(self) -> bytes:
        while not (found := PACKET.search(self.pending)):
            self._more()
        self.pending = self.pending[found.end():]
        if int(found[2], 16) != sum(found[1]) & 0xFF:
            raise PathsError("QEMU's gdbstub sent a packet with a wrong checksum")
        self.socket.sendall(b"+")
        return unescape(found[1])

    def ask(self, request: str) -> bytes:
        """A request and its answer."""
        self.socket.sendall(packet(request))
        return self._receive()

    def _must(self, request: str) -> None:
        if (answer := self.ask(request)) != b"OK":
            raise PathsError(f"QEMU's gdbstub answers `{request}` with `{answer.decode('latin-1')}`")

    def _feature(self, name: str) -> str:
        text = b""
        while True:
            answer = self.ask(f"qXfer:features:read:{name}:{len(text):x},{CHUNK:x}")
            text += answer[1:]
            if not answer.startswith(b"m"):
                return text.decode("latin-1").rstrip("\0")

    def _layout(self) -> dict[str, tuple[int, int]]:
        """(offset, size) of each register in the answer to `g`, as QEMU describes them."""
        layout, offset = {}, 0
        # Not parsed as XML: QEMU's include has a prefix that nothing declares.
        for part in re.findall(r'href="([^"]+)"', self._feature("target.xml")):
            for register in xml.fromstring(self._feature(part)).iter("reg"):
                size = int(register.attrib["bitsize"]) // 8
                layout[register.attrib["name"]] = (offset, size)
                offset += size
        return layout

    def registers(self, cpu: int = 0) -> dict[str, int]:
        """All registers of a CPU."""
        self._must(f"Hg{cpu + 1:x}")
        data = bytes.fromhex(self.ask("g").decode())
        return {name: int.from_bytes(data[offset:offset + size], "little")
                for name, (offset, size) in self.layout.items() if offset + size <= len(data)}

    def set_register(self, cpu: int, name: str, value: int) -> None:
        self._must(f"Hg{cpu + 1:x}")
        number, size = list(self.layout).index(name), self.layout[name][1]
        self._must(f"P{number:x}={value.to_bytes(size, 'little').hex()}")

    def cpus(self) -> int:
        """How many CPUs the machine has."""
        count, answer = 0, self.ask("qfThreadInfo")
        while answer.startswith(b"m"):
            count += len(answer[1:].split(b","))
            answer = self.ask("qsThreadInfo")
        return count

    def read(self, address: int, size: int) -> bytes:
        """Physical memory."""
        data = b""
        while len(data) < size:
            wanted = min(CHUNK, size - len(data))
            answer = self.ask(f"m{address + len(data):x},{wanted:x}")
            if len(answer) != 2 * wanted:
                raise PathsError(f"QEMU cannot read {wanted} bytes of physical memory at {address + len(data):#x}")
            data += bytes.fromhex(answer.decode())
        return data

    def save(self, address: int, size: int) -> bytes:
        """Much physical memory at once, through a file."""
        with tempfile.NamedTemporaryFile(prefix="cairn-") as file:
            self.monitor(f'pmemsave {address:#x} {size:#x} "{file.name}"')
            data = pathlib.Path(file.name).read_bytes()
        if len(data) != size:
            raise PathsError(f"QEMU cannot save {size} bytes of physical memory at {address:#x}")
        return data

    def read_int(self, address: int, size: int = 8) -> int:
        """A number in physical memory."""
        return int.from_bytes(self.read(address, size), "little")

    def break_at(self, address: int) -> None:
        """QEMU keeps breakpoints beside the code, which need not be there yet."""
        self._must(f"Z0,{address:x},1")

    def no_break_at(self, address: int) -> None:
        self._must(f"z0,{address:x},1")

    def _stopped(self, answer: bytes) -> int:
        """The CPU that a stop is about."""
        if not answer.startswith(b"T05") or b"thread:" not in answer:
            raise PathsError(f"the machine stopped with `{answer.decode('latin-1')}`, not at a breakpoint")
        return int(answer.split(b"thread:")[1].split(b";")[0], 16) - 1

    def run(self) -> int:
        """Lets all CPUs run until one stands at a breakpoint; returns which. QEMU would stop again where it stands."""
        if self.at_breakpoint is not None:
            self.step(self.at_breakpoint)
        self.at_breakpoint = self._stopped(self.ask("vCont;c"))
        return self.at_breakpoint

    def step(self, cpu: int = 0, interrupts: bool = False) -> None:
        """One instruction of one CPU, without interrupts or with; the others stand still."""
        self.at_breakpoint = None
        flags = STEP_ENABLE | STEP_NOTIMER | (0 if interrupts else STEP_NOIRQ)
        if flags != self.step_flags:
            self._must(f"Qqemu.sstep={flags:x}")
            self.step_flags = flags
        if self._stopped(self.ask(f"vCont;s:{cpu + 1:x}")) != cpu:
            raise PathsError(f"another CPU moved while CPU {cpu} was stepped")

    def monitor(self, command: str) -> str:
        """A command of QEMU's human monitor."""
        text = b""
        self.socket.sendall(packet("qRcmd," + command.encode().hex()))
        while (answer := self._receive()) != b"OK":
            if not answer.startswith(b"O"):
                raise PathsError(f"QEMU's monitor refuses `{command}`: {answer.decode('latin-1')}")
            text += bytes.fromhex(answer[1:].decode())
        return text.decode(errors="replace").replace("\r", "")
