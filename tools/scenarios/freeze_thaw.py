# SPDX-License-Identifier: BSD-2-Clause
"""Machine checks on many CPUs: one, several at once, broadcast, late; each freezes all guests until each is thawed."""

import re
import time
from dataclasses import dataclass

from simulate.console import Unexpected
from simulate.inject import PAGE, UNAFFECTED, command_for, deliver, error_for

from .stage import BOOT, STEP, Stage

SUMMARY = "errors on one CPU, on several at once, broadcast, late: every guest frozen until its thaw, every record once"
CPUS = ("intel", "amd")
ROUNDS = 4
# kernel/arch/x86_64/mca/mca.c: how long CPUs wait for each other, and how long one may be late. Seconds.
MEET, LATE = 1.0, 2.0
SETTLE = 0.3


@dataclass(frozen=True)
class Machine:
    """A guest: the CPU it is on, where its counter lies, and its pages."""

    cpu: int
    counter: int
    pages: list[int]


@dataclass(frozen=True)
class Error:
    cpu: int
    kind: str
    page: int


_MACHINE = re.compile(r"stress: vm (\d+) on CPU \1: counter at (0x[0-9a-f]+), pages (0x[0-9a-f]+)\.\.(0x[0-9a-f]+)")
_RECORD = re.compile(
    r"stress: record cpu (?P<cpu>\d+) seq (?P<seq>\d+) bank (?P<bank>\d+) status (?P<status>0x[0-9a-f]+) "
    r"addr (?P<addr>0x[0-9a-f]+|0) .*context (?P<context>\d+) label (?P<label>0x[0-9a-f]+|0x0) last (?P<last>\d) "
    r"epoch (?P<epoch>\d+); a guest left (?P<late>\d+) us later"
)
_ROUND = re.compile(r"stress: (round (\d+): .*: ok|FAIL .*)$")


class Frozen:
    """The server that stands in the place of the mca-server, with its guests."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        stage.start("freeze-thaw")
        stage.out.wait_for(r"stress: ready", "system", 0, BOOT, "the server with its guests")
        self.machines = [
            Machine(int(m[1]), int(m[2], 16), list(range(int(m[3], 16), int(m[4], 16), PAGE)))
            for line in stage.out.texts("system") if (m := _MACHINE.search(line))
        ]
        self.sequences: dict[int, int] = {machine.cpu: 0 for machine in self.machines}
        if len(self.machines) != stage.machine.settings.cpus:
            raise Unexpected(f"{len(self.machines)} guests on {stage.machine.settings.cpus} CPUs")

    def error(self, cpu: int, kind: str) -> Error:
        """On a page of that CPU's guest that was not lost before."""
        return Error(cpu, kind, self.machines[cpu].pages.pop(0))

    def some(self, count: int) -> list[Error]:
        chosen = self.stage.random.sample(range(len(self.machines)), count)
        return [self.error(cpu, "srar") for cpu in chosen]

    def command(self, error: Error, broadcast: bool = False) -> str:
        return command_for(self.stage.cpu, error.kind, error.page, error.cpu, broadcast)

    def raise_all(self, commands: list[str]) -> None:
        self.stage.out.note(deliver(self.stage.machine.qmp, commands))

    def records(self, start: int) -> list[dict[str, int]]:
        """The records since then, whose sequences have no gap."""
        found = []
        for line in self.stage.out.texts("system", start):
            if match := _RECORD.search(line):
                found.append({key: int(value, 0) for key, value in match.groupdict().items()})
        return found

    def rounds(self, start: int) -> int:
        done = 0
        for line in self.stage.out.texts("system", start):
            if match := _ROUND.search(line):
                if match[1].startswith("FAIL"):
                    raise Unexpected(match[1])
                done += 1
        return done

    def seen(self, errors: list[Error], start: int) -> bool:
        """Has each error its record, and was each VM thawed after the last one?"""
        self.rounds(start)
        lines = self.stage.out.texts("system", start)
        missing = {(error.cpu, error.page) for error in errors}
        for line in lines:
            if match := _RECORD.search(line):
                missing.discard((int(match["cpu"]), int(match["addr"], 0)))
            elif not missing and _ROUND.search(line):
                return True
        return False

    def check(self, errors: list[Error], start: int, what: str) -> None:
        """Waits until all is over: each error has one record, nothing else raised one, and numbers have no gap."""
        self.stage.out.wait_until(lambda: self.seen(errors, start), f"{what}: records and thaw", STEP)
        wanted = {(e.cpu, e.page): error_for(self.stage.cpu, e.kind).status for e in errors}
        late = 0
        for record in self.records(start):
            cpu, where = record["cpu"], (record["cpu"], record["addr"])
            self.sequences[cpu] += 1
            if record["seq"] != self.sequences[cpu]:
                raise Unexpected(f"CPU {cpu}: record {record['seq']} instead of {self.sequences[cpu]}")
            if not record["epoch"]:
                continue  # polled: the bank of a CPU that was not affected
            if wanted.pop(where, None) != record["status"]:
                raise Unexpected(f"a record of CPU {cpu} at {record['addr']:#x} with status {record['status']:#x}: nobody injected it, or it came twice")
            if record["context"] in (1, 2) and record["label"] != 0x400 + cpu:
                raise Unexpected(f"CPU {cpu} interrupted its guest, but the label is {record['label']:#x}")
            late = max(late, record["late"])
        if wanted:
            raise Unexpected(f"{what}: {len(wanted)} errors have no record")
        self.stage.say(f"{what}: {len(errors)} record(s), each once; all frozen until thawed; the last guest left {late} us later")

    def play(self, commands: list[str], errors: list[Error], what: str) -> None:
        start = self.stage.out.position()
        self.raise_all(commands)
        self.check(errors, start, what)

    def counters(self) -> list[int]:
        """The guests' counters, read from outside."""
        found = []
        for machine in self.machines:
            answer = self.stage.machine.qmp.monitor(f"xp /1xw {machine.counter:#x}")
            found.append(int(answer.split()[-1], 16))
        return found

    def goes_on(self) -> None:
        """Every guest counts."""
        before = self.counters()
        self.stage.out.wait_until(
            lambda: all(now != then for now, then in zip(self.counters(), before)), "every guest counts", STEP,
        )

    def stops(self, commands: list[str], later: list[str], why: str) -> None:
        """A machine check, perhaps a second one when its time has come, that must stop everything."""
        stage = self.stage
        start = stage.out.position()
        stage.out.expect("cairn: stopped")
        self.raise_all(commands)
        if later:
            time.sleep(MEET + SETTLE)
            self.raise_all(later)
        match, _ = stage.out.wait_for(r"cairn: fatal machine check: (.*)", None, start, STEP, "the fatal record")
        if match[1] != why:
            raise Unexpected(f"the machine stopped because of `{match[1]}` instead of `{why}`")
        stage.out.wait_for(r"cairn: stopped", None, start, STEP, "`cairn: stopped`")
        if not stage.machine.stands_still():
            raise Unexpected("a CPU does not halt after `cairn: stopped`")
        before = self.counters()
        time.sleep(1.0)
        if before != self.counters() or not stage.machine.stands_still():
            raise Unexpected("a guest counts after `cairn: stopped`")
        if len([line for line in stage.out.texts(None, start) if "cairn: fatal machine check" in line]) != 1:
            raise Unexpected("more than one CPU says why the machine stops")
        stage.say(f"{match[0]}: every CPU halts, no guest counts")


