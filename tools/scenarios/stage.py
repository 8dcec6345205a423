# SPDX-License-Identifier: BSD-2-Clause
"""The stage a scenario plays on: starts the system, types, injects, waits, and says what it sees."""

import collections
import hashlib
import pathlib
import random
import re
import time
from typing import Iterable

from simulate import build, transcript
from simulate.console import Console, Unexpected
from simulate.errors import SimulateError
from simulate.inject import PAGE, inject, inject_in_user_mode
from simulate.machine import Machine, Settings, make_machine

# Upper bounds in seconds, for slow and busy machines: what is seen decides, never the time it took.
BOOT = 600.0
STEP = 180.0

# Where the output of a command ends: a message of the kernel may follow on its line.
KERNEL_OR_END = r"(?=\[ *\d+\.\d+\] |$)"

HASHES_PER_STEP = 500  # as in apps/guest-linux/bystander.c


def expected_hashes() -> Iterable[str]:
    """The first eight digits of the bystander's hash after step 1, 2, …: computed here, not taken from the guest."""
    digest = bytes(32)
    while True:
        for _ in range(HASHES_PER_STEP):
            digest = hashlib.sha256(digest).digest()
        yield digest.hex()[:8]


def check_steps(steps: Iterable[tuple[int, str | None]]) -> int:
    """Checks the sequence 1, 2, 3, … and each hash; returns the last number (0: none)."""
    count = 0
    for (number, digest), wanted in zip(steps, expected_hashes()):
        if number != count + 1:
            raise Unexpected(f"the bystander printed step {number} after step {count}: a gap")
        if digest != wanted:
            raise Unexpected(f"the bystander's step {number} has hash {digest}, but {wanted} is right")
        count = number
    return count


