# SPDX-License-Identifier: BSD-2-Clause
"""An interactive run of a system or of a payload, and injection into it from a second terminal."""

import json
import os
import pathlib
import re
import shutil
import sys

from . import build, transcript
from .errors import SimulateError
from .inject import inject
from .machine import Machine, Settings, make_machine, read_state
from .paths import CURRENT, RUN
from .qmp import Qmp
from .terminal import Session

# What the kernel prints last when it stops the machine for good.
STOPPED = b"cairn: stopped"
# Exit statuses of our own, apart from those of a guest's debug exit (which are odd) and of usage errors (2).
STATUS_FATAL_MACHINE_CHECK = 4
STATUS_STOPPED = 6
PAYLOAD_OVERHEAD = 512  # MiB for kernel, servers and the image, besides the guest's memory


def payload_description(
    kernel: pathlib.Path, initrd: pathlib.Path | None, append: str | None, cpus: int, memory: int, machine_cpus: int,
) -> str:
    """A system description with one VM made for a payload."""
    if append is None:
        append = "console=ttyS0"
    size = -(-(kernel.stat().st_size + (initrd.stat().st_size if initrd else 0)) // (1 << 20))
    lines = [
        "[system]",
        'name = "payload"',
        f'memory = "{memory + PAYLOAD_OVERHEAD + 2 * ((size + 1) // 2)} MiB"',
        f"cpus = {machine_cpus}",
        "[mca]",
        "succor_override = true",
        "[[vm]]",
        'name = "guest"',
        f'memory = "{memory} MiB"',
        f"vcpus = {cpus}",
        f"kernel = {json.dumps(str(kernel))}",
    ]
    if initrd:
        lines.append(f"initrd = {json.dumps(str(initrd))}")
    lines += [f"cmdline = {json.dumps(append)}", "end_system = true", "debug_exit = true"]
    return "\n".join(lines) + "\n"


# Which option a line of the generated description comes from, by its key.
OPTIONS = {
    "kernel": "--kernel", "initrd": "--initrd", "cmdline": "--append", "vcpus": "--guest-cpus", "cpus": "--cpus",
    "memory": "--guest-memory",
}


def option_sentence(text: str, mistakes: str, values: dict[str, object]) -> str:
    """The composer's first mistake about a generated description, as one about the option that the user gave."""
    match = re.search(r"^.*\.toml:(\d+): (.*)$", mistakes, re.MULTILINE)
    lines = text.splitlines()
    if not match or not 1 <= int(match[1]) <= len(lines):
        return mistakes.strip()
    option = OPTIONS.get(lines[int(match[1]) - 1].split(" ")[0])
    sentence = match[2]
    if not option:
        return sentence
    value = str(values[option])
    # Where the sentence begins with the value, once is enough.
    return f"{option} {value}: {sentence.removeprefix(value).strip()}"


def payload_image(args: "object", preset: str) -> build.Image:
    """Writes the description into the build directory and composes it."""
    kernel = pathlib.Path(args.kernel).resolve()
    initrd = pathlib.Path(args.initrd).resolve() if args.initrd else None
    for file in (kernel, initrd):
        if file and not file.is_file():
            raise SimulateError(f"{file}: no such file")
    guest_cpus, guest_memory = args.guest_cpus or 1, args.guest_memory or 256
    if guest_memory % 2:
        raise SimulateError(f"--guest-memory {guest_memory}: must be a multiple of 2 MiB")
    text = payload_description(kernel, initrd, args.append, guest_cpus, guest_memory, args.cpus or 1)
    where = build.configure(preset) / "generated" / "payload.toml"
    where.parent.mkdir(parents=True, exist_ok=True)
    if not where.is_file() or where.read_text() != text:
        where.write_text(text)
    overrides = (f"system.memory={args.memory} MiB",) if args.memory else ()
    mistakes = build.mistakes(str(where), preset, overrides)
    if mistakes:
        values = {
            "--kernel": kernel, "--initrd": initrd, "--append": args.append or "", "--guest-cpus": guest_cpus,
            "--guest-memory": guest_memory, "--cpus": args.cpus or 1,
        }
        raise SimulateError(option_sentence(text, mistakes, values))
    return build.image(str(where), preset, overrides, emulator=args.emulator)


def how_to(emulator: str, cpu: str, image: build.Image) -> str:
    vm = image.vms[0] if image.vms else "NAME"
    kind = "srar"
    text = (
        f"cairn: {image.name}, {'AMD' if cpu == 'amd' else 'Intel'} machine-check rules. "
        f"Leave: Ctrl-A x. Switch consoles: Ctrl-] and a digit, s for the system log. "
    )
    if emulator == "bochs":
        return text + "Bochs takes about a second to the first line"
    return text + (
        f"Inject an error, from a second terminal: ./simulate --inject {kind} --vm {vm} --gpa ADDRESS "
        "(`victim spin &` in Cairn's own Linux guest prints one)"
    )


def interactive(image: build.Image, emulator: str, cpu: str, cpus: int | None) -> int:
    """Runs until the machine ends or the user leaves; returns the exit status. cpus: None: as the system says."""
    settings = Settings(
        emulator=emulator, cpu=cpu, cpus=cpus or image.cpus, memory=image.memory, kernel=image.path, system=image.name,
    )
    directory = RUN / f"{image.name}-pid{os.getpid()}"
    _forget_old_runs()
    print(how_to(emulator, cpu, image), file=sys.stderr, flush=True)
    with make_machine(settings, directory) as machine:
        _make_current(machine)
        session = Session(machine, STOPPED)
        try:
            session.run()
        except KeyboardInterrupt:
            session.left = True
        except OSError as error:
            if machine.wait(5) is None:
                raise SimulateError(f"the connection to QEMU broke: {error}") from error
        if session.left or session.stopped:
            status = None
        else:
            status = machine.wait(10)
        return conclude(session, status, machine)


def conclude(session: Session, status: int | None, machine: Machine) -> int:
    """Says how the run ended, judged by what was printed: QEMU's own exit status alone proves nothing."""
    printed = session.printed.decode(errors="replace")
    say = lambda text: print(f"\r\ncairn: {text} (transcript: {machine.serial_log})", file=sys.stderr)
    if session.stopped and "cairn: fatal machine check" in printed:
        say("the system stopped on a fatal machine check")
        return STATUS_FATAL_MACHINE_CHECK
    if session.stopped:
        say("the system stopped")
        return STATUS_STOPPED
    if session.left:
        return 0
    ended = re.search(r"system: ended \((.*)\)", printed)
    if not ended:
        say(f"{machine.name} ended, but the system did not say that it did: {machine.complaint()}")
        return STATUS_STOPPED
    if re.search(r"debug.exit", ended[1]):
        # QEMU's isa-debug-exit: (value << 1) | 1. A run of a payload hands it on.
        return status if status is not None else STATUS_STOPPED
    return 0 if status == 1 else STATUS_STOPPED


def _make_current(machine: Machine) -> None:
    RUN.mkdir(parents=True, exist_ok=True)
    new = CURRENT.with_name(f"{CURRENT.name}-{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(machine.state_file)
    new.replace(CURRENT)


def _forget_old_runs(keep: int = 5) -> None:
    """Transcripts of interactive runs are kept for the last few only."""
    if not RUN.is_dir():
        return
    runs = [path for path in RUN.iterdir() if path.is_dir() and re.fullmatch(r".*-pid\d+", path.name)]
    runs.sort(key=lambda path: path.stat().st_mtime)
    for path in runs[:-keep]:
        if read_state(path / "state.json") is None:
            shutil.rmtree(path, ignore_errors=True)


def parse_address(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise SimulateError(f"`{text}` is not an address; write it as in 0x12345000") from None


def target_cpu(state: dict[str, object], asked: int | None, lines: list[str], address: int) -> int:
    """The CPU that shall see an error: the one asked for, or that of the VM whose memory it is in, or CPU 0."""
    if asked is not None:
        count = int(str(state["cpus"]))
        if asked >= count:
            raise SimulateError(f"--on-cpu {asked}: the machine has {count} CPU(s), counted from 0")
        return asked
    vm = transcript.vm_at(transcript.parse_pieces(lines), address)
    return transcript.parse_places(lines).get(vm, 0) if vm else 0


def inject_now(kind: str, vm: str | None, gpa: str | None, spa: str | None, on_cpu: int | None) -> str:
    """Injects an error into the running system; returns what was done."""
    state = read_state(CURRENT)
    if state is None:
        raise SimulateError("no system is running here: start one with ./simulate in another terminal first")
    if state["emulator"] == "bochs":
        raise SimulateError("the system that runs here runs in Bochs, whose machine has no errors to raise: use --emulator qemu")
    if spa is not None and (gpa is not None or vm is not None):
        raise SimulateError("give either --vm NAME --gpa ADDRESS, or --spa ADDRESS")
    printed = pathlib.Path(state["serial"]).read_text(errors="replace")
    lines = [transcript.clean(line) for line in printed.splitlines()]
    if spa is not None:
        address = parse_address(spa)
    elif gpa is not None:
        pieces = transcript.parse_pieces(lines)
        names = sorted({piece.vm for piece in pieces})
        if vm is None and len(names) == 1:
            vm = names[0]
        if vm is None:
            raise SimulateError(f"which VM? Add --vm NAME; there are: {', '.join(names) or 'none yet'}")
        address = transcript.to_system_physical(pieces, vm, parse_address(gpa))
    else:
        raise SimulateError(
            "where? Add --vm NAME --gpa ADDRESS (a guest-physical address; `victim spin &` in the guest prints one) "
            "or --spa ADDRESS (system-physical)"
        )
    cpu = target_cpu(state, on_cpu, lines, address)
    qmp = Qmp(pathlib.Path(state["qmp"]))
    try:
        return inject(qmp, state["cpu"], kind, address, cpu)
    finally:
        qmp.close()
