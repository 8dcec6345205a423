#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes <cairn/hypercall_numbers.h> and <cairn/hypercalls.h> from kernel/abi/hypercalls.toml."""

import os
import sys
import tomllib

ARGUMENT_REGISTERS = ["rdi", "rsi", "rdx", "r10", "r8", "r9"]
RESULT_REGISTERS = ["rdi", "rsi", "rdx", "r10", "r8"]
CALL_KEYS = {"name", "number", "doc", "args", "results", "errors"}
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

/*
 * Each out_ pointer may be NULL. With CAIRN_HYPERCALLS_EXTERN (host tests) the stubs are declared only, and the test
 * supplies them.
 */
"""


class BadInterface(Exception):
    """The description contradicts itself."""


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
        names.add(name)
    return calls


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
    lines += ["\treturn (cairn_status_t)rax;", "}", "#endif", ""]
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


def main(arguments):
    """gen_hypercalls.py DESCRIPTION DIRECTORY"""
    if len(arguments) != 3:
        print("usage: gen_hypercalls.py hypercalls.toml OUTPUT-DIRECTORY", file=sys.stderr)
        return 2
    with open(arguments[1], "rb") as file:
        interface = tomllib.load(file)
    try:
        calls = check(interface)
    except BadInterface as error:
        print(f"{arguments[1]}: {error}", file=sys.stderr)
        return 1
    os.makedirs(arguments[2], exist_ok=True)
    write_if_changed(os.path.join(arguments[2], "hypercall_numbers.h"),
                     numbers_header(interface, calls))
    write_if_changed(os.path.join(arguments[2], "hypercalls.h"), stubs_header(calls))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
