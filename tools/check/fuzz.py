# SPDX-License-Identifier: BSD-2-Clause
"""Stages fuzz and fuzz-long: random hypercalls on target (apps/fuzz), and the kernel's core under libFuzzer."""

import concurrent.futures
import os
import re

from . import boots, builds
from .report import TOP, Watch
from .run import TooLong, lines_of, log_path, run, stop_all, tail

DESCRIPTION = os.path.join(TOP, "systems", "fuzz.toml")
CORPUS = os.path.join(TOP, "kernel", "core", "corpus")
MEMORY, CPUS = 160, 4
# Counted instructions, no clock and no random numbers of the host: a run depends on its image only, with any number of CPUs.
EXACT = ["-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]
SHORT_CALLS, LONG_CALLS, AGAIN_CALLS, RACING_CALLS, WATCHED = 5_000_000, 25_000_000, 100_000, 200_000, 100_000
SHORT_LIMIT, LONG_LIMIT = 3600.0, 6 * 3600.0
HOST_SECONDS, HOST_LIMIT, HOST_SEED = 60, 900.0, 1
VERDICT = re.compile(r"^(ok|FAIL) ([a-z][\w.-]*)(.*)$")
SHARE = re.compile(r"^fuzz: \w+ +\d+ made,")


def image(seed, calls, watched, cpus=CPUS):
    """(image, reason) of one run; its arguments are in the image."""
    name = os.path.join(builds.directory("debug"), "images", f"fuzz-{seed}-{calls}.elf")
    _, reason = builds.compose("debug", DESCRIPTION, "--set",
                               f"server.fuzz.args=seed={seed} calls={calls} watch={watched} cpus={cpus}", "--output", name)
    return name, reason


def command(path, cpu, exact, cpus=CPUS):
    """The emulator; without `exact` its CPUs run at the same time, and no two runs are alike."""
    return boots.qemu(cpu, ["-kernel", path], MEMORY, cpus) + (EXACT if exact else [])


def replay(seed, calls, cpu):
    """How to see a failure again."""
    return f"replay: CAIRN_SEED={seed} CAIRN_CALLS={calls} CAIRN_CPU={cpu} ./check --stage fuzz"


def play(title, path, seed, calls, cpu, exact, limit, cpus=CPUS):
    """(title, seconds, reason, log, lines) of one run; lines: what the fuzz server said of its calls."""
    watch, log, said, reason, end = Watch(), log_path("fuzz", title), [], "", None
    try:
        for line, status in lines_of(command(path, cpu, exact, cpus), log, limit):
            found = VERDICT.match(line)
            if found:
                said.append(line)
                if found.group(1) == "FAIL" and not reason:
                    reason = line
            elif SHARE.match(line):
                said.append(line)
            end = status if status is not None else end
        if not reason and end != boots.CLEAN_END:
            reason = f"QEMU's exit status is {end}, not {boots.CLEAN_END}\n{tail(log, 12)}"
        if not reason and not any(line.startswith("ok all-calls-were-made") for line in said):
            reason = "it did not make all calls"
    except (TooLong, OSError) as error:
        reason = f"{error}\n{tail(log, 12)}"
    if reason:
        reason += "\n" + (replay(seed, calls, cpu) if exact else "its CPUs ran at the same time: it may need several runs to be seen again")
    return title, watch.lap(), reason, log, said


def judge(report, result):
    """One run's verdict, with the share of accepted calls of each hypercall."""
    title, seconds, reason, log, said = result
    report.judge(title, seconds, reason, log if reason else None)
    for line in said:
        if SHARE.match(line):
            print(f"      {line}")


def play_all(report, runs, limit):
    """Runs beside each other: (title, seed, calls, watched, cpu, exact)."""
    jobs = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for title, seed, calls, watched, cpu, exact in runs:
            path, reason = image(seed, calls, watched)
            if reason:
                report.fail(title, 0.0, reason)
                continue
            jobs.append(pool.submit(play, title, path, seed, calls, cpu, exact, limit))
        try:
            for job in concurrent.futures.as_completed(jobs):
                judge(report, job.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop_all()
            raise


def judge_again(report):
    """The same seed twice, with one CPU and with several: not a figure differs."""
    for cpus in (1, CPUS):
        watch, seed = Watch(), 9
        path, reason = image(seed, AGAIN_CALLS, 0, cpus)
        runs = [] if reason else [play(f"again-{cpus}-{n}", path, seed, AGAIN_CALLS, "intel", True, SHORT_LIMIT, cpus)
                                  for n in (1, 2)]
        for _, _, failed, _, _ in runs:
            reason = reason or failed
        if not reason and runs[0][4] != runs[1][4]:
            reason = f"two runs of seed {seed} differ:\n" + "\n".join(
                f"{a} | {b}" for a, b in zip(runs[0][4], runs[1][4]) if a != b)
        report.judge(f"{cpus} CPUs do the same again", watch.lap(), reason)


def host_command(*options):
    """libFuzzer on the kernel's core."""
    artifacts = os.path.join(os.path.dirname(log_path("fuzz", "host")), "crash-")
    return [os.path.join(builds.directory("clang"), "tests", "fuzz-kernel"), f"-artifact_prefix={artifacts}", *options]


def judge_host(report):
    """The corpus, then a while of new inputs."""
    watch = Watch()
    reason = builds.build("clang")
    if reason:
        report.fail("host/build", watch.lap(), reason)
        return
    inputs = sorted(os.path.join(CORPUS, name) for name in os.listdir(CORPUS))
    fresh = os.path.join(builds.directory("clang"), "fuzz-inputs")
    os.makedirs(fresh, exist_ok=True)
    for name in os.listdir(fresh):
        os.unlink(os.path.join(fresh, name))
    for title, options in (("host/corpus", inputs),
                           ("host/new inputs", [f"-max_total_time={HOST_SECONDS}", f"-seed={HOST_SEED}", "-max_len=4096",
                                                "-len_control=0", fresh, CORPUS])):
        log = log_path("fuzz", title.replace(" ", "-"))
        reason = run(host_command(*options), log, HOST_LIMIT)
        crash = re.search(r"Test unit written to (\S+)", tail(log, 100000))
        if reason and crash:
            program = os.path.relpath(host_command()[0], TOP)
            reason += f"\nreplay: {program} {os.path.relpath(crash.group(1), TOP)}"
        elif not reason and not inputs:
            reason = f"there are no inputs in {os.path.relpath(CORPUS, TOP)}"
        report.judge(title, watch.lap(), reason, log if reason else None)


def stage_fuzz(report):
    """10 million random hypercalls on 4 CPUs; the kernel's core under libFuzzer. CAIRN_SEED, CAIRN_CALLS, CAIRN_CPU: one run."""
    if "CAIRN_SEED" in os.environ:
        seed, cpu = int(os.environ["CAIRN_SEED"], 0), os.environ.get("CAIRN_CPU", "intel")
        calls = int(os.environ.get("CAIRN_CALLS", SHORT_CALLS), 0)
        play_all(report, [(f"seed-{seed}", seed, calls, WATCHED, cpu, True)], LONG_LIMIT)
        return
    judge_again(report)
    play_all(report, [("seed-1", 1, SHORT_CALLS, WATCHED, "intel", True), ("seed-2", 2, SHORT_CALLS, WATCHED, "amd", True),
                      ("racing", 3, RACING_CALLS, 0, "intel", False)], SHORT_LIMIT)
    judge_host(report)


def stage_fuzz_long(report):
    """100 million random hypercalls; only when it is named."""
    play_all(report, [(f"seed-{seed}", seed, LONG_CALLS, WATCHED, ("intel", "amd")[seed % 2], True)
                      for seed in range(11, 15)], LONG_LIMIT)
