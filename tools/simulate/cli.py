# SPDX-License-Identifier: BSD-2-Clause
"""The command line of ./simulate."""

import argparse
import random
import signal
import sys

from . import build
from .errors import SimulateError
from .inject import KINDS, MEANING

MAX_CPUS = 64

DESCRIPTION = """\
Builds a system and runs it in QEMU, or in Bochs. Without arguments: the default system, one Linux with its shell on the terminal.
Leave with Ctrl-A x. Ctrl-] is the console server's key: a digit selects a VM, s shows the system log."""

EXIT_STATUS = """\
exit status: 0 when the system ended as it should (or you left); 1 for an error told in a sentence, or a scenario that
failed; 4 after a fatal machine check; 6 when the system stopped in another way; with --kernel, a guest that writes
VALUE to port 0xf4 ends the run with (VALUE << 1) | 1."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="./simulate", description=DESCRIPTION, epilog=EXIT_STATUS, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("system", nargs="?", default=None, help="a name in systems/, or a .toml file (default: default)")
    top.add_argument("--emulator", default="qemu", choices=("qemu", "bochs"), help="qemu (default): SVM; bochs: VT-x")
    top.add_argument("--cpu", choices=("intel", "amd"), default=None,
                     help="whose machine-check rules (QEMU: Haswell,+svm,+npt or EPYC; default intel; a scenario's "
                     "default: all it is made for)")
    top.add_argument("--cpus", type=_cpus, metavar="N",
                     help=f"CPUs of the machine, 1 to {MAX_CPUS} (default: as the system says)")
    top.add_argument("--memory", type=_positive, metavar="MIB", help="RAM of the machine (default: as the system says)")
    top.add_argument("--preset", choices=("release", "debug"), help="which build (default: release)")

    group = top.add_argument_group("one VM made for a payload")
    group.add_argument("--kernel", metavar="FILE", help="a Linux bzImage, or an ELF file with a PVH note")
    group.add_argument("--initrd", metavar="FILE")
    group.add_argument("--append", metavar="STRING", help="its command line (default: console=ttyS0)")
    group.add_argument("--guest-cpus", type=_positive, metavar="N", help="its virtual CPUs (default: 1)")
    group.add_argument("--guest-memory", type=_positive, metavar="MIB", help="its RAM (default: 256)")

    group = top.add_argument_group("errors, into the system that runs in another terminal")
    group.add_argument("--inject", choices=KINDS, metavar="KIND",
                       help="; ".join(f"{kind}: {MEANING[kind]}" for kind in KINDS))
    group.add_argument("--vm", metavar="NAME")
    group.add_argument("--gpa", metavar="ADDRESS", help="guest-physical, in that VM")
    group.add_argument("--spa", metavar="ADDRESS", help="system-physical")
    group.add_argument("--on-cpu", type=int, metavar="N", help="the CPU that sees it (default: the one of the VM that is hit)")

    group = top.add_argument_group("without a terminal")
    group.add_argument("--scenario", metavar="NAME", help="play it; exit 0 only if the expected outcome was seen")
    group.add_argument("--list", action="store_true", help="list the scenarios")
    group.add_argument("--seed", type=int, metavar="N", help="of a scenario's random choices (default: a new one, printed)")
    group.add_argument("--bench", action="store_true", help="count instructions; prints a table and JSON lines")
    return top


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _cpus(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_CPUS:
        raise argparse.ArgumentTypeError(f"must lie in 1..{MAX_CPUS}")
    return number


def check_combination(args: argparse.Namespace) -> None:
    """Options that do not go together, each refused with one sentence."""
    actions = [name for name in ("inject", "scenario", "list", "bench", "kernel", "system") if getattr(args, name)]
    if len(actions) > 1:
        raise SimulateError(f"these do not go together: {', '.join(actions)}")
    if args.emulator == "bochs" and (args.inject or args.list):
        raise SimulateError("--emulator bochs belongs to a run: not to --inject, as Bochs raises no machine checks, or --list")
    if (args.vm or args.gpa or args.spa or args.on_cpu is not None) and not args.inject:
        raise SimulateError("--vm, --gpa, --spa and --on-cpu belong to --inject KIND")
    if args.on_cpu is not None and args.on_cpu < 0:
        raise SimulateError(f"--on-cpu {args.on_cpu}: CPUs are counted from 0")
    if (args.initrd or args.append is not None) and not args.kernel:
        raise SimulateError("--initrd and --append belong to --kernel FILE")
    if (args.guest_cpus or args.guest_memory) and not args.kernel:
        raise SimulateError("--guest-cpus and --guest-memory belong to --kernel FILE")
    if args.seed is not None and not args.scenario:
        raise SimulateError("--seed belongs to --scenario NAME")
    if (args.scenario or args.bench) and args.memory:
        raise SimulateError("a scenario or benchmark decides about memory itself")
    if args.bench and args.cpus:
        raise SimulateError("a benchmark decides about the number of CPUs itself")
    if args.bench and args.cpu:
        raise SimulateError("a benchmark decides about the CPU itself: --cpu does not go with --bench")
    if (args.inject or args.list) and (args.cpu or args.cpus or args.memory or args.preset):
        raise SimulateError("--cpu, --cpus, --memory and --preset belong to a run: not to --inject or --list")


def dispatch(args: argparse.Namespace) -> int:
    # Imported when needed: a second terminal's --inject should not wait for anything.
    check_combination(args)
    if args.inject:
        from .run import inject_now

        print(inject_now(args.inject, args.vm, args.gpa, args.spa, args.on_cpu))
        return 0
    if args.list:
        from scenarios import runner

        print(runner.listing())
        return 0
    build.install()
    preset = args.preset or "release"
    if args.scenario:
        from scenarios import runner

        seed = args.seed if args.seed is not None else random.SystemRandom().getrandbits(32)
        return 0 if runner.run(args.scenario, args.emulator, args.cpu, preset, seed, args.cpus) else 1
    if args.bench:
        from .bench import bench

        return bench(preset, args.emulator)
    from .run import interactive, payload_image

    if args.kernel:
        image = payload_image(args, preset)
    else:
        overrides = (f"system.memory={args.memory} MiB",) if args.memory else ()
        image = build.image(
            args.system or "default", preset, overrides, "-custom" if overrides else "", args.emulator,
        )
    return interactive(image, args.emulator, args.cpu or "intel", args.cpus)


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    args = parser().parse_args(arguments)
    # So that terminal and QEMU are put in order in either case.
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGHUP, _terminate)
    try:
        return dispatch(args)
    except SimulateError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsimulate: interrupted", file=sys.stderr)
        return 130
