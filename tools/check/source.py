# SPDX-License-Identifier: BSD-2-Clause
"""Stages format, manual, rules and size: what can be told from the sources alone."""

import os
import re
import subprocess
import tomllib

from .report import TOP, Watch
from .run import log_path, run, tail

C_CODE = (".c", ".h")
CODE = (".c", ".h", ".S", ".ld", ".py", ".sh", ".cmake", ".toml")
# Text that may hold no SPDX line: data for other programs, and pages for people.
NO_SPDX = (".md", ".json", ".txt")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
FREESTANDING = {"stdint.h", "stddef.h", "stdbool.h", "stdarg.h", "limits.h", "stdalign.h",
                "stdnoreturn.h", "float.h", "iso646.h"}
ISSUE = re.compile(r"(?i)\bissues?\s+#?\d+|(?<![\w&#'\"(/:])#\d{1,4}\b")
MACHINE_PATH = re.compile(r"/work/\w+")
# Checks of the kernel state; stage build shows that a release kernel holds nothing of them.
DEBUG_ONLY = ("kernel/debug/", "kernel/abi/cairn/debug.h")
KERNEL_C_LIMIT, KERNEL_ASM_LIMIT = 6000, 500


def sources():
    """All files of the tree that git knows or would add, relative to its top."""
    try:
        done = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                              cwd=TOP, capture_output=True, text=True, check=True)
        found = done.stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        # No git here, or no repository: all but what .gitignore names.
        found = [os.path.relpath(os.path.join(directory, name), TOP)
                 for directory, _, names in os.walk(TOP) for name in names]
        found = [name for name in found if not name.startswith(("build", ".git/", "out/")) and
                 "__pycache__" not in name]
    return sorted(name for name in found if os.path.isfile(os.path.join(TOP, name)))


