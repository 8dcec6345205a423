# SPDX-License-Identifier: BSD-2-Clause
"""Stages target, scenarios and bench: what needs an emulator."""

import json
import os
import re

from . import builds
from .report import TOP, Watch
from .run import TooLong, at_once, lines_of, log_path, run, tail

CPUS = {"intel": "Haswell,+svm,+npt", "amd": "EPYC", "no-xsave": "phenom,+svm,+npt"}
DEBUG_EXIT = "isa-debug-exit,iobase=0xf4,iosize=4"
# isa-debug-exit: (value << 1) | 1, and the value is 0 when all is well.
CLEAN_END = 1
TARGET_LIMIT, SCENARIO_LIMIT, BENCH_LIMIT = 300.0, 3600.0, 900.0
TARGET_LINE = re.compile(r"(?:^|\s)(ok|FAIL|skip) ([a-z0-9][\w.-]*)(.*)$")
# By system: builds and CPUs it runs on, and the numbers of CPUs.
TARGET_RUNS = {"tests": ((("debug", "intel"), ("release", "amd"), ("clang", "intel"),
                          ("release", "no-xsave")), (1, 2, 4)),
               "nano-reflect": ((("debug", "intel"), ("release", "amd")), (1,)),
               "nano-mmio": ((("debug", "intel"), ("release", "amd")), (1,)),
               # One of its VMs is built anew again and again: on the other's CPU, and on another.
               "nano-triple": ((("debug", "intel"), ("release", "amd")), (1, 2)),
               # Without a console: its output comes through the kernel, which release builds do not offer.
               "tests-serial": ((("debug", "intel"),), (1, 2))}
SCENARIO_CPUS = (1, 4)
# What a run must also print, for it to have shown what it is for.
TARGET_SIGHTS = {"nano-triple": "vm triple: is built anew"}
SIMULATE = os.path.join(TOP, "simulate")


def qemu(cpu, medium, memory=1024, cpus=1):
    """The command that boots an image or a medium, its serial port on stdout."""
    return ["qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-m", str(memory), "-cpu",
            CPUS[cpu], "-smp", str(cpus), "-nodefaults", "-display", "none", "-no-reboot", "-device", DEBUG_EXIT,
            "-serial", "stdio", *medium]


def stage_target(report):
    """The on-target tests: a server's, and those that run as a guest."""
    for system, (runs, counts) in TARGET_RUNS.items():
        description = os.path.join(TOP, "systems", f"{system}.toml")
        for preset, cpu in runs:
            watch = Watch()
            title = f"{system}-{preset}-{cpu}"
            image, reason = builds.compose(preset, description)
            if reason:
                report.fail(f"{title}/image", watch.lap(), reason)
                continue
            for cpus in counts:
                sights = [f"{cpus} CPU(s): APIC ids", TARGET_SIGHTS.get(system, "")]
                run_target(report, f"{title}-{cpus}", qemu(cpu, ["-kernel", image], cpus=cpus), sights)
    judge_panic(report, os.path.join(TOP, "systems", "tests.toml"))


# struct image_header: magic, version, module_count, size, root_entry, root_slots.
HEADER, ROOT_SLOTS = re.compile(rb"Cairn-Im\x01\0\0\0"), 32


def judge_panic(report, description):
    """A damaged image ends in a panic that says what, where, the registers, and then stands still."""
    watch, log = Watch(), log_path("target", "panic")
    image, reason = builds.compose("release", description)
    if reason:
        report.fail("panic/image", watch.lap(), reason)
        return
    with open(image, "rb") as file:
        data = bytearray(file.read())
    for header in HEADER.finditer(bytes(data)):
        data[header.start() + ROOT_SLOTS] = 32
        data[header.start() + ROOT_SLOTS + 1:header.start() + ROOT_SLOTS + 8] = bytes(7)
    damaged = log + ".elf"
    with open(damaged, "wb") as file:
        file.write(data)
    wanted = [r"cairn: panic: the root-task's CapTable is too small, at 0xffffffff8\w+$",
              r"^rax 0x\w+ rbx 0x\w+", r"^rip 0xffffffff8\w+ cs 0x8 ", r"^cairn: stopped$"]
    try:
        for line, _ in lines_of(qemu("amd", ["-kernel", damaged]), log, TARGET_LIMIT):
            if wanted and re.search(wanted[0], line.strip()):
                del wanted[0]
            if not wanted:
                break
    except (TooLong, OSError) as error:
        reason = str(error)
    report.judge("panic/says-what-and-where", watch.lap(), f"not seen: {wanted[0]} {reason}" if wanted else "", log)


