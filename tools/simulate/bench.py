# SPDX-License-Identifier: BSD-2-Clause
"""`./simulate --bench`: instructions per operation, counted exactly by QEMU, and Linux's way to its shell."""

import json
import sys

from . import build
from .console import Console
from .errors import SimulateError
from .machine import Machine, Settings, make_machine
from .paths import RUN
from .transcript import parse_bench

# Upper bounds in seconds for one run on a slow machine.
BENCH_SECONDS = 900.0
BOOT_SECONDS = 1800.0
LINUX_APPEND = "console=ttyS0 quiet cairn.shell=plain"
LINUX_MEMORY = 256
LIMIT = 1.3
# Measured with the same emulator and method on other kernels.
REFERENCE = {
    "ipc_cross_1": ("NOVA", 282), "ipc_cross_4": ("NOVA", 312), "ipc_cross_16": ("NOVA", 432),
    "ipc_same_1": ("NOVA", 262), "fault_resume": ("NOVA", 369), "signal": ("NOVA", 139), "vmexit_cpuid": ("NOVA", 496),
    "vmexit_pio_device": ("KVM, port write to user space", 3348),
}
NAMES = (
    "ipc_cross_1", "ipc_cross_4", "ipc_cross_16", "ipc_same_1", "fault_resume", "signal", "null_syscall",
    "vmexit_cpuid", "vmexit_pio_device",
)
READY = r"init: ready tsc (\d+)"


def _measure(image: build.Image, emulator: str, run: int) -> dict[str, int]:
    """One run of the bench system. Bochs counts by itself: a tick of the TSC for each instruction."""
    settings = Settings(
        emulator=emulator, memory=image.memory, cpus=image.cpus, kernel=image.path, icount=emulator == "qemu", system=image.name,
    )
    directory = RUN / f"bench-{emulator}-{run}"
    with make_machine(settings, directory) as machine:
        console = Console(machine, list(image.vms), directory / "transcript.txt")
        try:
            console.wait_until(
                lambda: set(NAMES) <= parse_bench(console.texts()).keys(), "every figure of the benchmark", BENCH_SECONDS
            )
            return parse_bench(console.texts())
        finally:
            machine.stop()
            console.close()


def _boot(settings: Settings, vms: list[str], marked: bool, name: str) -> int:
    """The time-stamp counter, which counts instructions, when the guest's shell is there."""
    directory = RUN / name
    with Machine(settings, directory) as machine:
        console = Console(machine, vms, directory / "transcript.txt", marked)
        try:
            match, _ = console.wait_for(READY, None, 0, BOOT_SECONDS, "the shell of Linux")
            return int(match[1])
        finally:
            machine.stop()
            console.close()


def boot_under_cairn(preset: str, run: int) -> int:
    override = f"vm.linux-1.cmdline={LINUX_APPEND}"
    image = build.image("default", preset, (override, f"vm.linux-1.memory={LINUX_MEMORY} MiB"), "-bench")
    settings = Settings(memory=image.memory, cpus=image.cpus, kernel=image.path, icount=True, system="linux_boot")
    return _boot(settings, list(image.vms), False, f"bench-linux-{run}")


def boot_alone(preset: str, run: int) -> int:
    kernel, initrd = build.guest_linux(preset)
    settings = Settings(
        cpu_model="Haswell", memory=LINUX_MEMORY, kernel=kernel, initrd=initrd, append=LINUX_APPEND, icount=True,
        system="linux alone",
    )
    return _boot(settings, ["linux-1"], False, f"bench-alone-{run}")


def _agreed(what: str, first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """Two runs must agree exactly."""
    wrong = [f"{name}: {first.get(name)} and {second.get(name)}" for name in first | second
             if first.get(name) != second.get(name)]
    if wrong:
        raise SimulateError(f"two runs of {what} do not agree: {'; '.join(wrong)}")
    return first


def table(figures: dict[str, int]) -> str:
    lines = [f"{'operation':<20} {'instructions':>14}  for comparison, in QEMU"]
    for name, value in figures.items():
        who, reference = REFERENCE.get(name, ("", 0))
        lines.append(f"{name:<20} {value:>14,}  {f'{who}: {reference:,}' if who else ''}".rstrip())
    return "\n".join(lines)


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _show(figures: dict[str, int], remark: str = "", **others: int) -> None:
    """The table, and a JSON line for each figure."""
    print(table(figures))
    print(remark)
    for name, value in (figures | others).items():
        print(json.dumps({"name": name, "instructions": value}))


def bench(preset: str, emulator: str = "qemu") -> int:
    """Prints the table and the JSON lines; 0 when all was measured twice and Linux's boot, in QEMU, is within the limit."""
    image = build.image("bench", preset, emulator=emulator)
    _progress("bench: the microbenchmarks, twice")
    figures = _agreed("the microbenchmarks", _measure(image, emulator, 1), _measure(image, emulator, 2))
    figures = {name: figures[name] for name in (*NAMES, *sorted(figures.keys() - set(NAMES)))}
    if emulator == "bochs":
        _show(figures)
        return 0
    boots = []
    for run in (1, 2):
        _progress(f"bench: Linux under Cairn, run {run}")
        boots.append({"linux_boot": boot_under_cairn(preset, run)})
    figures |= _agreed("Linux's boot", *boots)
    _progress("bench: Linux alone")
    alone = boot_alone(preset, 1)
    ratio = figures["linux_boot"] / alone
    _show(
        figures, f"\nLinux reaches its shell in {ratio:.3f} times the instructions of Linux alone ({alone:,}); limit {LIMIT}",
        linux_boot_alone=alone,
    )
    return 0 if ratio <= LIMIT else 1
