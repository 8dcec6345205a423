#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes <cairn/hypercall_numbers.h> and <cairn/hypercalls.h> from kernel/abi/hypercalls.toml; compares the manual with it.

gen_hypercalls.py DESCRIPTION DIRECTORY [MANUAL]
gen_hypercalls.py --skeleton DESCRIPTION NAME    prints a section of the manual to be filled in
"""

import os
import re
import sys
import tomllib

ARGUMENT_REGISTERS = ["rdi", "rsi", "rdx", "r10", "r8", "r9"]
RESULT_REGISTERS = ["rdi", "rsi", "rdx", "r10", "r8"]
CALL_KEYS = {"name", "number", "doc", "args", "kinds", "results", "errors"}
STRUCT_KEYS = {"name", "call", "fields", "kinds"}
# What a kind may name, as enum cairn_type and RIGHT_* do.
TYPES = {"Untyped": "CAP_UNTYPED", "CapTable": "CAP_CAPTABLE", "Frame": "CAP_FRAME", "PageTable": "CAP_PAGETABLE",
         "Thread": "CAP_THREAD", "VCpu": "CAP_VCPU", "Portal": "CAP_PORTAL", "Irq": "CAP_IRQ",
         "IoPorts": "CAP_IOPORTS", "MachineCheck": "CAP_MACHINECHECK", "Cpus": "CAP_CPUS"}
RIGHTS = {"READ", "WRITE", "EXEC", "CONTROL", "SIGNAL", "GRANT"}
SIMPLE_KINDS = {"number", "other", "page", "cpu", "user address", "empty slot", "used slot"}
MAX_DOC_COLUMN = 96

NUMBERS_HEAD = """\
/* SPDX-License-Identifier: BSD-2-Clause */
/* The numbers of the hypercalls (generated from kernel/abi/hypercalls.toml; for C and assembler). */
#ifndef CAIRN_HYPERCALL_NUMBERS_H
#define CAIRN_HYPERCALL_NUMBERS_H

"""

STUBS_HEAD = """\
/* SPDX-License-Identifier: BSD-2-Clause */
/* User level's hypercall stubs (generated from kernel/abi/hypercalls.toml). */
#ifndef CAIRN_HYPERCALLS_H
#define CAIRN_HYPERCALLS_H

#include <stddef.h>
#include <stdint.h>
#include <cairn/hypercall_numbers.h>
#include <cairn/status.h>

#define CAIRN_MUST_USE __attribute__((warn_unused_result))

/* A program that keeps a record of what each call answered names its function here. */
#ifdef CAIRN_HYPERCALLS_RECORDER
cairn_status_t CAIRN_HYPERCALLS_RECORDER(uint64_t number, cairn_status_t status);
#define CAIRN_ANSWERED(number, status) CAIRN_HYPERCALLS_RECORDER(number, status)
#else
#define CAIRN_ANSWERED(number, status) (status)
#endif

/*
 * Each out_ pointer may be NULL. With CAIRN_HYPERCALLS_EXTERN (host tests) the stubs are declared only, and the test
 * supplies them.
 */
