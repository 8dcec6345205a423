# SPDX-License-Identifier: BSD-2-Clause
"""The command line of tools/paths."""

import argparse
import sys
from typing import Iterator

from simulate.errors import SimulateError
from simulate.paths import ROOT

from . import rules, run, table
from .errors import PathsError

PAGE = ROOT / "docs" / "paths.md"
DESCRIPTION = """\
Follows the kernel's short paths instruction by instruction in QEMU, on two CPUs, and looks at every access to memory.
Prints a line for each thing that must hold: `ok NAME: …` or `FAIL NAME: …`; the exit status is 0 when none failed."""


def verdicts(results: run.Results) -> Iterator[tuple[str, str, list[str]]]:
    """(name, what was seen, what is wrong) of everything but the page."""
    for index, paths in results.cpus.items():
        for name, result in paths.items():
            text = f"{result.kernel} instructions in the kernel, {result.outside} outside"
            yield f"{name} on CPU {index}", text, result.wrong
    yield "areas", "no two CPUs' areas share a cache line", results.areas
    yield "CPUs alike", "every CPU touches the same of its own", list(unlike(results))
    yield "CPUs apart", "no path writes a cache line that a path of another CPU touches", list(together(results))
    asked = [sentence for _, sentence in asking(results)]
    yield "CPUs asked", "no path writes a cache line that a CPU touches which asks another one", asked


def unlike(results: run.Results) -> Iterator[str]:
    """Where another CPU's table is not CPU 0's."""
    first = results.cpus[0]
    for index, paths in results.cpus.items():
        own = table.build({name: result.touched for name, result in paths.items()})
        zero = table.build({name: first[name].touched for name in paths})
        yield from table.differences(zero, own, "on CPU 0", f"on CPU {index}")


def together(results: run.Results) -> Iterator[str]:
    """Lines that a path of one CPU writes and any path of another one touches."""
    for index, paths in results.cpus.items():
        for other, theirs in results.cpus.items():
            touched = [one for result in theirs.values() for one in result.touched]
            for name, result in paths.items():
                if index != other:
                    yield from (f"{name}: {sentence}" for sentence in rules.of_others(result.touched, index, touched, other))


def asking(results: run.Results) -> Iterator[tuple[str, str]]:
    """(path, sentence): lines that a path writes and that another CPU touches when it signals a thread here."""
    for other, remote in results.remote.items():
        for index, paths in results.cpus.items():
            for name, result in paths.items():
                if index != other:
                    for sentence in rules.of_others(result.touched, index, remote.touched, other):
                        yield name, f"{name}: {sentence}, to signal a thread of CPU {index}"


def tell(name: str, text: str, wrong: list[str]) -> bool:
    """Prints a verdict."""
    for sentence in wrong:
        print(f"FAIL {name}: {sentence}")
    if not wrong:
        print(f"ok {name}: {text}")
    return not wrong


def work(write: bool) -> bool:
    """Whether all is well."""
    page = table.load(PAGE)
    results = run.follow()
    good = all([tell(*verdict) for verdict in verdicts(results)])
    seen = table.build({name: result.touched for name, result in results.cpus[0].items()})
    if write:
        PAGE.write_text(table.replace(page, seen), encoding="utf-8")
        print(f"written: {PAGE.relative_to(ROOT)}, {len(seen)} fields")
        return good
    wrong = table.differences(table.parse(page), seen, "in docs/paths.md", "in the trace")
    if wrong:
        wrong.append("if the kernel is right: /usr/bin/python3 tools/paths --write, and read what has changed")
    return tell("docs/paths.md", f"as traced, {len(seen)} fields", wrong) and good


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="tools/paths", description=DESCRIPTION)
    parser.add_argument("--write", action="store_true", help="write the table of docs/paths.md")
    options = parser.parse_args(arguments)
    try:
        return 0 if work(options.write) else 1
    except (PathsError, SimulateError) as error:
        print(f"FAIL tools/paths: {error}", file=sys.stdout)
        return 1
