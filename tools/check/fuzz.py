# SPDX-License-Identifier: BSD-2-Clause
"""Stages fuzz and fuzz-long: random hypercalls on target (apps/fuzz), and the kernel's core under libFuzzer."""

import concurrent.futures
import glob
import os
import re
import shutil
from dataclasses import dataclass

from . import boots, builds
from .report import TOP, Watch
from .run import TooLong, at_once, lines_of, log_path, run, tail

DESCRIPTION = os.path.join(TOP, "systems", "fuzz.toml")
CORPUS = os.path.join(TOP, "kernel", "core", "corpus")
MEMORY = 160
# Counted instructions, no clock and no random numbers of the host: a run depends on its image only, with any number of CPUs.
EXACT = ["-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]
LIMIT, LONG_LIMIT = 3600.0, 6 * 3600.0
# The same inputs each time; ASLR would change what libFuzzer learns from comparisons of pointers.
HOST_RUNS, HOST_SEED, HOST_LIMIT = 6000, 1, 1800.0
BENCH_MEMORY, BENCH_LIMIT, BENCH_CALLS = 512, 600.0, 1000
FIGURES = [name for name in boots.FIGURES if name != "linux_boot"]
FIGURE = re.compile(r"\bbench (\w+) (\d+)\s*$")
MADE = re.compile(r"\bfuzz: (\d+) calls, \d+ looks")
VERDICT = re.compile(r"^(ok|FAIL) ([a-z][\w.-]*)(.*)$")
SHARE = re.compile(r"^fuzz: \w+ +\d+ made,")


@dataclass(frozen=True)
class Run:
    """One run of the fuzz server."""

    seed: int
    calls: int
    watched: int = 0  # refused calls that are seen to change nothing
    cpu: str = "intel"
    cpus: int = 4
    exact: bool = True  # or its CPUs run at the same time, and no two runs are alike

    @property
    def arguments(self):
        """What the fuzz server is told."""
        return f"seed={self.seed} calls={self.calls} watch={self.watched} cpus={self.cpus}"

    @property
    def title(self):
        """Of its log and its image."""
        return f"seed-{self.seed}-{self.calls}-{self.cpus}" + ("" if self.exact else "-racing")

    def command(self, image):
        """The emulator."""
        return boots.qemu(self.cpu, ["-kernel", image], MEMORY, self.cpus) + (EXACT if self.exact else [])

    def replay(self):
        """How to see a failure again."""
        return ("replay: " if self.exact else "its CPUs ran at the same time: it may take several tries: CAIRN_RACING=1 ") + (
            f"CAIRN_SEED={self.seed} CAIRN_CALLS={self.calls} CAIRN_WATCH={self.watched} CAIRN_CPU={self.cpu} "
            f"CAIRN_CPUS={self.cpus} ./check --stage fuzz")


# Ten million calls; after each of the first 100,000 that are refused, a checksum over all kernel objects.
SHORT = (Run(1, 1_500_000, watched=100_000), Run(2, 8_500_000, cpu="amd"))
LONG = tuple(Run(seed, 25_000_000, watched=100_000, cpu=("intel", "amd")[seed % 2]) for seed in range(11, 15))
AGAIN = (Run(9, 100_000, cpus=1), Run(9, 100_000))


def named_run(environment):
    """The run that the environment asks for, or None."""
    if "CAIRN_SEED" not in environment:
        return None
    number = {name: int(environment.get(f"CAIRN_{name}", other), 0)
              for name, other in (("SEED", ""), ("CALLS", "1000000"), ("WATCH", "0"), ("CPUS", "4"), ("RACING", "0"))}
    return Run(number["SEED"], number["CALLS"], number["WATCH"], environment.get("CAIRN_CPU", "intel"), number["CPUS"],
               not number["RACING"])


def image(asked):
    """(image, reason) of one run; its arguments are in the image."""
    name = os.path.join(builds.directory("debug"), "images", f"fuzz-{asked.title}.elf")
    _, reason = builds.compose("debug", DESCRIPTION, "--set", f"server.fuzz.args={asked.arguments}", "--output", name)
    return name, reason


def judge_lines(lines):
    """(what the fuzz server said of its calls, reason) of the lines of a run and ("", its exit status)."""
    said, reason, end = [], "", None
    for line, status in lines:
        found = VERDICT.match(line)
        if found:
            said.append(line)
            if found.group(1) == "FAIL" and not reason:
                reason = line
        elif SHARE.match(line):
            said.append(line)
        end = status if status is not None else end
    if not reason and end != boots.CLEAN_END:
        reason = f"QEMU's exit status is {end}, not {boots.CLEAN_END}"
    if not reason and not any(line.startswith("ok all-calls-were-made") for line in said):
        reason = "it did not make all calls"
    return said, reason


def play(asked, path, limit, number=""):
    """(run, seconds, reason, log, what it said)."""
    watch, log, said = Watch(), log_path("fuzz", asked.title + number), []
    try:
        said, reason = judge_lines(lines_of(asked.command(path), log, limit))
    except (TooLong, OSError) as error:
        reason = str(error)
    if reason:
        reason += f"\n{tail(log, 12)}\n{asked.replay()}"
    return asked, watch.lap(), reason, log, said


def judge(report, result):
    """One run's verdict, with the share of accepted calls of each hypercall."""
    asked, seconds, reason, log, said = result
    report.judge(f"{asked.calls:,} calls of seed {asked.seed}, {asked.cpus} CPUs" +
                 ("" if asked.exact else " at the same time"), seconds, reason, log if reason else None)
    for line in said:
        if SHARE.match(line):
            print(f"      {line}", flush=True)


def play_all(report, runs, limit):
    """Runs beside each other."""
    jobs = []
    for asked in runs:
        path, reason = image(asked)
        if reason:
            report.fail(asked.title, 0.0, reason)
        else:
            jobs.append((play, asked, path, limit))
    for done in at_once(jobs):
        judge(report, done)


def judge_again(report, asked):
    """The same seed twice: not a figure differs."""
    watch = Watch()
    path, reason = image(asked)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [] if reason else list(pool.map(lambda number: play(asked, path, LIMIT, number), ("-a", "-b")))
    for _, _, failed, _, _ in runs:
        reason = reason or failed
    if not reason and runs[0][4] != runs[1][4]:
        reason = f"two runs of seed {asked.seed} differ:\n" + "\n".join(
            f"{a} | {b}" for a, b in zip(runs[0][4], runs[1][4]) if a != b)
    report.judge(f"{asked.cpus} CPUs do the same again", watch.lap(), reason)


def judge_racing(report):
    """CPUs that really run at the same time: as many as the host has, for a lock's next holder must not wait for the host."""
    cpus = min(4, os.cpu_count() or 1)
    if cpus < 2:
        report.skip("racing", "this host has one CPU only")
        return
    asked = Run(3, 300_000, cpus=cpus, exact=False)
    path, reason = image(asked)
    if reason:
        report.fail("racing", 0.0, reason)
    else:
        judge(report, play(asked, path, LIMIT))


def host_command(*options):
    """libFuzzer on the kernel's core, at the same addresses each time."""
    artifacts = os.path.join(os.path.dirname(log_path("fuzz", "host")), "crash-")
    return ["setarch", "-R", os.path.join(builds.directory("clang"), "tests", "fuzz-kernel"), f"-artifact_prefix={artifacts}",
            *options]


def judge_host(report):
    """The corpus, then new inputs."""
    watch = Watch()
    reason = builds.build("clang")
    if reason:
        report.fail("host/build", watch.lap(), reason)
        return
    inputs = sorted(glob.glob(os.path.join(CORPUS, "*")))
    fresh = os.path.join(builds.directory("clang"), "fuzz-inputs")  # what it finds, it would write into the corpus
    shutil.rmtree(fresh, ignore_errors=True)
    os.makedirs(fresh)
    for title, options in ((f"host/corpus of {len(inputs)} inputs", inputs),
                           (f"host/{HOST_RUNS} new inputs", [f"-runs={HOST_RUNS + len(inputs)}", f"-seed={HOST_SEED}",
                                                             "-max_len=4096", "-len_control=0", fresh, CORPUS])):
        log = log_path("fuzz", title.split(" ")[0])
        reason = run(host_command(*options), log, HOST_LIMIT)
        crash = re.search(r"Test unit written to (\S+)", tail(log, 100000))
        if reason and crash:
            program = os.path.relpath(host_command()[2], TOP)
            reason += f"\nreplay: {program} {os.path.relpath(crash.group(1), TOP)}"
        elif not reason and not inputs:
            reason = f"there are no inputs in {os.path.relpath(CORPUS, TOP)}"
        report.judge(title, watch.lap(), reason, log if reason else None)


def bench_figures(lines):
    """(figures by name, random calls made since the first of them) of a run's lines."""
    figures, begun, now = {}, 0, 0
    for line in lines:
        made, figure = MADE.search(line), FIGURE.search(line)
        if made:
            now = int(made.group(1))
        elif figure:
            begun = begun if figures else now
            figures[figure.group(1)] = int(figure.group(2))
    return figures, now - begun


def compare_figures(plain, disturbed, made):
    """Why the figures of CPU 0 are not shown to be independent of what the other CPUs do, or ""."""
    missing = [name for name in FIGURES if name not in plain or name not in disturbed]
    if missing:
        return f"not measured: {', '.join(missing)}"
    moved = [f"{name}: {plain[name]} alone, {disturbed[name]} beside random hypercalls"
             for name in FIGURES if plain[name] != disturbed[name]]
    if made < BENCH_CALLS:
        moved.append(f"the other CPUs made {made} random hypercalls meanwhile, not {BENCH_CALLS}")
    return "\n".join(moved)


def judge_bench(report):
    """Instruction counts on CPU 0 of four: nothing of what the others do with capabilities is in them."""
    watch, runs, log = Watch(), [], ""
    for name in ("bench", "bench-fuzz"):
        path, reason = builds.compose("release", os.path.join(TOP, "systems", f"{name}.toml"))
        log = log_path("fuzz", name)
        try:
            lines = [] if reason else [line for line, _ in lines_of(
                boots.qemu("intel", ["-kernel", path], BENCH_MEMORY, 4) + EXACT, log, BENCH_LIMIT)]
        except (TooLong, OSError) as error:
            lines, reason = [], f"{error}\n{tail(log, 12)}"
        if reason:
            report.fail(f"bench/{name}", watch.lap(), reason)
            return
        runs.append(bench_figures(lines))
    (plain, _), (disturbed, made) = runs
    report.judge("bench: random hypercalls on other CPUs do not move a figure", watch.lap(),
                 compare_figures(plain, disturbed, made), log)


def stage_fuzz(report):
    """10 million random hypercalls, their effect on the benchmarks, the core under libFuzzer (CAIRN_SEED=N: that run only)."""
    asked = named_run(os.environ)
    if asked:
        play_all(report, [asked], LONG_LIMIT)
        return
    for twice in AGAIN:
        judge_again(report, twice)
    judge_bench(report)
    judge_racing(report)
    play_all(report, SHORT, LIMIT)
    judge_host(report)


def stage_fuzz_long(report):
    """100 million random hypercalls; runs only when it is named."""
    play_all(report, LONG, LONG_LIMIT)
