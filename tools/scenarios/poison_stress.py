# SPDX-License-Identifier: BSD-2-Clause
"""Pages are poisoned while all CPUs use, map, move and revoke them; then the machine stands still, and its tables are walked."""

import re

from simulate import build
from simulate.console import Unexpected

from .kernel_memory import CAP_FRAME, CAP_PAGETABLE, PT_HOST, Memory, Slot, lost, mistakes, save, user_entries
from .kernel_tables import parse
from .stage import BOOT, Stage

SUMMARY = "pages poisoned while all CPUs map, move and revoke them: every holder reported, no translation left anywhere"
CPUS = ("intel", "amd")
# apps/stress: labels of the four spaces that hold every probe throughout, and how many probes there are.
STABLE = (0x200, 0x201, 0x282, 0x283)
PROBES = 32
LOOKS = 5


def told(stage: Stage) -> set[int]:
    """The pages that the server says it has poisoned."""
    pages: set[int] = set()
    for line in stage.out.texts("system"):
        match = re.search(r"stress: poisoned ((?:0x[0-9a-f]+ ?)+)", line)
        if match:
            pages |= {int(word, 16) for word in match[1].split()}
    return pages


def check_structures(memory: Memory, slots: dict[int, Slot], poisoned: set[int]) -> str:
    wrong = mistakes(memory, slots, poisoned)
    if wrong:
        raise Unexpected(f"{len(wrong)} translations are left: " + "; ".join(wrong[:5]))
    tables = [slot for slot in slots.values() if slot.type == CAP_PAGETABLE and slot.original]
    frames = [slot for slot in slots.values() if slot.type == CAP_FRAME]
    seen = sum(1 for t in tables if t.level == 4 for _ in memory.leaves(t.base, 4, user_entries(t)))
    for label in STABLE:
        roots = [t for t in tables if t.level == 4 and t.label == label]
        if len(roots) != 1:
            raise Unexpected(f"{len(roots)} spaces have the label {label:#x}")
        tags = memory.tags(roots[0].base, 4, user_entries(roots[0]))
        if tags != PROBES:
            raise Unexpected(f"the space {label:#x} has {tags} poison tags instead of {PROBES}")
    if seen < 1000:
        raise Unexpected(f"the walk has seen {seen} translations only: is it blind?")
    host = sum(1 for t in tables if t.kind == PT_HOST)
    return f"{len(frames)} Frames, {host} host and {len(tables) - host} guest structures, {seen} translations"


def check_cpus(stage: Stage, poisoned: set[int]) -> int:
    """What QEMU shows of each CPU's own translations; one in a guest shows the guest's, which has none."""
    shown = 0
    for cpu in range(stage.machine.settings.cpus):
        for entry in parse(stage.machine.qmp.monitor("info tlb", cpu)):
            page = lost(entry, poisoned)
            if page is not None:
                raise Unexpected(f"CPU {cpu} translates {entry.va:#x} to {page:#x}")
            shown += 1
    return shown


def look(stage: Stage, pages: set[int]) -> None:
    """In the middle of whatever the CPUs do."""
    stage.machine.qmp.command("stop")
    try:
        memory = save(stage.machine, build.directory(stage.preset) / "kernel" / "kernel.elf")
        poisoned = memory.poisoned()
        if poisoned != pages:
            raise Unexpected(
                f"the kernel marks {len(poisoned)} pages and the server named {len(pages)}; "
                f"they differ in {', '.join(f'{page:#x}' for page in sorted(poisoned ^ pages)[:5])}"
            )
        seen = check_structures(memory, memory.slots(), poisoned)
        shown = check_cpus(stage, poisoned)
    finally:
        stage.machine.qmp.command("cont")
    stage.say(f"{seen}; {shown} translations shown by `info tlb`: none of a poisoned page")


def run(stage: Stage) -> None:
    stage.start("poison-stress")
    match, _ = stage.out.wait_for(r"stress: (FAIL .*|\d+ pages poisoned .*: ok)$", "system", 0, 2 * BOOT, "the server's verdict")
    for line in stage.out.texts("system"):
        if re.search(r"stress: (seed|mover|\d+ readers)", line):
            stage.say(line)
    stage.say(match[1])
    if match[1].startswith("FAIL"):
        raise Unexpected(match[1])
    for _ in range(LOOKS):
        stage.at_random()
        look(stage, told(stage))
    stage.forbid(r"stress: FAIL", "system")
