# SPDX-License-Identifier: BSD-2-Clause
"""Stage analysis: what compilers, analysers and the machine code say of the kernel, and of the rest where it applies."""

import concurrent.futures
import glob
import json
import os
import re
import shlex

from elftools.elf.constants import P_FLAGS
from elftools.elf.elffile import ELFFile

from . import builds, loops
from .report import LOGS, TOP, Watch
from .run import log_path, run, tail
from .source import read, sources
from .stack import Code, Loops, Unknown

LIMIT, JOBS = 170.0, 2
LINE = re.compile(r"^(\S+?):(\d+):(?:\d+:)? (?:(?:warning|error|style|performance|portability): )?(.*) \[([\w.,=-]+)\]$", re.M)

GCC = ("-Wall -Wextra -Walloca -Wdate-time -Wduplicated-branches -Wduplicated-cond -Wformat=2 -Wjump-misses-init -Wlogical-op "
       "-Wnested-externs -Wold-style-definition -Wpointer-arith -Wshadow -Wstrict-prototypes -Wundef -Wvla -Wwrite-strings").split()
# The tests of hypercalls are functions that a macro names.
GCC_PROTOTYPES = ["-Wmissing-prototypes", "-Wredundant-decls"]
# All that clang has, but for what is a matter of taste, what cannot be told apart from a bug, and what only assembler sees.
CLANG = ["-Weverything"] + [f"-Wno-{name}" for name in (
    "padded gnu-designator missing-noreturn disabled-macro-expansion declaration-after-statement switch-enum cast-align cast-qual "
    "bad-function-cast reserved-identifier conditional-uninitialized unused-macros missing-variable-declarations "
    "missing-prototypes sign-conversion comma").split()]
CPPCHECK = ["cppcheck", "--quiet", "--std=c11", "--platform=unix64", "--enable=warning,performance,portability", f"-j{JOBS}",
            "--template={file}:{line}: {message} [{id}]", "-Ikernel", "-Ikernel/abi", "-Ikernel/hal", "-Ilibs/include",
            "-DCAIRN_SVM=1", "-DCAIRN_VMX=1", "-DCAIRN_DEBUG=1"]
