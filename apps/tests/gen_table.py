# SPDX-License-Identifier: BSD-2-Clause
"""Writes the table of hypercalls that test_table.c goes through, from kernel/abi/hypercalls.toml."""

import sys
import tomllib

# What the argument of this name designates; the first such argument of a call is looked up first.
SELECTORS = {
    "portal": "CAP_PORTAL",
    "thread": "CAP_THREAD",
    "untyped": "CAP_UNTYPED",
    "table": "CAP_CAPTABLE",
    "source": "CAP_FREE",  # any type
    "parent": "CAP_PAGETABLE",
    "frame": "CAP_FRAME",
    "vcpu": "CAP_VCPU",
    "target": "CAP_THREAD",  # or VCpu
    "irq": "CAP_IRQ",
    "ioports": "CAP_IOPORTS",
    "mc": "CAP_MACHINECHECK",
    "cpus": "CAP_CPUS",
}


def rows(description):
    for call in description["call"]:
        if "CAP" not in call["errors"]:
            continue
        first = call["args"][0]
        if first not in SELECTORS:
            sys.exit(f"gen_table.py: hypercall {call['name']}: the tests do not know what argument "
                     f"'{first}' designates; add it to SELECTORS")
        kind = SELECTORS[first] if "TYPE" in call["errors"] else "CAP_FREE"
        yield f'\t{{"{call["name"]}", {call["number"]}, {kind}}},\n'


def main():
    with open(sys.argv[1], "rb") as file:
        description = tomllib.load(file)
    highest = max(call["number"] for call in description["call"])
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write("/* SPDX-License-Identifier: BSD-2-Clause */\n"
                  "/* Calls whose first argument is a selector (generated from hypercalls.toml). */\n"
                  "static const struct table_call table_calls[] = {\n")
        out.writelines(rows(description))
        out.write("};\n"
                  f"#define TABLE_BASE {description['base']:#x}u\n"
                  f"#define TABLE_HIGHEST {highest}u\n")


main()