class Stage:
    """One scenario run on one vendor's rules. Use as a context: everything is stopped at the end."""

    def __init__(
        self, name: str, cpu: str, seed: int, preset: str, directory: pathlib.Path, cpus: int | None = None,
        emulator: str = "qemu",
    ) -> None:
        self.name = name
        self.cpu = cpu
        self.emulator = emulator
        self.cpus = cpus  # of the machine; None: as the system says
        self.seed = seed
        self.random = random.Random(f"{seed}/{name}/{cpu}")
        self.preset = preset
        self.directory = directory
        self.machine: Machine | None = None
        self.console: Console | None = None
        self.vms: list[str] = []
        self.native = False
        self.contexts: collections.Counter[str] = collections.Counter()
        # Seconds after the victim has printed its line.
        self.instants = (0.0, 0.4)
        # Whether errors that nobody consumed just now may be seen by any CPU, or by that of the VM that is hit only.
        self.anywhere = True
        self._started = time.monotonic()
        self._commands = 0
        self._runs = 0
        self._restarts: dict[str, int] = {}

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def say(self, text: str) -> None:
        print(f"  {time.monotonic() - self._started:7.1f} s  {text}", flush=True)
        if self.console:
            self.console.note(text)

    # Starting and ending

    def start(self, system: str, *overrides: str, variant: str = "", marked: bool = True) -> None:
        """Boots a system of systems/, with the composer's overrides (KEY=VALUE)."""
        image = build.image(system, self.preset, overrides, variant, self.emulator)
        settings = Settings(
            emulator=self.emulator, cpu=self.cpu, cpus=self.cpus or image.cpus, memory=image.memory, kernel=image.path, system=system,
        )
        self._boot(settings, list(image.vms), marked)
        what = f"{self.emulator}, {self.cpu}, {settings.cpus} CPU(s), {self.preset}"
        self.say(f"{system} starts ({what})" + "".join(f", {word}" for word in overrides))

    def start_native(self, append: str, memory: int = 256) -> None:
        """Boots Linux alone in the same emulator, without Cairn: the reference."""
        kernel, initrd = build.guest_linux(self.preset)
        model = {"intel": "Haswell", "amd": "EPYC"}[self.cpu]
        settings = Settings(
            cpu=self.cpu, cpu_model=model, memory=memory, kernel=kernel, initrd=initrd, append=append, system="linux alone",
        )
        self.native = True
        self._boot(settings, ["linux-1"], marked=False)
        self.say(f"Linux alone starts ({self.cpu})")

    def _boot(self, settings: Settings, vms: list[str], marked: bool) -> None:
        self.stop()
        self._runs += 1
        directory = self.directory if self._runs == 1 else self.directory / f"run-{self._runs}"
        self.vms = vms
        self._restarts = {}
        self.machine = make_machine(settings, directory)
        self.machine.start()
        self.console = Console(self.machine, vms, directory / "transcript.txt", marked)

    def diagnose(self) -> None:
        """Leaves in the transcript what the emulator knows about a machine that did not do what it should."""
        if not self.machine or not self.console or self.machine.ended() or self.emulator != "qemu":
            return
        try:
            for cpu in range(self.machine.settings.cpus):
                for command in ("info registers", "info lapic", "info pic") if cpu == 0 else ("info registers", "info lapic"):
                    for line in self.machine.qmp.monitor(command, cpu).splitlines()[:60]:
                        self.console.note(f"CPU {cpu}: {command}: {line}")
        except SimulateError as error:
            self.console.note(f"no diagnosis: {error}")

    def stop(self) -> None:
        if self.machine:
            self.machine.stop()
            self.machine = None
        if self.console:
            self.console.close()
            self.console = None

    @property
    def out(self) -> Console:
        assert self.console
        return self.console

    # The guests

    def ready(self, vm: str, start: int = 0) -> int:
        """Waits for the guest's shell; returns the position after its line."""
        _, position = self.out.wait_for(r"init: ready", vm, start, BOOT, f"the shell of {vm}")
        self.say(f"{vm} is ready")
        return position

    def shell(self, vm: str, command: str, timeout: float = STEP) -> list[str]:
        """Types a command into a guest's plain shell and returns its output; it must succeed."""
        self._commands += 1
        start = self.out.position()
        joint = "" if command.endswith("&") else ";"
        self.out.type(vm, f'{command}{joint} echo "done $? {self._commands}"')
        match, end = self.out.wait_for(rf"^done (\d+) {self._commands}{KERNEL_OR_END}", vm, start, timeout, f"the end of `{command}`")
        if match[1] != "0":
            raise Unexpected(f"`{command}` in {vm} ended with status {match[1]}")
        return self.out.texts(vm, start, end - 1)

    def start_bystander(self, vm: str, pause_ms: int = 200) -> None:
        start = self.out.position()
        self._restarts[vm] = start
        self.out.type(vm, f"bystander {pause_ms} &")
        self.out.wait_for(r"bystander: step 1 ok", vm, start, STEP)
        self.say(f"{vm}: the bystander computes")

    def bystander(self, vm: str) -> int:
        """Checks all steps of a VM's bystander so far; returns the last number."""
        return check_steps(transcript.bystander_steps(self.out.texts(vm, self._restarts.get(vm, 0))))

    def bystander_goes_on(self, vm: str, steps: int = 3) -> None:
        """Checks everything so far, then that more steps come."""
        before = self.bystander(vm)
        self.out.wait_until(
            lambda: self.bystander(vm) >= before + steps, f"{vm}'s bystander goes on after step {before}", STEP
        )
        self.say(f"{vm}: bystander at step {self.bystander(vm)}, no gap, every hash right")

    def corrupted_kb(self, vm: str) -> int:
        output = "\n".join(self.shell(vm, "grep HardwareCorrupted /proc/meminfo"))
        match = re.search(r"HardwareCorrupted: +(\d+) kB", output)
        if not match:
            raise Unexpected(f"{vm} does not tell HardwareCorrupted: {output!r}")
        return int(match[1])

    def start_victim(self, vm: str, mode: str, tag: str) -> transcript.Victim:
        """A new victim on a random page. When it ends the guest prints `victim ended STATUS TAG`."""
        start = self.out.position()
        self.out.type(vm, f'(victim {mode} {self.random.getrandbits(32)}; echo "victim ended $? {tag}") &')
        match, _ = self.out.wait_for(r"victim: pid .*mode \w+", vm, start, STEP, "the victim's line")
        victim = transcript.parse_victim(match[0])
        if victim is None:
            raise Unexpected(f"cannot read the victim's line: {match[0]}")
        return victim

    # Errors

    def at_random(self) -> None:
        """Lets a random time pass, so that the error meets the system anywhere."""
        time.sleep(self.random.uniform(*self.instants))

    def system_physical(self, vm: str, gpa: int) -> int:
        if self.native:
            return gpa
        return transcript.to_system_physical(transcript.parse_pieces(self.out.texts()), vm, gpa)

    def _target(self, kind: str, spa: int) -> int:
        """The CPU that sees an error: the consumer's, which is that of the VM (free memory: of the first VM), or any."""
        assert self.machine
        if self.native:
            return 0
        if self.anywhere and kind != "srar":
            return self.random.randrange(self.machine.settings.cpus)
        lines = self.out.texts()
        vm = transcript.vm_at(transcript.parse_pieces(lines), spa) or self.vms[0]
        return transcript.parse_places(lines).get(vm, 0)

    def inject(self, kind: str, spa: int) -> None:
        assert self.machine
        if self.native and kind == "srar":
            self.out.note(inject_in_user_mode(self.machine.qmp, self.cpu, kind, spa))
        else:
            self.out.note(inject(self.machine.qmp, self.cpu, kind, spa, self._target(kind, spa)))

    def record(self, spa: int, start: int) -> transcript.Record:
        """The mca-server's line about the error at an address."""
        match, _ = self.out.wait_for(
            rf"record cpu .*addr {spa:#x} .*", "system", start, STEP, f"the mca-server's record of {spa:#x}"
        )
        record = transcript.parse_record(match[0])
        if record is None:
            raise Unexpected(f"cannot read the record: {match[0]}")
        self.contexts[record.context] += 1
        return record

    def retired(self, spa: int, start: int) -> transcript.Retired:
        page = spa & ~(PAGE - 1)
        match, _ = self.out.wait_for(rf"retired page {page:#x}\b.*", "system", start, STEP, f"page {page:#x} retired")
        retired = transcript.parse_retired(match[0])
        if retired is None:
            raise Unexpected(f"cannot read: {match[0]}")
        return retired

    def check_holder(self, retired: transcript.Retired, vm: str, gpa: int) -> None:
        """The page was unmapped from the VM, at the address the guest itself had told, and from its vmm-server."""
        page = gpa & ~(PAGE - 1)
        if not any(h.kind == "vm" and h.name == vm and h.address == page for h in retired.holders):
            raise Unexpected(f"page {retired.spa:#x} was not taken from {vm} at {page:#x}: {retired.holders}")
        if not any(h.kind == "server" and h.name == f"vmm-{vm}" for h in retired.holders):
            raise Unexpected(f"page {retired.spa:#x} was not taken from vmm-{vm}: {retired.holders}")

    def forbid(self, pattern: str, source: str, start: int = 0, why: str = "") -> None:
        for text in self.out.texts(source, start):
            if re.search(pattern, text):
                raise Unexpected(f"{source} printed {text!r}{': ' + why if why else ''}")

    def say_contexts(self) -> None:
        self.say("interrupted: " + ", ".join(f"{name} {self.contexts[name]}" for name in sorted(self.contexts)))
