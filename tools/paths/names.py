# SPDX-License-Identifier: BSD-2-Clause
"""Gives each touched byte a name and an owner, from the kernel's debugging information and from pointers in memory."""

from dataclasses import dataclass

from .debuginfo import DebugInfo, Type, leaves
from .errors import PathsError
from .trace import PAGE, Cpu, Touch, Trace

LINE = 64
LOCAL, SHARED, CONSTANT = "this CPU", "shared", "constant"
# Pages that pointers to these lead to are looked into, or named.
PAGES = {"ec", "message_buffer", "vcpu_state"}
APIC = "local APIC"
LAPIC = 0xFEE00000
CAP_PREFIX = "CAP_"
# Types of capabilities whose names have capitals inside.
CAPS = {"CAPTABLE": "CapTable", "PAGETABLE": "PageTable", "VCPU": "VCpu", "IOPORTS": "IoPorts",
        "MACHINECHECK": "MachineCheck"}


@dataclass(frozen=True)
class Named:
    """A field that a touch reached. lines: numbers of its cache lines."""

    object: str
    field: str
    owner: str
    write: bool
    lines: frozenset[int]
    where: str  # the instruction
    locked: bool

    @property
    def what(self) -> str:
        return f"{self.object}.{self.field}" if self.field else self.object


@dataclass
class Page:
    """An object of its own page: its first physical byte, type, name, and whose it is."""

    type: Type
    name: str
    owner: str


