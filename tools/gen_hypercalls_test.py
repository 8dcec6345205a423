# SPDX-License-Identifier: BSD-2-Clause
"""The generated stubs compile, use the registers the interface names, and refuse a contradictory description."""

import os
import re
import subprocess
import tempfile
import tomllib
import unittest

import gen_hypercalls

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DESCRIPTION = os.path.join(TOP, "kernel", "abi", "hypercalls.toml")

PROGRAM = """\
#include <cairn/hypercalls.h>
uint64_t call(uint64_t *p);
uint64_t call(uint64_t *p)
{
	return cairn_call(11, 12, 13, 14, 15, 16, &p[0], &p[1], &p[2], &p[3], &p[4]);
}
uint64_t identify(void);
uint64_t identify(void)
{
	return cairn_identify(NULL);
}
"""


class Stubs(unittest.TestCase):
    """Generates from the real description."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.include = os.path.join(self.directory.name, "cairn")
        self.assertEqual(gen_hypercalls.main(["", DESCRIPTION, self.include]), 0)

    def compile(self, text, *options, compiler="gcc"):
        """The disassembly of an object file."""
        output = os.path.join(self.directory.name, "x.o")
        command = [compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-x", "c", "-c", "-",
                   "-o", output, "-I", self.directory.name, "-I", f"{TOP}/kernel/abi", *options]
        subprocess.run(command, input=text, text=True, check=True, capture_output=True)
        return subprocess.run(["objdump", "-d", "--no-show-raw-insn", output], text=True, check=True,
                              stdout=subprocess.PIPE).stdout

    def test_arguments_lie_in_the_registers_of_the_interface(self):
        for compiler in ("gcc", "clang"):
            code = self.compile(PROGRAM, compiler=compiler)
            body = code.split("<call>:")[1].split("syscall")[0]
            for register, value in zip(["edi", "esi", "edx", "r10d", "r8d", "r9d"], range(11, 17)):
                self.assertRegex(body, rf"mov +\${value:#x},%{register}", compiler)
            self.assertRegex(body, r"mov +\$0x10001,%eax")

    def test_results_are_stored_from_the_registers_of_the_interface(self):
        code = self.compile(PROGRAM, "-O1", "-fno-tree-slp-vectorize")
        body = code.split("<call>:")[1].split("syscall")[1].split("ret")[0]
        for register, offset in zip(["rdi", "rsi", "rdx", "r10", "r8"], ["", "0x8", "0x10", "0x18", "0x20"]):
            self.assertRegex(body, rf"mov +%{register},{offset}\(%\w+\)")

    def test_stub_without_arguments_costs_nothing_more(self):
        code = self.compile(PROGRAM)
        body = code.split("<identify>:")[1].split("ret")[0]
        self.assertEqual(len(re.findall(r":\t\w", body)), 3)

    def test_status_must_be_used(self):
        with self.assertRaises(subprocess.CalledProcessError) as caught:
            self.compile("#include <cairn/hypercalls.h>\nvoid f(void);\nvoid f(void)\n"
                         "{\n\tcairn_signal(1);\n}\n")
        self.assertIn("warn_unused_result", caught.exception.stderr)

    def test_numbers_serve_the_assembler_too(self):
        subprocess.run(["gcc", "-x", "assembler-with-cpp", "-c", "-", "-o", "/dev/null", "-I",
                        self.directory.name], check=True, text=True,
                       input="#include <cairn/hypercall_numbers.h>\n"
                       "mov $CAIRN_CALL_BASE + CAIRN_CALL_WAIT, %eax\n")

    def test_unchanged_headers_keep_their_content(self):
        path = os.path.join(self.include, "hypercalls.h")
        with open(path, encoding="utf-8") as file:
            before = file.read()
        gen_hypercalls.main(["", DESCRIPTION, self.include])
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), before)

    def refused(self, change, words):
        """A changed description is an error."""
        with open(DESCRIPTION, "rb") as file:
            interface = tomllib.load(file)
        change(interface["call"])
        with self.assertRaises(gen_hypercalls.BadInterface) as caught:
            gen_hypercalls.check(interface)
        self.assertIn(words, str(caught.exception))

    def test_gap_in_the_numbers(self):
        self.refused(lambda calls: calls[3].update(number=99), "the next one is 3")

    def test_name_used_twice(self):
        self.refused(lambda calls: calls[3].update(name="call"), "named twice")

    def test_too_many_arguments(self):
        self.refused(lambda calls: calls[3].update(args=list("abcdefg")), "more than 6")

    def test_too_many_results(self):
        self.refused(lambda calls: calls[3].update(results=list("abcdef")), "more than 5")

    def test_unknown_key(self):
        self.refused(lambda calls: calls[3].update(note="x"), "keys must be")


if __name__ == "__main__":
    unittest.main()
