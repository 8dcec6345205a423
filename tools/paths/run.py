# SPDX-License-Identifier: BSD-2-Clause
"""Boots systems/paths.toml and follows each path on each CPU, after it has been taken a few times."""

import pathlib
import shutil
import tempfile
from dataclasses import dataclass, field

from simulate import build
from simulate.machine import Machine, Settings
from simulate.paths import RUN

from . import rules
from .debuginfo import DebugInfo
from .errors import PathsError
from .gdb import Gdb
from .names import Named, World
from .operands import Decoder
from .trace import Cpu, Follower, Trace

SYSTEM = "paths"
PRESET = "release"
CPUS = 2
MARK = 0x7061746873  # apps/paths/marks.h
# How often a path is taken before it is followed: by then what the kernel remembers (whose FPU state, which guest was last)
# is as it is in the long run. The last pass before is stepped as well: QEMU's clock jumps when the machine goes on after
# a breakpoint, and a slice would end.
VISITS, PASSES = 3, 2
LONGEST = 40000  # steps of all passes


@dataclass(frozen=True)
class Path:
    """A path between two labels of apps/paths, and what its execution contexts are called, in the order of running."""

    start: str
    end: str
    roles: tuple[str, ...]


CALL = ("caller", "handler")
PATHS = {
    "call_same_1": Path("call_same_1", "call_same_1_end", CALL),
    "call_same_16": Path("call_same_16", "call_same_16_end", CALL),
    "call_cross_1": Path("call_cross_1", "call_cross_1_end", CALL),
    "call_cross_16": Path("call_cross_16", "call_cross_16_end", CALL),
    "fault": Path("fault", "fault_end", ("faulting thread", "handler")),
    "signal_ready": Path("signal_ready", "signal_ready_end", ("signaller",)),
    "wait_signalled": Path("wait_signalled", "wait_signalled_end", ("waiter",)),
    "signal_waiting": Path("signal_waiting", "wait_blocks_end", ("signaller", "waiter")),
    "wait_blocks": Path("wait_blocks", "signal_waiting_end", ("waiter", "signaller")),
}
# What one CPU does to another: no path of one CPU, it may lock. Here it shows what a CPU touches of others.
REMOTE = "signal_main"
REMOTE_PATH = Path("signal_main", "signal_main_end", ("signaller",))
# VM exits by SVM's exit code (APM vol. 2, appendix C), from one exit to the next.
EXITS = {0x72: "exit_cpuid", 0x7B: "exit_io"}
EXIT_ROLES = ("VCpu", "handler")
IO_CODE, IO_PORT = 0x7B, 0x3FF  # the port that apps/nano/nano_paths.c writes to


@dataclass
class Result:
    """Of one path on one CPU: instructions in the kernel and outside, what those in the kernel touched, what is wrong."""

    kernel: int
    outside: int
    touched: list[Named]
    wrong: list[str]


@dataclass
class Results:
    """Of a run, by CPU and path. areas: what is wrong with where the per-CPU areas lie."""

    cpus: dict[int, dict[str, Result]] = field(default_factory=dict)
    remote: dict[int, Result] = field(default_factory=dict)
    areas: list[str] = field(default_factory=list)


