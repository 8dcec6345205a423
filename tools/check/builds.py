# SPDX-License-Identifier: BSD-2-Clause
"""Stage build, and the builds that other stages need (each done once)."""

import glob
import os
import re
import subprocess

from .report import TOP, Watch
from .run import log_path, run, tail

PRESETS = ("debug", "release", "clang")
PYTHON = "/usr/bin/python3"
BUILD_LIMIT = 1200.0
COMPOSE_LIMIT = 120.0
# boot.S: labels before the jumps of the two kinds of CPU.
BOOT_BRANCHES = ("boot_64", "ap_end")

_done = {}


def directory(preset):
    """A preset's build directory."""
    return os.path.join(TOP, "build", preset)


def build(preset):
    """Configures and builds a preset; returns the reason why it failed, or ""."""
    if preset not in _done:
        log = log_path("build", f"{preset}-configure")
        reason = run(["cmake", "--preset", preset], log, BUILD_LIMIT)
        if not reason:
            reason = run(["ninja", "-k", "0", "-C", directory(preset)], log_path("build", preset),
                         BUILD_LIMIT)
        _done[preset] = reason
    return _done[preset]


def compose(preset, description, *options):
    """(image, reason): the image of a system."""
    reason = build(preset)
    name = os.path.splitext(os.path.basename(description))[0]
    image = os.path.join(directory(preset), "images", f"{name}.elf")
    if not reason:
        command = [PYTHON, os.path.join(TOP, "tools", "compose"), description, "--build",
                   directory(preset), "--output", image, *options]
        reason = run(command, log_path("compose", f"{name}-{preset}"), COMPOSE_LIMIT)
    return image, reason


def indirect_branches(disassembly):
    """The functions with a call or jump through a register or memory, but for the way from physical to virtual addresses."""
    function, found = "", set()
    for line in disassembly.splitlines():
        heading = re.match(r"[0-9a-f]+ <(\S+)>:$", line)
        if heading:
            function = heading[1]
        elif re.search(r"\t(?:\w+ )*(?:call|jmp)q?\s+\*", line) and function not in BOOT_BRANCHES:
            found.add(function)
    return sorted(found)


def judge_branches(report, preset):
    """Nobody can lead the kernel astray who trains the prediction of indirect branches: it has none."""
    watch, log = Watch(), log_path("build", f"{preset}-disassembly")
    kernel = os.path.join(directory(preset), "kernel", "kernel.elf")
    reason = run(["objdump", "-d", "--no-show-raw-insn", kernel], log, COMPOSE_LIMIT)
    if not reason:
        with open(log, encoding="utf-8") as file:
            found = indirect_branches(file.read())
        reason = f"in {', '.join(found)}: use a switch instead of a table of functions" if found else ""
    report.judge(f"{preset}: no indirect branches in the kernel", watch.lap(), reason)


def symbols(path):
    """The names that an object or program defines."""
    done = subprocess.run(["nm", "--defined-only", "--format=posix", path], capture_output=True, text=True, check=True)
    return {line.split()[0] for line in done.stdout.splitlines() if line and not line.endswith(":")}


def judge_release(report):
    """Nothing of kernel/debug is in a release kernel, while a debug kernel has all of it."""
    watch, reason = Watch(), ""
    objects = glob.glob(os.path.join(directory("debug"), "kernel", "CMakeFiles", "kernel.elf.dir", "debug", "*.o"))
    checks = set().union(*(symbols(path) for path in objects))
    others = glob.glob(os.path.join(directory("release"), "kernel", "CMakeFiles", "kernel.elf.dir", "*", "**", "*.o"),
                       recursive=True)
    if any("/debug/" in os.path.relpath(path, directory("release")) for path in others):
        reason = "the release build compiles kernel/debug"
    found = {name for name in checks if name.startswith(("debug_", "__wrap_"))}
    kernel = os.path.join("kernel", "kernel.elf")
    if not found or not found <= symbols(os.path.join(directory("debug"), kernel)):
        reason = "the debug kernel lacks the checks of kernel/debug"
    extra = found & symbols(os.path.join(directory("release"), kernel))
    if extra:
        reason = f"the release kernel has {', '.join(sorted(extra))}"
    report.judge("a release kernel has nothing of kernel/debug", watch.lap(), reason)


def stage_build(report):
    """gcc debug and release, and clang; the kernel has no indirect branches."""
    watch = Watch()
    for preset in PRESETS:
        reason = build(preset)
        report.judge(preset, watch.lap(), reason)
        if not reason:
            judge_branches(report, preset)
            watch.lap()
    if not _done["debug"] and not _done["release"]:
        judge_release(report)
    where = os.path.join(TOP, "build", "check", "init")
    os.makedirs(where, exist_ok=True)
    reason = run([os.path.join(TOP, "init-build.sh"), "-DPRESET=release"],
                 log_path("build", "init"), BUILD_LIMIT, cwd=where)
    report.judge("init-build.sh configures a directory", watch.lap(), reason)
    if not _done["debug"]:
        log = log_path("build", "again")
        reason = run(["ninja", "-C", directory("debug")], log, BUILD_LIMIT)
        if not reason and "no work to do" not in tail(log):
            reason = tail(log)
        report.judge("a second build finds nothing to do", watch.lap(), reason)


def listed(preset, file):
    """The lines of a list that CMake wrote into the build directory."""
    with open(os.path.join(directory(preset), file), encoding="utf-8") as stream:
        return stream.read().split()