def read(name):
    """A source's text."""
    with open(os.path.join(TOP, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def stage_format(report):
    """clang-format agrees with every C file."""
    by_part = {}
    for name in sources():
        if name.endswith(C_CODE):
            by_part.setdefault(name.split("/")[0], []).append(name)
    for part, names in sorted(by_part.items()):
        watch, log = Watch(), log_path("format", part)
        reason = run(["clang-format", "--dry-run", "-Werror", *names], log, 300.0)
        if reason:
            files = sorted(set(re.findall(r"^([^:\s]+):\d+:\d+: error", tail(log, 100000), re.M)))
            reason = f"run clang-format -i on: {' '.join(files)}"
        report.judge(f"{part} ({len(names)} files)", watch.lap(), reason, log if reason else None)


def manual_sections():
    """The sections of docs/manual by the name in their heading."""
    found = {}
    for name in sources():
        if not (name.startswith("docs/manual") and name.endswith(".md")):
            continue
        heading = None
        for line in read(name).splitlines():
            match = re.match(r"^#+\s+(?:[\d.]+\s+)?`?(?:cairn_)?([a-z0-9_]+)\b", line)
            if line.startswith("#"):
                heading = match.group(1) if match else None
                if heading:
                    found.setdefault(heading, "")
            elif heading:
                found[heading] += line + "\n"
    return found


def stage_manual(report):
    """The manual has a section for each hypercall: its arguments, results and errors."""
    with open(os.path.join(TOP, "kernel/abi/hypercalls.toml"), "rb") as file:
        calls = tomllib.load(file)["call"]
    sections = manual_sections()
    for call in calls:
        watch, missing = Watch(), []
        text = sections.get(call["name"])
        if text is None:
            report.fail(call["name"], watch.lap(), "docs/manual has no section with this heading")
            continue
        for word in call["args"] + call["results"] + call["errors"]:
            if not re.search(rf"(?<![a-z]){re.escape(word)}\b", text):
                missing.append(word)
        report.judge(call["name"], watch.lap(),
                     f"its section does not mention {', '.join(missing)}" if missing else "")


def _included(name):
    return [match.group(2) for match in INCLUDE.finditer(read(name))]


def _resolve(name, header):
    """Where a header of ours lies: beside the file, or below one of the include directories."""
    for base in (os.path.dirname(name), "kernel/abi", "libs/include", "kernel", "kernel/hal", ""):
        path = os.path.normpath(os.path.join(base, header))
        if os.path.isfile(os.path.join(TOP, path)):
            return path
    return header


def rule_core(names):
    """core sees only abi, hal and freestanding headers."""
    allowed = ("kernel/core/", "kernel/abi/", "kernel/hal/")
    for name in names:
        if not name.startswith("kernel/core/") or name.endswith("_test.c"):
            continue
        for header in _included(name):
            if header in FREESTANDING or header.startswith(("cairn/hypercall_numbers", "hal/", "debug/hooks.h")):
                continue
            if not _resolve(name, header).startswith(allowed):
                yield f"{name} includes {header}"


def rule_backends(names):
    """vmx and svm never see each other, and nothing above them sees either's headers."""
    for name in names:
        for own, other in (("vmx", "svm"), ("svm", "vmx")):
            if f"/{own}/" in name and name.startswith("kernel/"):
                for header in _included(name):
                    if f"/{other}/" in _resolve(name, header) or header.startswith(other):
                        yield f"{name} includes {header}"


def rule_servers(names):
    """Servers see abi and libs, and of the kernel nothing else; nor each other's insides."""
    parts = ("vmm-server/", "mca-server/", "libs/", "apps/")
    for name in names:
        part = next((part for part in parts if name.startswith(part)), None)
        if part is None:
            continue
        for header in _included(name):
            path = _resolve(name, header)
            if path.startswith("kernel/") and not path.startswith("kernel/abi/"):
                yield f"{name} includes {path}"
            elif path.startswith(parts) and not path.startswith(("libs/", part)):
                yield f"{name} includes {path}"


def rule_spdx(names):
    """An SPDX line on top of each file."""
    for name in names:
        base = os.path.basename(name)
        if base.startswith(".") or base == "LICENSE" or name.endswith(NO_SPDX):
            continue
        head = "\n".join(read(name).splitlines()[:2])
        if "SPDX-License-Identifier: BSD-2-Clause" not in head:
            yield f"{name} has no SPDX line"


def rule_purpose(names):
    """Below it, a sentence that says what the file is for."""
    for name in names:
        if not name.endswith(CODE):
            continue
        lines = [line for line in read(name).splitlines()[:8] if line.strip()]
        rest = [line for line in lines if "SPDX" not in line and not line.startswith("#!")]
        first = rest[0].lstrip() if rest else ""
        opener = ('/*', '//', '#', '"""', ';', '*', "r\"\"\"")
        if not first.startswith(opener) or first.startswith(("#include", "#ifndef", "#define")):
            yield f"{name} does not say what it is for"


def rule_neutral(names):
    """No issue numbers and no paths of one machine."""
    for name in names:
        if name == os.path.relpath(__file__, TOP):
            continue
        for number, line in enumerate(read(name).splitlines(), 1):
            if MACHINE_PATH.search(line):
                yield f"{name}:{number} names a path of one machine"
            if ISSUE.search(line):
                yield f"{name}:{number} names an issue"


RULES = (("core-includes", rule_core), ("backend-includes", rule_backends),
         ("server-includes", rule_servers), ("spdx", rule_spdx), ("purpose", rule_purpose),
         ("neutral", rule_neutral))


def stage_rules(report):
    """Directions of dependency, first lines, neutral text."""
    names = [name for name in sources() if not name.endswith((".png", ".bin"))]
    for title, rule in RULES:
        watch = Watch()
        reason = "\n".join(rule(names))
        report.judge(title, watch.lap(), reason)


def strip_comments(text):
    """C without comments; strings and character constants stay."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
    return token.sub(lambda match: match.group(0) if match.group(0)[0] in "\"'" else " ", text)


def code_lines(name):
    """Lines that are neither blank nor comment."""
    text = strip_comments(read(name))
    lines = [line.strip() for line in text.splitlines()]
    if name.endswith(".S"):
        lines = [line for line in lines if not re.match(r"#\s", line) and line != "#"]
    return sum(1 for line in lines if line)


def stage_size(report):
    """The kernel stays small enough to be read."""
    watch, folders, debug = Watch(), {}, 0
    for name in sources():
        if not name.startswith("kernel/") or name.endswith("_test.c") or "/host/" in name:
            continue
        kind = "asm" if name.endswith(".S") else "C" if name.endswith(C_CODE) else None
        if name.startswith(DEBUG_ONLY):
            debug += code_lines(name)
        elif kind:
            folder = folders.setdefault(os.path.dirname(name), {"C": 0, "asm": 0})
            folder[kind] += code_lines(name)
    for folder, count in sorted(folders.items()):
        print(f"      {folder:<28} {count['C']:>6} C {count['asm']:>5} assembler")
    print(f"      {'debug builds only':<28} {debug:>6} C")
    for kind, limit in (("C", KERNEL_C_LIMIT), ("asm", KERNEL_ASM_LIMIT)):
        total = sum(count[kind] for count in folders.values())
        reason = f"the kernel has {total} lines; the limit is {limit}" if total > limit else ""
        report.judge(f"kernel {kind} lines: {total} of {limit}", watch.lap(), reason)