# A fifth of the paths that clang's analyser takes by itself: minutes become seconds.
ANALYSER = [f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", "max-nodes=40000")]
# What is looked at and found right: (file, check): why. One that is not found any more must go.
ACCEPTED = {
    ("kernel/arch/x86_64/boot.c", "arrayIndexOutOfBoundsCond"): "hal_panic does not return",
    ("kernel/arch/x86_64/boot.c", "comparePointers"): "the linker puts both into one section",
    ("apps/bench/bench.c", "comparePointers"): "the same",
    ("apps/paths/paths.c", "comparePointers"): "the same",
    ("apps/stress/actors.c", "comparePointers"): "the same",
    ("apps/root-task/serial.c", "uninitvar"): "whoever calls has found one",
    ("apps/stress/poison.c", "uninitvar"): "the loop before writes as many",
    ("kernel/arch/x86_64/boot.c", "-Wmissing-prototypes"): "boot.S alone calls it",
    ("kernel/arch/x86_64/trap.c", "-Wmissing-prototypes"): "entry.S alone calls them",
    ("kernel/arch/x86_64/memory.c", "-Wmissing-prototypes"): "compilers alone call them",
    ("apps/guest-linux/victim.c", "bugprone-suspicious-string-compare"): "all three differ",
    ("libs/guestmem/guestmem.c", "bugprone-macro-parentheses"): "a type cannot stand in parentheses",
    ("vmm-server/emu/execute_string.c", "misc-redundant-expression"): "the first place of a table",
}
# These do on purpose what these warn of.
EXEMPT = ("apps/fuzz/", "apps/tests/")

# Where stacks begin to be used, but for places where stubs take up the CPU's own: symbol, bytes that are pushed already, size.
FRAME = 40  # SS, RSP, RFLAGS, CS, RIP
TRAP = FRAME + 16  # vector and error code
MARGIN = 0.75
MC_LIMIT = 1024
ENTRIES = (("vmx_left", 8, "STACK_SIZE"), ("ap_main", 8, "STACK_SIZE"), ("boot_main", 8, "boot"),
           ("trap_from_kernel", TRAP, "IST_SIZE"), ("nmi_entry", FRAME, "IST_SIZE"), ("mc_entry", FRAME + 16, "IST_SIZE"))
BOOT_STACK = 4096  # boot.S

# All of them in fpu.c, which keeps what is the threads' and guests'.
FPU_MOVES = ("fxsave", "fxsave64", "fxrstor", "fxrstor64", "xsave", "xsave64", "xsaveopt64", "xrstor", "xrstor64", "xsetbv", "xgetbv")
# boot.S: code for 16 and 32 bits, which would be taken for something else.
OLD_MODES = (("boot_entry", "boot_64"), ("ap_start", "ap_end"))
FLOAT_REGISTER = re.compile(r"%(?:[xyz]mm\d+|mm\d|st\b|k[0-7]\b)")


def is_tested_code(path):
    """Whether a source file is part of what runs, and not a test of it on the host."""
    name = os.path.relpath(path, TOP)
    return name.endswith(".c") and not name.endswith("_test.c") and "/host/" not in name and not name.startswith("..")


def commands(preset):
    """[(file, directory, arguments without output and -Werror)] of a build, each file once."""
    with open(os.path.join(builds.directory(preset), "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    found = {}
    for entry in entries:
        arguments = shlex.split(entry["command"])
        if is_tested_code(entry["file"]) and entry["file"] not in found and "-DCAIRN_HOST=1" not in arguments:
            where = arguments.index("-o")
            del arguments[where:where + 2]
            found[entry["file"]] = (entry["directory"], [word for word in arguments if word not in ("-c", "-Werror", "-fstack-usage")])
    return [(path, *rest) for path, rest in sorted(found.items())]


def findings(text):
    """{(file, check): [lines]} of what a tool printed."""
    found = {}
    for name, number, message, checks in LINE.findall(text):
        name = os.path.relpath(os.path.join(TOP, name), TOP)
        check = checks.replace(",-warnings-as-errors", "").split(",")[0]
        found.setdefault((name, check), []).append(f"{name}:{number}: {message} [{check}]")
    return found


def judge(report, title, watch, found, log, used):
    """Against each finding that is not an accepted one."""
    used |= found.keys() & ACCEPTED.keys()
    reasons = sorted({line for key, lines in found.items() if key not in ACCEPTED and not key[0].startswith("..") for line in lines})
    report.judge(title, watch.lap(), "\n".join(reasons), log if reasons else None)


def many(stage_name, jobs):
    """What all commands printed; jobs: [(directory, command)], JOBS at a time."""
    def one(job):
        number, (directory, command) = job
        log = log_path("analysis", f"{stage_name}-{number}")
        reason = run(command, log, LIMIT, cwd=directory)
        text = tail(log, 100000)
        os.remove(log)
        return text if LINE.search(text) or not reason else f"{command[-1]}:1: {' '.join(reason.split())} [failed]\n"
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        text = "".join(pool.map(one, enumerate(jobs)))
    log = log_path("analysis", stage_name)
    with open(log, "w", encoding="utf-8") as file:
        file.write(text)
    return text, log


def warnings(report, used):
    """Both compilers, with more warnings than builds ask for."""
    for preset, flags in (("debug", GCC), ("clang", CLANG)):
        watch, jobs = Watch(), []
        for path, directory, arguments in commands(preset):
            more = GCC_PROTOTYPES if preset == "debug" and not os.path.relpath(path, TOP).startswith(EXEMPT) else []
            jobs.append((directory, [*arguments, "-fsyntax-only", *flags, *more]))
        text, log = many(f"warnings-{preset}", jobs)
        judge(report, f"warnings of {'gcc' if preset == 'debug' else 'clang'} ({len(jobs)} files)", watch, findings(text), log, used)


def tidy(report, used):
    """clang-tidy: the kernel with the static analyser, the rest without."""
    names = [path for path, _, _ in commands("clang")]
    kernel = [path for path in names if os.path.relpath(path, TOP).startswith("kernel/")]
    rest = [path for path in names if path not in kernel and not os.path.relpath(path, TOP).startswith(EXEMPT)]
    for title, paths, more in (("kernel", kernel, ANALYSER), ("rest", rest, ["--checks=-clang-analyzer-*"])):
        watch = Watch()
        jobs = [(TOP, ["clang-tidy", "-p", builds.directory("clang"), "--quiet", *more, path]) for path in paths]
        text, log = many(f"clang-tidy-{title}", jobs)
        judge(report, f"clang-tidy: {title} ({len(paths)} files)", watch, findings(text), log, used)


def cppcheck(report, used):
    """cppcheck on all but the tests."""
    watch, log = Watch(), log_path("analysis", "cppcheck")
    names = [name for name in sources() if is_tested_code(os.path.join(TOP, name)) and not name.startswith(EXEMPT)]
    reason = run([*CPPCHECK, f"-I{builds.directory('debug')}/include", *names], log, LIMIT)
    if reason:
        report.fail("cppcheck", watch.lap(), reason, log)
        return
    judge(report, f"cppcheck ({len(names)} files)", watch, findings(tail(log, 100000)), log, used)


def judge_loops(report):
    """docs/loops.md is what the sources say, and each loop has a bound, of names that there are."""
    watch, found = Watch(), loops.kernel_loops()
    reasons = loops.unbounded(found)
    text = "\n".join(read(name) for name in loops.names())
    for name, of_file in found.items():
        for _, _, bound, line in of_file:
            for word in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", bound):
                if not re.search(rf"#define {word}\b|\benum\b[^;]*\b{word}\b", text):
                    reasons.append(f"{name}:{line}: nothing is called {word}")
    report.judge(f"loops: {sum(map(len, found.values()))}, each with a bound", watch.lap(), "\n".join(reasons))
    made = os.path.join(LOGS, "analysis", "loops.md")
    with open(made, "w", encoding="utf-8") as file:
        file.write(loops.page(found))
    same = os.path.isfile(os.path.join(TOP, "docs/loops.md")) and read("docs/loops.md") == loops.page(found)
    report.judge("docs/loops.md", watch.lap(), "" if same else
                 f"it is not what the sources say: look at {os.path.relpath(made, TOP)}, and copy it to docs/loops.md if that is meant")


def kernel_of(preset):
    """A build's kernel."""
    return os.path.join(builds.directory(preset), "kernel", "kernel.elf")


def frames(preset):
    """{function: [(bytes, kind)]} as the compiler counts its stack frames."""
    found = {}
    for path in glob.glob(os.path.join(builds.directory(preset), "kernel/CMakeFiles/kernel.elf.dir/**/*.su"), recursive=True):
        with open(path, encoding="utf-8") as file:
            for line in file:
                place, size, kind = line.rstrip("\n").split("\t")
                found.setdefault(place.rsplit(":", 1)[1], []).append((int(size), kind))
    return found


def frame_mistakes(code, counted):
    """Where the compiler's count of a frame is more than what the machine code was seen to take, or has no bound."""
    for name, sizes in sorted(counted.items()):
        if any(kind == "dynamic" for _, kind in sizes):
            yield f"{name} takes stack without a bound"
        if name in code.labels and code.own(code.labels[name]) < min(size for size, _ in sizes):
            yield f"{name}: {sizes[0][0]} bytes are counted by the compiler, {code.own(code.labels[name])} were seen"


def stack_size(name):
    """A size from layout.h."""
    if name == "boot":
        return BOOT_STACK
    return int(re.search(rf"#define {name}\s+(\d+)", read("kernel/arch/x86_64/layout.h"))[1])


def depths(code):
    """[(entry, bytes, limit, size, chain)]: an exception in the kernel may come on top of each but NMI and #MC."""
    trap, trap_chain, _ = code.walk(code.labels["trap_from_kernel"], TRAP)
    starts = [(code.owner[address], address, 0, "STACK_SIZE") for address in code.switches()]
    starts += [(name, code.labels[name], depth, stack) for name, depth, stack in ENTRIES if name in code.labels]
    for name, address, depth, stack in starts:
        deepest, chain, _ = code.walk(address, depth)
        size = stack_size(stack)
        if stack == "IST_SIZE":
            limit = MC_LIMIT if name == "mc_entry" else int(size * MARGIN)
            name = "double fault" if name == "trap_from_kernel" else name
        else:
            deepest, chain, limit = deepest + trap, [*chain, "trap_from_kernel", *trap_chain], int(size * MARGIN)
        yield name, deepest, limit, size, chain


def judge_stacks(report, preset):
    """No recursion; every entry stays well within its stack."""
    watch = Watch()
    try:
        code, counted = Code(kernel_of(preset)), frames(preset)
        functions = [code.labels[name] for name in counted if name in code.labels]
        for address in functions:
            code.worst(address)
        found = list(depths(code))
        mistakes = list(frame_mistakes(code, counted))
    except Loops as error:
        report.fail(f"{preset}: no recursion", watch.lap(), f"{error}: make it a loop with a bound")
        return
    except Unknown as error:
        report.fail(f"{preset}: stacks", watch.lap(), f"cannot follow the stack: {error}")
        return
    report.ok(f"{preset}: no recursion", watch.lap(), f"{len(functions)} functions")
    report.judge(f"{preset}: frames as the compiler counts them", watch.lap(), "\n".join(mistakes))
    for name, deepest, limit, size, chain in found:
        title, way = f"{preset}: stack of {name}", " > ".join(chain)
        if deepest > limit:
            report.fail(title, watch.lap(), f"{deepest} bytes of {size}, where {limit} are allowed: {way}")
        else:
            report.ok(title, watch.lap(), f"{deepest} of {size} bytes: {way}")


def float_uses(code):
    """Instructions that touch floating-point or vector registers, but for those that keep them for others."""
    for address, text in sorted(code.at.items()):
        word = text.split()[0]
        if any(code.labels.get(first, 0) <= address < code.labels.get(last, 0) for first, last in OLD_MODES):
            continue
        if FLOAT_REGISTER.search(text) or (re.match(r"f(?!s$)[a-z]+\d*$", word) and word not in FPU_MOVES):
            yield f"{code.owner[address]}: {' '.join(text.split())}"


def judge_image(report, preset):
    """No floating point in the kernel."""
    watch = Watch()
    report.judge(f"{preset}: no floating point in the kernel", watch.lap(), "\n".join(float_uses(Code(kernel_of(preset)))))


def open_segments(path):
    """Segments that are both writable and executable; a stack that is executable, too."""
    with open(path, "rb") as file:
        for number, segment in enumerate(ELFFile(file).iter_segments()):
            flags = segment["p_flags"]
            if segment["p_type"] == "PT_LOAD" and flags & P_FLAGS.PF_W and flags & P_FLAGS.PF_X:
                yield f"{os.path.relpath(path, TOP)}: segment {number} is writable and executable"
            if segment["p_type"] == "PT_GNU_STACK" and flags & P_FLAGS.PF_X:
                yield f"{os.path.relpath(path, TOP)}: its stack is executable"


def judge_segments(report, presets):
    """Kernel and servers of all builds."""
    watch = Watch()
    paths = [path for preset in presets for path in
             [kernel_of(preset), *sorted(glob.glob(os.path.join(builds.directory(preset), "servers", "*.elf")))]]
    report.judge(f"no writable and executable segment ({len(paths)} programs)", watch.lap(),
                 "\n".join(line for path in paths for line in open_segments(path)))


def stage_analysis(report):
    """Warnings of both compilers, clang-tidy, cppcheck; bounds of loops; no recursion, depths of stacks, segments, floating point."""
    watch = Watch()
    for preset in builds.PRESETS:
        reason = builds.build(preset)
        if reason:
            report.fail(f"build-{preset}", watch.lap(), reason)
            return
    os.makedirs(os.path.join(LOGS, "analysis"), exist_ok=True)
    judge_loops(report)
    judge_segments(report, builds.PRESETS)
    for preset in builds.PRESETS:
        judge_image(report, preset)
    judge_stacks(report, "release")
    used = set()
    warnings(report, used)
    cppcheck(report, used)
    tidy(report, used)
    watch.lap()
    stale = [f"{name}: {check} is not found any more: take it out of ACCEPTED" for name, check in sorted(ACCEPTED.keys() - used)]
    report.judge("accepted findings are still there", watch.lap(), "\n".join(stale))