def run_target(report, title, command, sights, stage="target", limit=None, clean_end=CLEAN_END):
    """Each line `ok NAME` or `FAIL NAME` is a test; an end that is not clean is one more failure, and so is a sight missed."""
    log, watch, ran, failed, reason = log_path(stage, title), Watch(), 0, 0, ""
    sights = [sight for sight in sights if sight]
    try:
        for line, status in lines_of(command, log, limit or TARGET_LIMIT):
            sights = [sight for sight in sights if sight not in line]
            found = TARGET_LINE.search(line)
            if found:
                word, name, rest = found.groups()
                ran, failed = ran + (word != "skip"), failed + (word == "FAIL")
                if word == "ok":
                    report.ok(f"{title}/{name}", watch.lap())
                elif word == "skip":
                    report.skip(f"{title}/{name}", rest.strip(" :"))
                else:
                    report.fail(f"{title}/{name}", watch.lap(), rest.strip(" :") or line, log)
            if status is not None and status != clean_end:
                reason = f"the exit status is {status}, not {clean_end}\n{tail(log)}"
    except (TooLong, OSError) as error:
        reason = f"{error}\n{tail(log)}"
    if reason and not failed:
        report.fail(f"{title}/end", watch.lap(), reason, log)
    elif not reason and ran == 0:
        report.fail(f"{title}/end", watch.lap(), "no test reported anything", log)
    for sight in sights:
        report.fail(f"{title}/sight", watch.lap(), f"nobody printed `{sight}`", log)


def scenario_runs(log):
    """([(name, CPUs)], reason): from `./simulate --list`, whose lines begin with a name."""
    reason = run([SIMULATE, "--list"], log, 60.0)
    if reason:
        return [], f"./simulate --list: {reason}"
    runs = []
    for line in tail(log, 1000).splitlines():
        found = re.match(r"^\s*([a-z][a-z0-9-]*)(\s|$)", line)
        if found:
            counts = (1,) if line.endswith("; one CPU)") else SCENARIO_CPUS
            runs += [(found.group(1), cpus) for cpus in counts]
    return runs, "" if runs else "./simulate --list names no scenario"


def stage_scenarios(report):
    """All of `./simulate --list`, end to end, on one CPU and on many."""
    watch = Watch()
    runs, reason = scenario_runs(log_path("scenarios", "list"))
    if reason:
        report.fail("list", watch.lap(), reason)
        return
    for preset in ("release", "debug"):
        reason = builds.build(preset)
        if reason:
            report.fail(f"build-{preset}", watch.lap(), reason)
            return
    # Nothing in a verdict depends on how fast the emulators are.
    for done in at_once((play, *job) for job in runs):
        report.judge(*done)


def play(name, cpus):
    """(title, seconds, reason, log) of one scenario."""
    watch, title = Watch(), f"{name}-{cpus}"
    log = log_path("scenarios", title)
    reason = run([SIMULATE, "--scenario", name, "--cpus", str(cpus)], log, SCENARIO_LIMIT)
    return title, watch.lap(), reason, log if reason else None


FIGURES = ("ipc_cross_1", "ipc_cross_4", "ipc_cross_16", "ipc_same_1", "fault_resume", "signal",
           "null_syscall", "vmexit_cpuid", "vmexit_pio_device", "linux_boot")


def figures(log):
    """The JSON lines of a bench run, by name."""
    found = {}
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("{"):
                try:
                    figure = json.loads(line)
                    found[figure["name"]] = figure["instructions"]
                except (ValueError, KeyError, TypeError):
                    continue
    return found


# VT-x's exit may take so many times the instructions of SVM's: VMREAD and VMWRITE instead of memory.
VMX_LIMIT = 1.4


def judge_vmx(report, svm):
    """The same figures, all but Linux's boot, on Bochs."""
    watch, log = Watch(), log_path("bench", "bochs")
    reason = run([SIMULATE, "--emulator", "bochs", "--bench"], log, BENCH_LIMIT)
    result = figures(log)
    report.judge("bochs/run", watch.lap(), reason, log)
    for name in FIGURES[:-1]:
        missing = not isinstance(result.get(name), int)
        report.judge(f"bochs/{name}: {result.get(name)}", 0.0, "no such figure" if missing else "", log)
    ratio = result.get("vmexit_cpuid", 0) / (svm.get("vmexit_cpuid") or 1)
    report.judge(f"bochs/vmexit_cpuid: {ratio:.2f} times SVM's", 0.0,
                 "" if 0 < ratio <= VMX_LIMIT else f"more than {VMX_LIMIT} times SVM's, or no figure", log)


def stage_bench(report):
    """./simulate --bench measures everything, twice with equal results, within its limits; on Bochs, too."""
    watch, log = Watch(), log_path("bench", "bench")
    reason = run([SIMULATE, "--bench"], log, BENCH_LIMIT)
    result = figures(log)
    report.judge("run", watch.lap(), reason, log)
    for name in FIGURES:
        missing = not isinstance(result.get(name), int)
        report.judge(f"{name}: {result.get(name)}", 0.0, "no such figure" if missing else "", log)
    judge_vmx(report, result)
