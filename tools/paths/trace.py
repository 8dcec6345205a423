# SPDX-License-Identifier: BSD-2-Clause
"""Follows one CPU instruction by instruction, and notes what the kernel's instructions read and write."""

import re
from dataclasses import dataclass, field

from . import operands
from .debuginfo import DebugInfo
from .errors import PathsError
from .gdb import Gdb
from .operands import Access, Decoded, Decoder

PRESENT, LARGE, ADDRESS = 1, 1 << 7, 0x000FFFFFFFFFF000
PAGE = 4096
CODE_BYTES = 15  # the longest instruction
SYSCALL = b"\x0f\x05"
# A path that has not ended by then is not one of the short ones.
LONGEST = 20000


@dataclass(frozen=True)
class Touch:
    """An access at its place in physical memory."""

    address: int  # virtual; of a physical access (VMCB) the physical one
    physical: int
    size: int
    write: bool
    area: bool
    rip: int
    text: str
    locked: bool


@dataclass
class Trace:
    """One path. kernel: its instructions; outside: those of user level and guest in between."""

    touches: list[Touch] = field(default_factory=list)
    kernel: int = 0
    outside: int = 0
    currents: list[int] = field(default_factory=list)  # what cpu->current was, one after the other


class Cpu:
    """One CPU of a machine that stands still: registers, translation, tables."""

    def __init__(self, gdb: Gdb, index: int, decoder: Decoder) -> None:
        self.gdb = gdb
        self.index = index
        self.decoder = decoder
        self.tables: dict[tuple[int, int], int] = {}
        self.registers = gdb.registers(index)
        self.tss = self.gdt = self.idt = 0
        # GS base, or the one that SWAPGS brings; 0: this CPU does not run yet. A guest that runs here would have its own.
        self.area = next((self.registers[name] for name in ("gs_base", "k_gs_base") if self.registers[name] >> 63), 0)

    def find_tables(self) -> None:
        """Where this CPU's GDT, IDT and TSS are: the gdbstub does not tell, the monitor does."""
        text = self.gdb.monitor("info registers -a").split(f"CPU#{self.index}\n", 1)[1]
        self.tss = int(re.search(r"^TR =\S+ (\S+)", text, re.M)[1], 16)
        self.gdt = int(re.search(r"^GDT= *(\S+)", text, re.M)[1], 16)
        self.idt = int(re.search(r"^IDT= *(\S+)", text, re.M)[1], 16)

    def refresh(self) -> dict[str, int]:
        self.registers = self.gdb.registers(self.index)
        return self.registers

    @property
    def in_kernel(self) -> bool:
        return self.registers["cs"] & 3 == 0

    def translate(self, address: int) -> int:
        """The physical address, by a walk of the page tables that are loaded."""
        key = (self.registers["cr3"], address // PAGE)
        if key not in self.tables:
            self.tables[key] = self._walk(address & ~(PAGE - 1))
        return self.tables[key] + address % PAGE

    def _walk(self, address: int) -> int:
        table = self.registers["cr3"] & ADDRESS
        for shift in (39, 30, 21, 12):
            entry = self.gdb.read_int(table + (address >> shift & 511) * 8)
            if not entry & PRESENT:
                raise PathsError(f"nothing is mapped at {address:#x}, which CPU {self.index} uses")
            if shift == 12 or entry & LARGE and shift < 39:
                offset = address & ((1 << shift) - 1)
                return (entry & ADDRESS & ~((1 << shift) - 1)) + offset
            table = entry & ADDRESS
        raise AssertionError("four levels")

    def read(self, address: int, size: int) -> bytes:
        """Virtual memory."""
        data = b""
        while len(data) < size:
            here = address + len(data)
            data += self.gdb.read(self.translate(here), min(size - len(data), PAGE - here % PAGE))
        return data

    def read_int(self, address: int, size: int = 8) -> int:
        return int.from_bytes(self.read(address, size), "little")

    def decode(self) -> Decoded:
        """The instruction it stands at, which is the kernel's."""
        rip = self.registers["rip"]
        if rip not in self.decoder.known:
            self.decoder.known[rip] = self.decoder.decode(self.read(rip, CODE_BYTES), rip)
        return self.decoder.known[rip]

    def gates(self) -> dict[int, tuple[int, int, int]]:
        """(vector, selector, IST) by entry point."""
        data, found = self.read(self.idt, 256 * 16), {}
        for vector in range(256):
            gate = int.from_bytes(data[vector * 16:vector * 16 + 16], "little")
            entry = gate & 0xFFFF | gate >> 32 & 0xFFFF0000 | gate >> 32 & 0xFFFFFFFF00000000
            found[entry] = (vector, gate >> 16 & 0xFFFF, gate >> 32 & 7)
        return found


def successors(decoded: Decoded, before: dict[str, int], cpu: Cpu) -> set[int]:
    """Where the instruction may lead, if it raises no exception; read before it runs."""
    instruction, name, behind = decoded.instruction, decoded.mnemonic, decoded.address + decoded.size
    if name in ("ret", "iretq"):
        return {cpu.read_int(before["rsp"])}
    if name in ("sysret", "sysretq"):
        return {before["rcx"]}
    if name in ("jmp", "call") or name in operands.JUMPS or name.startswith("j"):
        operand = instruction.operands[0]
        if operand.type == operands.x86.X86_OP_IMM:
            target = operand.imm & (2**64 - 1)
        elif operand.type == operands.x86.X86_OP_REG:
            target = before[instruction.reg_name(operand.reg)]
        else:
            target = cpu.read_int(operands.effective(decoded, operand.mem, before))
        return {target} if name in ("jmp", "call") else {target, behind}
    if decoded.repeated:
        return {decoded.address, behind}
    return {behind}


class Follower:
    """Follows one path on one CPU."""

    def __init__(self, cpu: Cpu, info: DebugInfo, other: int | None = None) -> None:
        cpu.find_tables()
        self.cpu = cpu
        self.other = other  # a CPU that takes a step for each of this one's, interrupts as well
        self.info = info
        self.gates = cpu.gates()
        self.trace = Trace()
        self.current = cpu.area + info.member("percpu", "cpu.current")[0]
        self.trace.currents.append(cpu.read_int(self.current))

    def note(self, access: Access, rip: int, text: str, locked: bool = False) -> None:
        """Keeps an access, in two when it crosses into another page."""
        address, size = access.address, access.size
        while True:
            here = size if access.area else min(size, PAGE - address % PAGE)
            physical = address if access.physical else self.cpu.translate(address)
            self.trace.touches.append(Touch(address, physical, here, access.write, access.area, rip, text, locked))
            address, size = address + here, size - here
            if size <= 0:
                return

    def descriptor(self, selector: int, rip: int, text: str) -> None:
        """Loading a selector reads its descriptor, and writes it if it was not marked as accessed."""
        if not selector & 0xFFFC:
            return
        address = self.cpu.gdt + (selector & 0xFFF8)
        self.note(Access(address, 8, False), rip, text)
        if not self.cpu.read_int(address) >> 40 & 1:
            self.note(Access(address, 8, True), rip, text)

    def exception(self, before: dict[str, int], after: dict[str, int]) -> None:
        """What the CPU itself reads and writes to deliver one."""
        vector, selector, ist = self.gates[after["rip"]]
        rip, text = before["rip"], f"delivery of vector {vector}"
        self.note(Access(self.cpu.idt + 16 * vector, 16, False, area=True), rip, text)
        self.descriptor(selector, rip, text)
        top = before["rsp"]
        if ist or before["cs"] & 3:
            place = self.cpu.tss + (0x24 + 8 * (ist - 1) if ist else 4)
            self.note(Access(place, 8, False), rip, text)
            top = self.cpu.read_int(place)
        top &= ~15
        if top - after["rsp"] not in (40, 48):
            raise PathsError(f"vector {vector} left {top - after['rsp']} bytes on the stack instead of 40 or 48")
        self.note(Access(after["rsp"], top - after["rsp"], True), rip, text)

    def step_kernel(self) -> None:
        """One instruction of the kernel."""
        cpu, before, decoded = self.cpu, self.cpu.registers, self.cpu.decode()
        wanted = successors(decoded, before, cpu)
        frame = [cpu.read_int(before["rsp"] + offset) for offset in (8, 32)] if decoded.mnemonic == "iretq" else []
        if self.other is not None:
            cpu.gdb.step(self.other, interrupts=True)
        if decoded.mnemonic == "pause":
            # It does nothing, and QEMU's step ends only behind the instruction after it.
            cpu.gdb.set_register(cpu.index, "rip", decoded.address + decoded.size)
        else:
            cpu.gdb.step(cpu.index)
        after = cpu.refresh()
        if decoded.mnemonic == "vmrun":
            wanted = {self.guest(decoded, before)}
            after = cpu.registers
        if after["rip"] not in wanted:
            if after["rip"] not in self.gates:
                raise PathsError(
                    f"the trace is broken: `{decoded.text}` at {decoded.address:#x} was followed by {after['rip']:#x}")
            self.exception(before, after)
            return
        if not (decoded.repeated and after["rip"] == decoded.address):
            self.trace.kernel += 1
        for access in operands.accesses(decoded, before, after):
            # After CR3 was loaded the translation is the new one; nothing loads it and accesses memory.
            self.note(access, decoded.address, decoded.text, decoded.locked)
            if access.write and access.address <= self.current < access.address + access.size:
                self.trace.currents.append(cpu.read_int(self.current))
        selector = operands.selector(decoded, before)
        for number in frame if selector is None else [selector]:
            self.descriptor(number, decoded.address, decoded.text)

    def guest(self, decoded: Decoded, before: dict[str, int]) -> int:
        """Steps the guest until it has left; returns where the host goes on."""
        cpu, behind = self.cpu, decoded.address + decoded.size
        for _ in range(LONGEST):
            if cpu.registers["rip"] == behind and cpu.in_kernel:
                self.host_save(decoded, before, behind)
                return behind
            self.trace.outside += 1
            cpu.gdb.step(cpu.index)
            cpu.refresh()
        raise PathsError(f"the guest did not leave within {LONGEST} instructions")

    def host_save(self, decoded: Decoded, before: dict[str, int], behind: int) -> None:
        """VMRUN keeps the host's state in the page that VM_HSAVE_PA names: this CPU's, as what lies there shows."""
        place = self.cpu.translate(self.cpu.area + self.info.member("percpu", "host_save")[0])
        for name, value in (("rip", behind), ("rsp", before["rsp"])):
            if self.cpu.gdb.read_int(place + self.info.member("vmcb", name)[0]) != value:
                raise PathsError(f"VMRUN did not keep the host's {name} in percpu.host_save of CPU {self.cpu.index}")
        for write in (True, False):
            self.note(Access(place, PAGE, write, physical=True, area=True), decoded.address, decoded.text)
        # The intercept maps, which the CPU reads when the guest uses a port or an MSR.
        for name in ("iopm", "msrpm"):
            page = self.cpu.gdb.read_int(before["rax"] + self.info.member("vmcb", name)[0])
            self.note(Access(page, PAGE, False, physical=True, area=True), decoded.address, decoded.text)

    def step_user(self) -> None:
        """One instruction of user level, of which only the way into the kernel matters."""
        cpu, before = self.cpu, self.cpu.registers
        cpu.gdb.step(cpu.index)
        after = cpu.refresh()
        if cpu.in_kernel and after["rip"] in self.gates:
            self.exception(before, after)
        elif cpu.in_kernel and cpu.read(before["rip"], 2) != SYSCALL:
            raise PathsError(f"the trace is broken: user level at {before['rip']:#x} was followed by {after['rip']:#x}")

    def follow(self, ended) -> Trace:
        """Steps until ended() says so, at least once."""
        for _ in range(LONGEST):
            if self.cpu.in_kernel:
                self.step_kernel()
            else:
                self.trace.outside += 1
                self.step_user()
            if ended():
                return self.trace
        raise PathsError(f"the path did not end within {LONGEST} instructions")
