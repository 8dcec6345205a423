# SPDX-License-Identifier: BSD-2-Clause
"""The loops of the kernel, each with its bound: from the loop itself, or from a comment `bound:` at it."""

import re

from .source import C_CODE, read, sources

HEAD = """\
# Loops of the kernel

Every loop of ring 0 with its bound. `./check --stage analysis` makes this list from the sources and compares it. A loop that counts up to a
constant speaks for itself; each other one has a comment `/* bound: … */` on its line or on the one before. Threads, VCpus, slots and pages are
memory that somebody owns: their numbers are bounded by what the root-task gave away.
"""
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
LOOP = re.compile(r"\b(for|while)\s*\(|\bdo\s*\{")
FUNCTION = re.compile(r"^(\w[^;{}#=]*\)) *\n\{", re.M)
ATTRIBUTE = re.compile(r"__attribute__\(\(.*?\)\)")
COMMENT = re.compile(r"/\*.*?\*/", re.S)
BOUND = re.compile(r"/\*(?:(?!\*/).)*?\bbound: ((?:(?!\*/).)*?)\s*\*/")
CONSTANT = r"(?:[A-Z][A-Z0-9_]*|\d+u?|sizeof\(\w+(?:\[0\])?\)|[()+*/<-]|\s)+"
COUNTS_UP = re.compile(rf"for \([^;]*?\b(\w+) = ([^;]*?); \1 (<=?) ({CONSTANT}|cpu_count)(?: &&[^;]*)?; [^;]*\b\1\+\+[^;]*\)$")
ASM_LABEL = re.compile(r"^(\w+):")
ASM_JUMP = re.compile(r"^(?:\w+:)?\s*j\w+\s+(\w+)")


def blank(text):
    """C with comments and strings as spaces, every character in its place."""
    return NOISE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def closing(text, start):
    """Where the bracket that opens at `start` is closed."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in "({") - (text[at] in ")}")
        if not depth:
            return at
    return len(text) - 1


def is_end_of_do(code, at):
    """Whether the `while` there ends a do loop."""
    before = code[:at].rstrip()
    if not before.endswith("}"):
        return False
    opens = before.rfind("{")
    depth = 0
    for opens in range(len(before) - 1, -1, -1):
        depth += (before[opens] == "}") - (before[opens] == "{")
        if not depth:
            break
    return re.search(r"\bdo\s*$", before[:opens]) is not None


def own_bound(head):
    """The bound of a loop that counts up to a constant, or ""."""
    counts = COUNTS_UP.match(head)
    if not counts:
        return ""
    limit = counts[4].strip()
    return f"{limit} + 1" if counts[3] == "<=" and counts[2] == "0" else limit


def c_loops(text):
    """[(function, head, bound or "", line)] of a C file."""
    code, lines, found = blank(text), text.split("\n"), []
    functions = [(match.start(), re.search(r"(\w+)\(", ATTRIBUTE.sub("", match[1]))[1]) for match in FUNCTION.finditer(code)]
    for loop in LOOP.finditer(code):
        if loop[0].startswith("while") and is_end_of_do(code, loop.start()):
            continue
        end = closing(code, loop.end() - 1)
        head = f"do … {text[end + 1:code.index(';', end)]}" if loop[0].startswith("do") else text[loop.start():end + 1]
        head = " ".join(COMMENT.sub("", head).split())
        first = text.count("\n", 0, loop.start())
        last = first if loop[0].startswith("do") else text.count("\n", 0, end)
        said = BOUND.search("\n".join(lines[first:last + 1]))
        if not said and first and re.fullmatch(r"\s*(?:/\*|\*).*\*/", lines[first - 1]):
            said = BOUND.search(lines[first - 1])
        function = next((name for start, name in reversed(functions) if start < loop.start()), "?")
        found.append((function, head, said[1] if said else own_bound(head), first + 1))
    return found


def asm_loops(text):
    """The same of an assembler file: conditional or short jumps to a label above, but for those that leave to another function."""
    found, labels, function, lines = [], {}, "?", text.split("\n")
    for number, line in enumerate(lines):
        label = ASM_LABEL.match(line)
        if label and not label[1].isdigit() and not label[1].endswith(("_window", "_end")):
            function = label[1]
        if label:
            labels[label[1]] = number
        jump = ASM_JUMP.match(line)
        if not jump:
            continue
        target = jump[1].removesuffix("b") if re.fullmatch(r"\d+b", jump[1]) else jump[1]
        if target in labels and (target.isdigit() or not line.strip().startswith("jmp")):
            said = BOUND.search(line) or BOUND.search(lines[number - 1])
            code = re.sub(r"/\*.*", "", line).strip()
            found.append((function, " ".join(code.split()), said[1] if said else "", number + 1))
    return found


def names():
    """The kernel's sources, without tests, the host's hardware and what debug builds check."""
    return [name for name in sources() if name.startswith("kernel/") and name.endswith((*C_CODE, ".S")) and
            not name.endswith("_test.c") and "/host/" not in name and not name.startswith("kernel/debug/")]


def kernel_loops():
    """{file: loops}, for files that have any."""
    loops = {name: (asm_loops if name.endswith(".S") else c_loops)(read(name)) for name in names()}
    return {name: found for name, found in loops.items() if found}


def unbounded(loops):
    """Loops that nobody has said the bound of."""
    return [f"{name}:{line}: give the bound of `{head}` in a comment, /* bound: … */"
            for name, found in loops.items() for _, head, bound, line in found if not bound]


def page(loops):
    """docs/loops.md."""
    text = HEAD + f"\n{sum(len(found) for found in loops.values())} loops.\n"
    for name, found in sorted(loops.items()):
        text += f"\n## {name}\n| function | loop | bound |\n|---|---|---|\n"
        for function, head, bound, _ in found:
            cell = head.replace("|", "\\|")
            text += f"| {function} | `{cell}` | {bound.replace('|', chr(92) + '|')} |\n"
    return text
