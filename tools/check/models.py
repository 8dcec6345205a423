# SPDX-License-Identifier: BSD-2-Clause
"""Stage models: SPIN looks at every state of the models in proofs/models, and finds each fault that is sown into them."""

import concurrent.futures
import glob
import os
import re
import shutil

from .report import TOP, Watch
from .run import log_path, run, tail

MODELS = os.path.join(TOP, "proofs", "models")
LIMIT = 170.0
JOBS = 2
MEMORY_MB = 900  # of each job
DEPTH = 1000000

RUN = re.compile(r"^ \* (run|live) (\S+): (.*)$", re.M)
MUTATION = re.compile(r"^ \* mutation (\S+) (\S+): (.+)$", re.M)
TESTED = re.compile(r"^#(?:ifdef|ifndef) (\w+)|defined\((\w+)\)", re.M)
DEFAULT = re.compile(r"^#ifndef (\w+)\n#define \1\b", re.M)
ERRORS = re.compile(r"errors: (\d+)")
STORED = re.compile(r"^ *(\d+) states, stored", re.M)
TRANSITIONS = re.compile(r"^ *(\d+) transitions", re.M)
FOUND = re.compile(r"^pan:1: (.*?)(?: \(at depth \d+\))?$", re.M)


class Model:
    """What the head of a model says: its runs, and the faults that each must find."""

    def __init__(self, name, text):
        self.name = name
        self.runs, self.mutations = {}, []
        for kind, run_name, definitions in RUN.findall(text):
            key = run_name if kind == "run" else f"live-{run_name}"
            self.runs[key] = (definitions.split(), kind == "live")
        for fault, run_name, _ in MUTATION.findall(text):
            self.mutations.append((fault, run_name))
        tested = {one or other for one, other in TESTED.findall(text)} - set(DEFAULT.findall(text))
        self.untold = sorted(tested ^ {fault for fault, _ in self.mutations})

    def problem(self):
        """What is wrong with the head, or ""."""
        if not self.runs or not self.mutations:
            return "its head names no run, or no mutation"
        if self.untold:
            return f"head and #ifdefs differ in: {' '.join(self.untold)}"
        unknown = [f"{fault} ({name})" for fault, name in self.mutations if name not in self.runs]
        return f"mutations of runs that there are not: {' '.join(unknown)}" if unknown else ""


def judge(text, fault):
    """(reason against it or "", note) of what a verifier printed."""
    errors, stored, transitions = (pattern.search(text) for pattern in (ERRORS, STORED, TRANSITIONS))
    if not errors or not stored or not transitions:
        return "the verifier did not say what it found", ""
    found = FOUND.search(text)
    if fault:
        if int(errors.group(1)) and found:
            return "", f"found: {found.group(1)}"
        return "the fault is not found", ""
    if int(errors.group(1)):
        return f"SPIN found: {found.group(1) if found else 'an error'}", ""
    if "Search not completed" in text or "max search depth too small" in text:
        return "the search was cut short: more memory or depth is needed", ""
    return "", f"{int(stored.group(1)):,} states, {int(transitions.group(1)):,} transitions"


def verify(model, run_name, fault):
    """(name, seconds, reason, note, log) of one run of one model."""
    definitions, live = model.runs[run_name]
    definitions = definitions + ([f"-D{fault}"] if fault else [])
    name = f"{model.name}/{run_name}" + (f"/{fault}" if fault else "")
    log, watch = log_path("models", name), Watch()
    directory = os.path.splitext(log)[0]
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    source = os.path.join(MODELS, f"{model.name}.pml")
    kind = ["-DNFAIR=8"] if live else ["-DSAFETY", "-DNOCLAIM"]
    steps = (["spin", "-a", *definitions, source],
             ["gcc", "-O1" if fault else "-O2", "-w", *kind, "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"],
             ["./pan", f"-m{DEPTH}", *(["-a", "-f"] if live else [])])
    for step in steps:
        reason = run(step, log, LIMIT, cwd=directory)
        if reason:
            return name, watch.lap(), reason, "", log
    reason, note = judge(tail(log, 100000), fault)
    return name, watch.lap(), reason, note, log


def stage_models(report):
    """Machine checks and revoke on many CPUs: every state of the models, and faults sown into them."""
    jobs = []
    for path in sorted(glob.glob(os.path.join(MODELS, "*.pml"))):
        with open(path, encoding="utf-8") as file:
            model = Model(os.path.basename(path).removesuffix(".pml"), file.read())
        watch = Watch()
        report.judge(f"{model.name}/head", watch.lap(), model.problem())
        if not model.problem():
            jobs += [(model, name, None) for name in model.runs]
            jobs += [(model, name, fault) for fault, name in model.mutations]
    if not jobs:
        report.fail("models", 0.0, "there is no model to look at")
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for name, seconds, reason, note, log in pool.map(lambda job: verify(*job), jobs):
            if reason:
                report.fail(name, seconds, reason, log)
            else:
                report.ok(name, seconds, note)