def unaffected(cpu: int) -> str:
    return f"mce {cpu} {UNAFFECTED}"


def survivable(stage: Stage) -> None:
    frozen = Frozen(stage)
    cpus = range(len(frozen.machines))
    for cpu in cpus:
        error = frozen.error(cpu, "srar")
        frozen.play([frozen.command(error)], [error], f"an error on CPU {cpu}, which the others are not told of")
    for count in range(2, len(cpus) + 1):
        errors = frozen.some(count)
        frozen.play([frozen.command(error) for error in errors], errors, f"{count} errors at once")
    if stage.cpu != "intel":
        return
    for number in range(ROUNDS):
        for kind in ("srar", "srao"):
            error = frozen.error(stage.random.choice(cpus), kind)
            frozen.play([frozen.command(error, True)], [error], f"{kind} on CPU {error.cpu}, broadcast ({number + 1})")
    if len(cpus) > 1:
        late_one(frozen)


def late_one(frozen: Frozen) -> None:
    """A broadcast that one CPU sees when the others have stopped waiting for it."""
    stage = frozen.stage
    error = frozen.error(0, "srar")
    last = len(frozen.machines) - 1
    start = stage.out.position()
    frozen.raise_all([frozen.command(error), *(unaffected(cpu) for cpu in range(1, last))])
    time.sleep(MEET + SETTLE)
    frozen.raise_all([unaffected(last)])
    frozen.check([error], start, f"broadcast, CPU {last} too late for the meeting")
    frozen.goes_on()


def run(stage: Stage) -> None:
    survivable(stage)
    cpus = stage.machine.settings.cpus
    frozen = Frozen(stage)
    error = frozen.error(stage.random.randrange(cpus), "fatal")
    broadcast = stage.cpu == "intel"
    frozen.stops([frozen.command(error, broadcast)], [], "processor context corrupt")
    if not broadcast or cpus == 1:
        return
    frozen = Frozen(stage)
    error = frozen.error(cpus - 1, "srar")
    frozen.stops([unaffected(cpu) for cpu in range(cpus - 1)], [frozen.command(error)], "no bank holds an error")