class Run:
    """One boot."""

    def __init__(self, cpus: int = CPUS) -> None:
        self.image = build.image(SYSTEM, PRESET)
        where = build.directory(PRESET)
        self.kernel = DebugInfo(where / "kernel" / "kernel.elf")
        self.server = DebugInfo(where / "servers" / "paths.elf")
        self.sockets = pathlib.Path(tempfile.mkdtemp(prefix="cairn-"))
        self.socket = self.sockets / "gdb"
        settings = Settings(
            cpu="amd", cpus=cpus, memory=self.image.memory, icount=True, kernel=self.image.path, system=SYSTEM,
            # Fewer instructions in the time that one CPU runs before the next one does.
            extra=["-icount", "shift=5", "-S", "-gdb", f"unix:{self.socket},server=on,wait=off"],
        )
        self.machine = Machine(settings, RUN / "paths")
        self.decoder = Decoder()
        self.results = Results()
        self._gdb: Gdb | None = None
        self._areas: dict[int, int] = {}

    def __enter__(self) -> "Run":
        self.machine.start()
        self._gdb = Gdb(self.socket)
        return self

    def __exit__(self, *_: object) -> None:
        if self._gdb:
            self._gdb.close()
        self.machine.stop()
        shutil.rmtree(self.sockets, ignore_errors=True)

    @property
    def gdb(self) -> Gdb:
        assert self._gdb
        return self._gdb

    def areas(self) -> dict[int, int]:
        """The areas of the CPUs that run. Each is found once, as a CPU that is in a guest has the guest's GS."""
        for index in range(self.gdb.cpus()):
            area = Cpu(self.gdb, index, self.decoder).area
            if area:
                self._areas.setdefault(index, area)
        return self._areas

    def follow(self, cpu: Cpu, name: str, path: Path, ended, remote: bool = False) -> None:
        """One path, whose first instruction the CPU stands at: follows, names and judges it."""
        areas = self.areas()
        before = World(cpu, areas, self.kernel).memory()
        trace: Trace = Follower(cpu, self.kernel, 0 if remote else None).follow(ended)
        world = World(cpu, areas, self.kernel)
        touched = world.name(trace, path.roles)
        result = Result(trace.kernel, trace.outside, touched, [])
        if remote:
            self.results.remote[cpu.index] = result
            return
        result.wrong = rules.of_path(touched) + rules.of_memory(before, world.memory(), touched)
        self.results.cpus.setdefault(cpu.index, {})[name] = result

    # Paths that a thread begins

    def follow_threads(self, index: int) -> None:
        """All of PATHS on a CPU."""
        first = self.server.symbol(f"path_{next(iter(PATHS.values())).start}")
        self.gdb.break_at(first)
        visits = 0
        while visits < VISITS:
            cpu = Cpu(self.gdb, self.gdb.run(), self.decoder)
            visits += cpu.index == index and self.marked(cpu) == first
        self.gdb.no_break_at(first)
        self.follow_rounds(cpu)

    def marked(self, cpu: Cpu) -> int:
        """Where a thread of apps/paths stands; 0: another one, or the kernel."""
        return cpu.registers["rip"] if cpu.registers["r15"] == MARK and not cpu.in_kernel else 0

    def follow_rounds(self, cpu: Cpu) -> None:
        """Steps one CPU through all paths, PASSES times; follows the last ones."""
        paths = dict(PATHS, **({REMOTE: REMOTE_PATH} if cpu.index else {}))
        starts = {self.server.symbol(f"path_{path.start}"): name for name, path in paths.items()}
        passes = dict.fromkeys(paths, 0)
        self.gdb.set_register(cpu.index, "r12", int(REMOTE in paths))
        for _ in range(LONGEST):
            name = starts.get(self.marked(cpu))
            passes[name] = passes.get(name, 0) + 1
            if name and (passes[name] == PASSES or name == REMOTE):
                end = self.server.symbol(f"path_{paths[name].end}")
                self.follow(cpu, name, paths[name], lambda: self.marked(cpu) == end, remote=name == REMOTE)
            else:
                self.gdb.step(cpu.index)
                cpu.refresh()
            if all(passes[name] >= PASSES for name in paths):
                return
        raise PathsError(f"CPU {cpu.index} did not take all paths within {LONGEST} instructions")

    # Paths that a guest begins

    def follow_exits(self) -> None:
        """All of EXITS, each from where the host is itself again to the same place after the next exit."""
        place = self.kernel.symbol("guest_left")
        self.gdb.break_at(place)
        visits = 0
        while visits < VISITS:
            cpu = Cpu(self.gdb, self.gdb.run(), self.decoder)
            visits += self.exit_code(cpu) in EXITS
        self.gdb.no_break_at(place)
        passes = dict.fromkeys(EXITS, 0)

        def left() -> bool:
            return cpu.in_kernel and cpu.registers["rip"] == place

        for _ in range(LONGEST):
            code = self.exit_code(cpu) if left() else 0
            passes[code] = passes.get(code, 0) + 1
            if code in EXITS and passes[code] == PASSES:
                self.follow(cpu, EXITS[code], Path("", "", EXIT_ROLES), left)
            else:
                self.gdb.step(cpu.index)
                cpu.refresh()
            if all(passes[code] >= PASSES for code in EXITS):
                return
        raise PathsError(f"the guest did not leave for all reasons within {LONGEST} instructions")

    def exit_code(self, cpu: Cpu) -> int:
        """The exit code in the control block of the current VCpu; 0 for I/O at a port that does not count."""
        current = cpu.read_int(cpu.area + self.kernel.member("percpu", "cpu.current")[0])
        block = cpu.read_int(current + self.kernel.member("ec", "vmcb_phys")[0])
        code = self.gdb.read_int(block + self.kernel.member("vmcb", "exit_code")[0])
        info = self.gdb.read_int(block + self.kernel.member("vmcb", "exit_info1")[0])
        return 0 if code == IO_CODE and info >> 16 != IO_PORT else code

    def judge_areas(self, cpu: Cpu) -> None:
        size = self.kernel.struct("percpu").size
        self.results.areas = rules.of_areas({index: (cpu.translate(area), size) for index, area in self.areas().items()})


def follow(cpus: int = CPUS) -> Results:
    """All paths."""
    with Run(cpus) as run:
        run.follow_threads(0)
        run.follow_exits()
        for index in range(1, cpus):
            run.follow_threads(index)
        run.judge_areas(Cpu(run.gdb, cpus - 1, run.decoder))
        results = run.results
    results.cpus = {index: {name: paths[name] for name in (*PATHS, *EXITS.values()) if name in paths}
                    for index, paths in results.cpus.items()}
    return results
