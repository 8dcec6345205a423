# SPDX-License-Identifier: BSD-2-Clause
"""What must hold on the paths: no lock, and no write to a cache line that another CPU touches."""

from typing import Iterable

from .names import CONSTANT, LINE, LOCAL, SHARED, Named


def of_path(touched: Iterable[Named]) -> list[str]:
    """A sentence for each thing that is wrong with what a path touched."""
    touched = list(touched)
    wrong = [f"{one.where} locks the bus for {one.what}" for one in touched if one.locked]
    whose = {SHARED: "which all CPUs use", CONSTANT: "which is a constant"}
    wrong += [f"{one.where} writes {one.what}, {whose.get(one.owner, f'which is of {one.owner}')}"
              for one in touched if one.write and one.owner != LOCAL]
    return list(dict.fromkeys(wrong + mixed_lines(touched)))


def mixed_lines(touched: list[Named]) -> list[str]:
    """A line that is written may hold nothing of another owner."""
    things: dict[int, dict[str, str]] = {}
    for one in touched:
        for line in one.lines:
            things.setdefault(line, {})[one.what] = one.owner
    written = {line for one in touched if one.write for line in one.lines}
    wrong = []
    for line in sorted(written):
        if len(set(things[line].values())) > 1:
            held = ", ".join(f"{what} ({owner})" for what, owner in sorted(things[line].items()))
            wrong.append(f"the cache line {line * LINE:#x} is written, and it holds {held}")
    return wrong


def of_memory(before: dict[int, bytes], after: dict[int, bytes], touched: Iterable[Named]) -> list[str]:
    """What changed in memory must be among what was seen to be written: else the trace is not whole."""
    changed = {
        (address + at) // LINE for address, old in before.items() if old != after.get(address)
        for at in range(0, len(old), LINE) if old[at:at + LINE] != after.get(address, b"")[at:at + LINE]
    }
    written = {line for one in touched if one.write for line in one.lines}
    return [f"cache line {line * LINE:#x} changed, but no instruction was seen to write it"
            for line in sorted(changed - written)]


def of_areas(areas: dict[int, tuple[int, int]]) -> list[str]:
    """No area, (physical address, size) by CPU, may have a cache line in common with another one, nor with anything else."""
    wrong = []
    lines = {index: range(address // LINE, (address + size - 1) // LINE + 1) for index, (address, size) in areas.items()}
    for index, (address, size) in sorted(areas.items()):
        if address % LINE or size % LINE:
            wrong.append(f"the area of CPU {index} ({address:#x}, {size} bytes) does not begin and end with a cache line")
        wrong += [f"the areas of CPU {index} and CPU {other} share a cache line" for other in sorted(areas)
                  if other > index and max(lines[index].start, lines[other].start) < min(lines[index].stop, lines[other].stop)]
    return wrong


def of_others(writes: Iterable[Named], index: int, touches: Iterable[Named], other: int) -> list[str]:
    """What one CPU's path writes may not lie in a cache line that another CPU touches, whoever may own it."""
    written: dict[int, set[str]] = {}
    touched: dict[int, set[str]] = {}
    for one in writes:
        for line in one.lines if one.write else ():
            written.setdefault(line, set()).add(one.what)
    for one in touches:
        for line in one.lines:
            touched.setdefault(line, set()).add(one.what)
    return [
        f"CPU {index} writes {', '.join(sorted(written[line]))} in the cache line where CPU {other} uses "
        f"{', '.join(sorted(touched[line]))}"
        for line in sorted(written.keys() & touched.keys())
    ]
