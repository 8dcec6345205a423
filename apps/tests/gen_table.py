# SPDX-License-Identifier: BSD-2-Clause
"""Writes what trial.c knows of each hypercall, from kernel/abi/hypercalls.toml; every hypercall must have a test.

gen_table.py DESCRIPTION OUTPUT SOURCE...    SOURCEs define HYPERCALL_TEST(name) for each hypercall
"""

import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import gen_hypercalls  # noqa: E402

TEST = re.compile(r"^HYPERCALL_TEST\((\w+)\)", re.MULTILINE)
HEAD = """\
/* SPDX-License-Identifier: BSD-2-Clause */
/* What each hypercall takes, what it may answer, and its test (generated from kernel/abi/hypercalls.toml). */
"""
WORDS = {"number": "KIND_NUMBER", "other": "KIND_OTHER", "page": "KIND_PAGE", "cpu": "KIND_CPU",
         "user address": "KIND_ADDRESS", "empty slot": "KIND_EMPTY_SLOT", "used slot": "KIND_USED_SLOT"}


def argument(name, kind):
    """The initializer of one struct argument."""
    word, *values = gen_hypercalls.read_kind(kind)
    text = f'.name = "{name}", .kind = '
    if word == "selector":
        types, rights = values
        text += "KIND_SELECTOR, .types = " + (
            " | ".join(f"1u << {gen_hypercalls.TYPES[one]}" for one in types) or "TYPES_ALL")
        text += ", .rights = " + (" | ".join(f"RIGHT_{one}" for one in rights) or "0")
    elif word == "range":
        text += f"KIND_RANGE, .low = {values[0]}, .high = {values[1]}"
    elif word == "one":
        text += "KIND_ONE, .high = " + " | ".join(f"1ul << {one}" for one in values[0])
    elif word == "bits":
        text += f"KIND_BITS, .high = {values[0]:#x}"
    else:
        text += WORDS[word]
    return "{" + text + "}"


def description(call, structs):
    """The initializer of one struct call."""
    errors = " | ".join(f"1u << CAIRN_ERR_{error}" for error in call["errors"]) or "0"
    lines = [f'\t{{.name = "{call["name"]}", .errors = {errors}, .test = test_{call["name"]},',
             f'\t .result_count = {len(call["results"])},']
    if call["args"]:
        lines.append(f'\t .argument_count = {len(call["args"])}, .arguments = {{')
        lines += [f"\t\t{argument(*pair)}," for pair in zip(call["args"], call["kinds"])]
        lines.append("\t },")
    for struct in structs:
        if struct["call"] == call["name"]:
            lines.append(f'\t .field_count = {len(struct["fields"])}, .fields = {{')
            lines += [f"\t\t{argument(*pair)}," for pair in zip(struct["fields"], struct["kinds"])]
            lines.append("\t },")
    return "\n".join(lines + ["\t},"]) + "\n"


def check_tests(calls, sources):
    """Each call has its HYPERCALL_TEST, and each of these its call."""
    names, found = {call["name"] for call in calls}, set()
    for source in sources:
        with open(source, encoding="utf-8") as file:
            tests = TEST.findall(file.read())
        for name in tests:
            if name not in names or name in found:
                why = "is in two places" if name in found else "tests no hypercall of the interface"
                raise gen_hypercalls.BadInterface(f"HYPERCALL_TEST({name}) in {source} {why}")
            found.add(name)
    for call in calls:
        if call["name"] not in found:
            raise gen_hypercalls.BadInterface(
                f"hypercall {call['name']} has no test; write HYPERCALL_TEST({call['name']}) in apps/tests")


def main(arguments):
    """Returns the exit status."""
    interface = gen_hypercalls.read(arguments[1])
    try:
        calls = gen_hypercalls.check(interface)
        check_tests(calls, arguments[3:])
    except gen_hypercalls.BadInterface as error:
        print(f"{arguments[1]}: {error}", file=sys.stderr)
        return 1
    structs = interface.get("struct", [])
    with open(arguments[2], "w", encoding="utf-8") as out:
        out.write(HEAD)
        out.writelines(f"HYPERCALL_TEST({call['name']});\n" for call in calls)
        for struct in structs:
            out.writelines(f'_Static_assert(offsetof(struct {struct["name"]}, {field}) == {8 * n}, "fields in order");\n'
                           for n, field in enumerate(struct["fields"]))
        out.write("static const struct call calls[CAIRN_CALL_COUNT] = {\n")
        out.writelines(description(call, structs) for call in calls)
        out.write("};\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