class World:
    """Everything that can be reached from the areas of all CPUs, as one of them sees it now."""

    def __init__(self, cpu: Cpu, areas: dict[int, int], info: DebugInfo) -> None:
        self.cpu = cpu
        self.areas = areas
        self.info = info
        self.area = areas[cpu.index]
        self.percpu = info.struct("percpu")
        self.contexts: list[int] = []  # addresses of struct ec, in the order of being found
        self.slots = info.symbol("slots")
        self.image = (info.symbol("kernel_start"), info.symbol("kernel_end"))
        self.image_offset = self.image[0] - cpu.translate(self.image[0])
        self.index = self.cpu.read_int(self.area + info.member("percpu", "cpu.index")[0], 4)
        for area in areas.values():
            self._look(area, self.percpu)

    def _look(self, address: int, kind: Type) -> None:
        """Follows the pointers in an object to pages that are execution contexts."""
        places = list(_pointers(kind))
        data = self.cpu.read(address, max(at for at, _ in places) + 8)  # behind them are pages that nothing maps
        for at, member in places:
            value = int.from_bytes(data[at:at + 8], "little")
            if member.name == "ec" and value and value not in self.contexts and not self._inside(value):
                self.contexts.append(value)
                self._look(value, self.info.struct("ec"))

    def _inside(self, address: int) -> bool:
        return any(area <= address < area + self.percpu.size for area in self.areas.values())

    def memory(self) -> dict[int, bytes]:
        """What the kernel writes without user level: its image and its execution contexts, by physical address."""
        start = self.cpu.translate(self.image[0])
        found = {start: self.cpu.gdb.save(start, self.image[1] - self.image[0])}
        for address in self.contexts:
            found[self.cpu.translate(address)] = self.cpu.read(address, self.info.struct("ec").size)
        return found

    def context(self, address: int, member: str) -> int:
        """A member of an execution context."""
        offset, kind = self.info.member("ec", member)
        return self.cpu.read_int(address + offset, kind.size)

    def pages(self, trace: Trace, roles: tuple[str, ...]) -> dict[int, Page]:
        """The pages of all execution contexts by physical page number, named for their roles in a path."""
        found: dict[int, Page] = {}
        order = list(dict.fromkeys(address for address in trace.currents if address))
        for address in order + [address for address in self.contexts if address not in order]:
            rank = order.index(address) if address in order else len(roles)
            role = roles[rank] if rank < len(roles) else "another thread"
            number = self.context(address, "cpu")
            owner = LOCAL if number == self.index else f"CPU {number}"
            found.setdefault(self._page(address), Page(self.info.struct("ec"), role, owner))
            for member, suffix in (("buffer", "buffer"), ("state", "state page")):
                if value := self.context(address, member):
                    kind = self.info.member("ec", member)[1].target
                    assert kind
                    found.setdefault(self._page(value), Page(self.info.struct(kind.name), f"{role}'s {suffix}", owner))
            if value := self.context(address, "vmcb_phys"):
                found.setdefault(value // PAGE, Page(self.info.struct("vmcb"), f"{role}'s VMCB", owner))
        return found

    def _page(self, address: int) -> int:
        return self.cpu.translate(address) // PAGE

    def slot_name(self, index: int) -> str:
        """A capability slot by what it holds."""
        offset, kind = self.info.member("slot", "type")
        value = self.cpu.read_int(self.slots + index * self.info.struct("slot").size + offset, kind.size)
        name = self.info.enumerator("cairn_type", value).removeprefix(CAP_PREFIX)
        return f"slot of the {CAPS.get(name, name.title())}"

    # Names

    def name(self, trace: Trace, roles: tuple[str, ...]) -> list[Named]:
        """All touches of a trace by name."""
        pages, found = self.pages(trace, roles), []
        for touch in trace.touches:
            found += self._touch(touch, pages)
        return found

    def _touch(self, touch: Touch, pages: dict[int, Page]) -> list[Named]:
        address = touch.address
        if touch.address == touch.physical and self._in_image(touch.physical + self.image_offset):
            address = touch.physical + self.image_offset  # a physical operand that lies in the image
        for index, area in self.areas.items():
            if area <= address < area + self.percpu.size:
                owner = LOCAL if index == self.cpu.index else f"CPU {index}"
                return self._fields(touch, "percpu", self.percpu, address - area, owner)
        if page := pages.get(touch.physical // PAGE):
            return self._fields(touch, page.name, page.type, touch.physical % PAGE, page.owner)
        if touch.physical // PAGE == LAPIC // PAGE:
            return [self._named(touch, APIC, f"{touch.physical % PAGE:#x}", LOCAL, touch.physical, touch.size)]
        if found := self.info.object_at(address):
            return self._variable(touch, address, *found)
        if self._in_image(address):
            owner = SHARED if self.info.writable(address) else CONSTANT
            return [self._named(touch, "kernel image", self.info.section(address), owner, touch.physical, touch.size)]
        raise PathsError(
            f"`{touch.text}` at {touch.rip:#x} {'writes' if touch.write else 'reads'} {touch.address:#x} (physical "
            f"{touch.physical:#x}), for which neither the debugging information nor a pointer has a name"
        )

    def _in_image(self, address: int) -> bool:
        return self.image[0] <= address < self.image[1]

    def _variable(self, touch: Touch, address: int, name: str, start: int, kind: Type | None, writable: bool) -> list[Named]:
        owner = SHARED if writable else CONSTANT
        if start == self.slots:
            size = self.info.struct("slot").size
            index = (address - start) // size
            return self._fields(touch, self.slot_name(index), self.info.struct("slot"), (address - start) % size, owner)
        if kind is None or kind.kind == "scalar" or kind.kind == "pointer" or touch.area:
            return [self._named(touch, name, "", owner, touch.physical, touch.size)]
        return self._fields(touch, name, kind, address - start, owner)

    def _fields(self, touch: Touch, name: str, kind: Type, offset: int, owner: str) -> list[Named]:
        if touch.area and touch.size and offset == 0 and touch.size >= kind.size:
            return [self._named(touch, name, "(all)", owner, touch.physical, kind.size)]
        found = [
            self._named(touch, name, path, owner, touch.physical + at - offset, size)
            for path, at, size in leaves(kind, offset, offset + max(touch.size, 1))
        ]
        if touch.area:
            return found[:1]
        return [self._clipped(touch, one) for one in found] or [
            self._named(touch, name, f"+{offset:#x}", owner, touch.physical, touch.size)]

    def _clipped(self, touch: Touch, named: Named) -> Named:
        """Only the lines that were touched, of a field that may be long."""
        lines = frozenset(range(touch.physical // LINE, (touch.physical + touch.size - 1) // LINE + 1))
        return Named(named.object, named.field, named.owner, named.write, named.lines & lines, named.where, named.locked)

    def _named(self, touch: Touch, name: str, path: str, owner: str, physical: int, size: int) -> Named:
        lines = frozenset(range(physical // LINE, (physical + max(size, 1) - 1) // LINE + 1))
        if name == APIC:
            lines = frozenset()  # each CPU has its own at the same address
        return Named(name, path, owner, touch.write, lines, f"`{touch.text}` at {self.info.place(touch.rip)}", touch.locked)


def _pointers(kind: Type, at: int = 0):
    """(offset, type it points to) of every pointer in a type."""
    if kind.kind == "pointer" and kind.target:
        yield at, kind.target
    elif kind.kind == "struct":
        for offset, _, member in kind.members:
            yield from _pointers(member, at + offset)
    elif kind.kind == "array" and kind.target and kind.target.kind != "scalar":
        for index in range(kind.count):
            yield from _pointers(kind.target, at + index * kind.target.size)
