# SPDX-License-Identifier: BSD-2-Clause
"""Stage proof: Frama-C proves the contracts of kernel/core that proofs/goals.toml names (docs/proofs.md)."""

import fnmatch
import glob
import hashlib
import json
import os
import re
import subprocess
import tomllib

from . import builds
from .report import LOGS, TOP, Watch
from .run import log_path, run, tail

KEPT = os.path.join(TOP, "build", "proof")  # results, by what they depend on
LIMIT = 900.0
SECONDS, MUTANT_SECONDS = 60, 5  # of each prover, for each goal
TOOLS = (("frama-c", "-version"), ("why3", "--version"), ("z3", "--version"), ("cvc4", "--version"))
INCLUDE = ["-std=c11", "-Ikernel", "-Ikernel/abi", "-Ikernel/hal", f"-I{KEPT}/include", "-DCAIRN_HOST",
           "-include", "proofs/builtins.h"]
FRAMA_C = ["frama-c", "-c11", "-machdep", "gcc_x86_64", "-cpp-extra-args=" + " ".join(INCLUDE)]
WP = ["-wp", "-wp-rte", "-wp-prover", "z3,cvc4", "-wp-par", "2", "-wp-cache", "update", "-wp-cache-dir", f"{KEPT}/cache",
      "-wp-no-warn-memory-model"]
VERDICT = re.compile(r"^\[wp\] \[[^\]]+\] Goal (?:typed_)?(\S+)( : Valid)?", re.M)
TOTAL = re.compile(r"^\[wp\] Proved goals:\s+(\d+) / (\d+)", re.M)
NO_CONTRACT = re.compile(r"Neither code nor specification for function (\w+)")
# What would make a proof say less than it seems to.
DOUBT = re.compile(r".*(?:\[wp[^\]]*\].*Warning|User Error|annot-error|Degenerated).*(?:\n  .*)?")
CONTRACT = re.compile(r"/\*@((?:(?!\*/).)*?\bassigns\b(?:(?!\*/).)*?)\*/\s*([^;{}()]*?\b(\w+)\([^;{]*[;{])", re.S)
FORBIDDEN = re.compile(r"/\*@(?:(?!\*/).)*?\b(admit|axiom|axiomatic)\b", re.S)


def read(name):
    """A source's text."""
    with open(os.path.join(TOP, name), encoding="utf-8") as file:
        return file.read()


def output(command):
    """What a program prints."""
    return subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
                          stdin=subprocess.DEVNULL).stdout


def prepare():
    """Generated headers and the provers' configuration; returns the versions of all tools."""
    headers = os.path.join(KEPT, "include", "cairn")
    os.makedirs(headers, exist_ok=True)
    output([builds.PYTHON, "tools/gen_hypercalls.py", "kernel/abi/hypercalls.toml", headers, "docs/manual/hypercalls.md"])
    os.environ["WHY3CONFIG"] = os.path.join(KEPT, "why3.conf")
    if not os.path.isfile(os.environ["WHY3CONFIG"]):
        output(["why3", "config", "detect"])
    for name in glob.glob(os.path.join(KEPT, "cache", "*.json")):
        with open(name, encoding="utf-8", errors="replace") as file:
            valid = re.search(r'"verdict":\s*"valid"', file.read())
        if not valid:  # a prover that had no time may have it now
            os.remove(name)
    return "\n".join(output(list(tool)).splitlines()[0] for tool in TOOLS)


def command(path, functions, seconds, options=()):
    """Frama-C's command line."""
    return [*FRAMA_C, path, *WP, "-wp-timeout", str(seconds), "-wp-fct", ",".join(functions), *options]


def key(path, options, tools):
    """A hash of all that a proof depends on: what the preprocessor makes of a file, contracts included."""
    text = output(["gcc", "-E", "-CC", "-P", "-D__FRAMAC__", *INCLUDE, path])
    return hashlib.sha256("\0".join([text, tools, *options]).encode()).hexdigest()


def body(text, function):
    """A function's text, from its name to the brace that ends it; "" if it is not there."""
    found = re.search(rf"^(?:[\w*]+ )[^;\n]*\b{function}\((?:[^;{{]|\n)*\n{{.*?^}}", text, re.M | re.S)
    return found.group(0) if found else ""


def judge(printed, text, functions):
    """(goals with whether they are proved, what is wrong) from Frama-C's output."""
    goals = {found.group(1): bool(found.group(2)) for found in VERDICT.finditer(printed)}
    total = TOTAL.search(printed)
    if not total:
        return goals, "Frama-C proved nothing:\n" + "\n".join(printed.splitlines()[-8:])
    wrong = [found.group(0) for found in DOUBT.finditer(printed)]
    for function in functions:
        if not body(text, function):
            wrong.append(f"{function}: there is no such function")
        elif not any(goal.startswith(function + "_") for goal in goals):
            wrong.append(f"{function}: it has no goal")
    wrong += [f"{callee}: {function} calls it, and it has no contract" for function in functions
              for callee in sorted(set(NO_CONTRACT.findall(printed))) if re.search(rf"\b{callee}\(", body(text, function))]
    wrong += [f"not proved: {goal}" for goal, proved in goals.items() if not proved]
    if int(total.group(2)) != len(goals):
        wrong.append(f"{len(goals)} goals are named, but Frama-C counts {total.group(2)}")
    return goals, "\n".join(wrong)