"""


class BadInterface(Exception):
    """The description contradicts itself, or the manual contradicts it."""


def read_kind(text):
    """("selector", types, rights), ("range", low, high), ("one", numbers), ("bits", mask), or one of SIMPLE_KINDS alone."""
    if text in SIMPLE_KINDS:
        return (text,)
    if found := re.fullmatch(r"(\d+)\.\.(\d+)", text):
        return ("range", int(found[1]), int(found[2]))
    if re.fullmatch(r"one of( \d+)+", text):
        return ("one", [int(word) for word in text.split()[2:]])
    if found := re.fullmatch(r"bits (0x[0-9a-f]+)", text):
        return ("bits", int(found[1], 16))
    words = text.split()
    rights = [word for word in words if word in RIGHTS]
    types = [word for word in " ".join(words[:len(words) - len(rights)]).split(" or ")]
    if types != ["capability"] and not all(name in TYPES for name in types):
        raise BadInterface(f"unknown kind '{text}'")
    return ("selector", [] if types == ["capability"] else types, rights)


def check_kinds(what, names, kinds):
    """One kind for each argument or field."""
    if len(kinds) != len(names):
        raise BadInterface(f"{what}: {len(names)} names but {len(kinds)} kinds")
    for name, kind in zip(names, kinds):
        try:
            read_kind(kind)
        except BadInterface as error:
            raise BadInterface(f"{what}: {name}: {error}") from error


def check_structs(interface, names):
    """What calls read from the message buffer."""
    for struct in interface.get("struct", []):
        if set(struct) != STRUCT_KEYS:
            raise BadInterface(f"{struct.get('name')}: its keys must be {sorted(STRUCT_KEYS)}")
        if struct["call"] not in names:
            raise BadInterface(f"{struct['name']}: there is no call '{struct['call']}'")
        check_kinds(struct["name"], struct["fields"], struct["kinds"])


def check(interface):
    """Refuses what the stubs cannot express; returns the calls in the order of their numbers."""
    calls = sorted(interface["call"], key=lambda call: call["number"])
    names = set()
    for expected, call in enumerate(calls):
        name = call["name"]
        if set(call) != CALL_KEYS:
            raise BadInterface(f"{name}: its keys must be {sorted(CALL_KEYS)}")
        if call["number"] != expected:
            raise BadInterface(f"{name}: number {call['number']}, but the next one is {expected}")
        if name in names:
            raise BadInterface(f"{name}: named twice")
        if len(call["args"]) > len(ARGUMENT_REGISTERS):
            raise BadInterface(f"{name}: more than {len(ARGUMENT_REGISTERS)} arguments")
        if len(call["results"]) > len(RESULT_REGISTERS):
            raise BadInterface(f"{name}: more than {len(RESULT_REGISTERS)} results")
        check_kinds(name, call["args"], call["kinds"])
        names.add(name)
    check_structs(interface, names)
    return calls


def manual_tables(text):
    """{heading: {"argument": [words], "result": …, "error": …}}, from the first columns of each section's tables."""
    found, section, column = {}, None, None
    for line in text.splitlines():
        if line.startswith("#"):
            section, column = line.lstrip("# ").strip("` "), None
            found.setdefault(section, {"argument": [], "result": [], "error": []})
        elif head := re.match(r"\| (argument|result|error) \|", line):
            column = head[1]
        elif not line.startswith("|"):
            column = None
        elif section and column:
            found[section][column] += re.findall(r"`(\w+)`", line.split("|")[1])
    return found


def check_manual(calls, text):
    """Refuses a manual whose sections name other arguments, results or errors than the description."""
    sections = manual_tables(text)
    for call in calls:
        name = call["name"]
        if name not in sections:
            raise BadInterface(f"hypercall {name} has no section '## {name}'; write one "
                               f"(tools/gen_hypercalls.py --skeleton prints what must be in it)")
        for kind, key in (("argument", "args"), ("result", "results"), ("error", "errors")):
            for word in call[key]:
                if word not in sections[name][kind]:
                    raise BadInterface(f"the section of {name} lacks {kind} {word}, which the interface has")
            for word in sections[name][kind]:
                if word not in call[key]:
                    raise BadInterface(f"the section of {name} has {kind} {word}, which the interface lacks")
            if key != "errors" and sections[name][kind] != call[key]:
                raise BadInterface(f"the section of {name} has its {kind}s in another order than the interface")


def skeleton(call):
    """The section of a call as it must be: the words are still to be written."""
    lines = [f"## {call['name']}", "", call["doc"], ""]
    for kind, key in (("argument", "args"), ("result", "results"), ("error", "errors")):
        if call[key]:
            notes = call["kinds"] if key == "args" else [""] * len(call[key])
            lines += [f"| {kind} | {'cause' if kind == 'error' else ''} |", "|---|---|"]
            lines += [f"| `{word}` | {note} |" for word, note in zip(call[key], notes)] + [""]
    return "\n".join(lines)


def numbers_header(interface, calls):
    """The text of hypercall_numbers.h."""
    lines = [NUMBERS_HEAD]
    lines.append(f"#define CAIRN_INTERFACE_VERSION {interface['version']}\n")
    lines.append(f"#define CAIRN_CALL_BASE {interface['base']:#x}\n\n")
    lines.append("/* RAX is CAIRN_CALL_BASE + one of these. */\n")
    width = max(len(call["name"]) for call in calls)
    for call in calls:
        lines.append(f"#define CAIRN_CALL_{call['name'].upper():<{width}} {call['number']}\n")
    lines.append(f"#define CAIRN_CALL_{'COUNT':<{width}} {len(calls)}\n")
    lines.append("\n/* X(NAME, name) for each of them. */\n#define CAIRN_HYPERCALLS(X)")
    lines += [f" \\\n\tX({call['name'].upper()}, {call['name']})" for call in calls] + ["\n"]
    lines.append("\n#endif\n")
    return "".join(lines)


