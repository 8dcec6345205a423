# SPDX-License-Identifier: BSD-2-Clause
"""Finds scenarios and runs them: prints each step, a verdict and where the transcript is."""

import importlib
import pathlib
import shutil
import time
from types import ModuleType

from simulate.errors import SimulateError
from simulate.paths import RUN

from .stage import Stage

MODULES = {
    "linux-shell": "linux_shell",
    "two-linux": "two_linux",
    "mce-srar": "mce_srar",
    "mce-srao": "mce_srao",
    "mce-deferred": "mce_deferred",
    "mce-ce": "mce_ce",
    "mce-kill": "mce_kill",
    "mce-fatal": "mce_fatal",
    "mce-reset": "mce_reset",
    "mce-free": "mce_free",
    "server-fault": "server_fault",
    "kernel-tables": "kernel_tables",
    "idle": "idle",
    "poison-stress": "poison_stress",
    "freeze-thaw": "freeze_thaw",
    "linux-alone": "linux_alone",
}


# How the listing marks scenarios that run on one CPU only.
ONE_CPU = "; one CPU"
# … and those that Bochs plays, too.
BOCHS = "; Bochs, too"


def load(name: str) -> ModuleType:
    if name not in MODULES:
        raise SimulateError(f"there is no scenario `{name}`; there are: {', '.join(MODULES)}")
    return importlib.import_module(f"scenarios.{MODULES[name]}")


def is_for_one_cpu(module: ModuleType) -> bool:
    """Whether it means nothing on a machine with more CPUs than one."""
    return getattr(module, "ONE_CPU", False)


def emulators(module: ModuleType) -> tuple[str, ...]:
    """Where it can be played; most need QEMU's monitor, for machine checks or to look inside."""
    return getattr(module, "EMULATORS", ("qemu",))


def listing() -> str:
    width = max(map(len, MODULES))
    lines = []
    for name in MODULES:
        module = load(name)
        marks = (BOCHS if "bochs" in emulators(module) else "") + (ONE_CPU if is_for_one_cpu(module) else "")
        lines.append(f"{name:<{width}}  {module.SUMMARY} ({', '.join(module.CPUS)}{marks})")
    return "\n".join(lines)


def run(name: str, emulator: str, cpu: str | None, preset: str, seed: int, cpus: int | None) -> bool:
    """Runs a scenario on the vendor asked for, or else on every one it is made for. cpus: None: as its system says."""
    module = load(name)
    if emulator not in emulators(module):
        raise SimulateError(f"scenario `{name}` is made for {' and '.join(emulators(module))} only")
    if emulator == "bochs":
        cpu = cpu or "intel"
    if cpu is not None and cpu not in module.CPUS:
        raise SimulateError(f"scenario `{name}` is made for {' and '.join(module.CPUS)} only")
    if cpus not in (None, 1) and is_for_one_cpu(module):
        raise SimulateError(f"scenario `{name}` is made for a machine with one CPU only")
    passed = True
    for vendor in [cpu] if cpu else module.CPUS:
        passed = _run_one(name, module, emulator, vendor, preset, seed, cpus) and passed
    return passed


def _run_one(
    name: str, module: ModuleType, emulator: str, cpu: str, preset: str, seed: int, cpus: int | None,
) -> bool:
    where = cpu if emulator == "qemu" else emulator
    machine = f"{where} with {cpus} CPU(s)" if cpus else where
    directory = RUN / (f"{name}-{where}-{cpus}" if cpus else f"{name}-{where}")
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    print(f"{name} on {machine}: {module.SUMMARY}; seed {seed}", flush=True)
    started = time.monotonic()
    reason = ""
    with Stage(name, cpu, seed, preset, directory, cpus, emulator) as stage:
        try:
            module.run(stage)
        except SimulateError as error:
            reason = str(error)
            stage.say(f"NOT SEEN: {reason}")
            stage.diagnose()
        except KeyboardInterrupt:
            reason = "interrupted"
            raise
        finally:
            transcript = last_transcript(directory)
    verdict = "failed" if reason else "passed"
    print(f"{name} on {machine}: {verdict} in {time.monotonic() - started:.0f} s", flush=True)
    if reason:
        print(f"  because: {reason}")
        many = f" --cpus {cpus}" if cpus else ""
        print(f"  again: ./simulate --scenario {name} --emulator {emulator} --cpu {cpu}{many} --preset {preset} --seed {seed}")
    print(f"  transcript: {transcript}", flush=True)
    return not reason


def last_transcript(directory: pathlib.Path) -> pathlib.Path:
    found = sorted(directory.glob("**/transcript.txt"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else directory