def prove(path, functions, options, tools, log, mutant=False):
    """(goals, what is wrong) of some functions of a file, kept if nothing is, or if the code is broken on purpose."""
    kept = os.path.join(KEPT, key(path, options, tools) + ".json")
    if os.path.isfile(kept):
        with open(kept, encoding="utf-8") as file:
            return json.load(file)
    reason = run(options, log, LIMIT)
    with open(log, encoding="utf-8", errors="replace") as file:
        printed = file.read()
    sources = [path, *glob.glob("kernel/core/*.h", root_dir=TOP)]
    goals, wrong = judge(printed, "".join(read(name) for name in sources), functions)
    wrong = wrong or reason
    if not wrong or (mutant and not reason):
        with open(kept + ".new", "w", encoding="utf-8") as file:
            json.dump((goals, wrong), file)
        os.replace(kept + ".new", kept)
    return goals, wrong


def contracts():
    """Functions with a contract, with the file that has it."""
    found = {}
    for pattern in ("kernel/core/*.h", "kernel/core/*.c", "kernel/hal/hal.h"):
        for name in glob.glob(os.path.join(TOP, pattern)):
            for match in CONTRACT.finditer(read(name)):
                if "loop assigns" not in match.group(1):
                    found[match.group(3)] = os.path.relpath(name, TOP)
    return found


def reviewed(plan):
    """What is wrong with the annotations themselves: each contract is proved or a named assumption; no axiom."""
    proved = {function for part in plan["run"] for function in part["functions"]}
    for function, name in sorted(contracts().items()):
        if function not in proved and function not in plan["assumed"]:
            yield f"{name}: the contract of {function} is neither proved nor in the list `assumed`"
    for name in sorted(glob.glob(os.path.join(TOP, "kernel", "**", "*.[ch]"), recursive=True)):
        for match in FORBIDDEN.finditer(read(name)):
            yield f"{os.path.relpath(name, TOP)}: {match.group(1)}"
    page = read("docs/proofs.md")
    for word in [*plan["assumed"], *plan["properties"]]:
        if f"`{word}`" not in page:
            yield f"docs/proofs.md does not name `{word}`"


def judge_mutant(mutant, tools):
    """Why a change that breaks the code passes for proved; "" if it does not."""
    path = f"kernel/core/{mutant['file']}.c"
    text = read(path)
    if text.count(mutant["old"]) != 1:
        return f"{path} holds {text.count(mutant['old'])} times: {mutant['old']}"
    changed = os.path.join(KEPT, "mutant", path)
    os.makedirs(os.path.dirname(changed), exist_ok=True)
    with open(changed, "w", encoding="utf-8") as file:
        file.write(text.replace(mutant["old"], mutant["new"]))
    functions = [mutant["function"]]
    goals, _ = prove(changed, functions, command(changed, functions, MUTANT_SECONDS), tools, log_path("proof", "mutant"), True)
    broken = [goal for goal, proved in goals.items() if not proved]
    return "" if fnmatch.filter(broken, mutant["goal"]) else f"{mutant['goal']} does not fail; unproved: {broken}"


def stage_proof(report):
    """Frama-C proves the contracts of the kernel's core."""
    plan = tomllib.loads(read("proofs/goals.toml"))
    watch, proved = Watch(), {}
    os.makedirs(LOGS, exist_ok=True)
    try:
        tools = prepare()
    except (OSError, subprocess.CalledProcessError) as error:
        report.fail("tools", watch.lap(), f"{error}\n{getattr(error, 'output', '')}")
        return
    report.judge("annotations", watch.lap(), "\n".join(reviewed(plan)))
    for part in plan["run"]:
        functions = part["functions"]
        name = part["file"] if len(functions) > 1 else f"{part['file']} {functions[0]}"
        path, log = f"kernel/core/{part['file']}.c", log_path("proof", name)
        goals, wrong = prove(path, functions, command(path, functions, SECONDS, part.get("options", ())), tools, log)
        proved.update(goals)
        report.judge(f"{name} ({len(functions)} functions, {len(goals)} goals)", watch.lap(), wrong, log)
    for name, patterns in plan["properties"].items():
        goals = [goal for pattern in patterns for goal in fnmatch.filter(proved, pattern)]
        empty = [f"no goal is named {pattern}" for pattern in patterns if not fnmatch.filter(proved, pattern)]
        open_goals = [f"not proved: {goal}" for goal in goals if not proved[goal]]
        report.judge(f"property {name} ({len(goals)} goals)", watch.lap(), "\n".join(empty + open_goals))
    for mutant in plan["mutant"]:
        report.judge(f"mutant {mutant['file']}: {mutant['new']}", watch.lap(), judge_mutant(mutant, tools))
    done = sum(proved.values())
    fewer = f"proofs/goals.toml asks for {plan['proved']}" if done < plan["proved"] else ""
    report.judge("number", watch.lap(), fewer)
    print(f"proved goals: {done} / {len(proved)}", flush=True)