def wrap(text, indent):
    """The words of text as comment lines."""
    lines, line = [], indent
    for word in text.split():
        if len(line) + 1 + len(word) > MAX_DOC_COLUMN:
            lines.append(line)
            line = indent
        line += " " + word
    return lines + [line]


def stub(call):
    """The text of one stub."""
    name, args, results = call["name"], call["args"], call["results"]
    parameters = [f"uint64_t {arg}" for arg in args]
    parameters += [f"uint64_t *out_{result}" for result in results]
    prototype = f"cairn_status_t cairn_{name}(" + "".join(
        f"\n\t{parameter}," for parameter in parameters).rstrip(",") + ")"
    lines = ["/*"] + wrap(call["doc"], " *")
    lines += wrap("Errors: " + (", ".join(call["errors"]) or "none") + ".", " *") + [" */"]
    lines += ["#ifdef CAIRN_HYPERCALLS_EXTERN", "CAIRN_MUST_USE " + prototype + ";", "#else"]
    lines += ["CAIRN_MUST_USE static inline " + prototype, "{"]
    lines.append(f"\tuint64_t rax = CAIRN_CALL_BASE + CAIRN_CALL_{name.upper()};")
    for register, argument in zip(ARGUMENT_REGISTERS, args):
        lines.append(f'\tregister uint64_t {register} __asm__("{register}") = {argument};')
    for register in ARGUMENT_REGISTERS[len(args):]:
        lines.append(f'\tregister uint64_t {register} __asm__("{register}");')
    lines.append("")
    operands = [f'"+r"({register})' for register in ARGUMENT_REGISTERS[:len(args)]]
    operands += [f'"=r"({register})' for register in ARGUMENT_REGISTERS[len(args):]]
    lines.append('\t__asm__ volatile("syscall"')
    lines.append('\t\t\t : "+a"(rax),')
    lines.append(f"\t\t\t   {', '.join(operands)}")
    lines.append('\t\t\t : : "rcx", "r11", "cc", "memory");')
    for register in RESULT_REGISTERS[len(results):] + ["r9"]:
        lines.append(f"\t(void){register};")
    for register, result in zip(RESULT_REGISTERS, results):
        lines.append(f"\tif (out_{result} != NULL)\n\t\t*out_{result} = {register};")
    lines += [f"\treturn CAIRN_ANSWERED(CAIRN_CALL_{name.upper()}, (cairn_status_t)rax);", "}", "#endif", ""]
    return "\n".join(lines)


def stubs_header(calls):
    """The text of hypercalls.h."""
    return STUBS_HEAD + "\n" + "\n".join(stub(call) for call in calls) + "\n#endif\n"


def write_if_changed(path, text):
    """Leaves an unchanged file's time alone, so that nothing is rebuilt."""
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                os.utime(path)
                return
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    """The description."""
    with open(path, "rb") as file:
        return tomllib.load(file)


def print_skeleton(path, name):
    """A section for the manual, on standard output."""
    for call in read(path)["call"]:
        if call["name"] == name:
            print(skeleton(call))
            return 0
    print(f"{path}: there is no call '{name}'", file=sys.stderr)
    return 1


def main(arguments):
    """Returns the exit status."""
    if len(arguments) == 4 and arguments[1] == "--skeleton":
        return print_skeleton(arguments[2], arguments[3])
    if len(arguments) not in (3, 4):
        print("usage: gen_hypercalls.py hypercalls.toml OUTPUT-DIRECTORY [MANUAL]", file=sys.stderr)
        return 2
    interface, where = read(arguments[1]), arguments[1]
    try:
        calls = check(interface)
        if len(arguments) == 4:
            where = arguments[3]
            with open(where, encoding="utf-8") as file:
                check_manual(calls, file.read())
    except BadInterface as error:
        print(f"{where}: {error}", file=sys.stderr)
        return 1
    os.makedirs(arguments[2], exist_ok=True)
    write_if_changed(os.path.join(arguments[2], "hypercall_numbers.h"),
                     numbers_header(interface, calls))
    write_if_changed(os.path.join(arguments[2], "hypercalls.h"), stubs_header(calls))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
