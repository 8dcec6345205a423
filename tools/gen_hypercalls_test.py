# SPDX-License-Identifier: BSD-2-Clause
"""The generated stubs compile, use the registers the interface names, and refuse a contradictory description."""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
import unittest

import gen_hypercalls

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DESCRIPTION = os.path.join(TOP, "kernel", "abi", "hypercalls.toml")
MANUAL = os.path.join(TOP, "docs", "manual", "hypercalls.md")
TESTS = os.path.join(TOP, "apps", "tests")

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

    def test_argument_without_a_kind(self):
        self.refused(lambda calls: calls[3].update(kinds=[]), "1 names but 0 kinds")

    def test_unknown_kind(self):
        for kind in ("Thred SIGNAL", "bits 7", "1..", "one of", "SIGNAL Thread"):
            self.refused(lambda calls, kind=kind: calls[3].update(kinds=[kind]), "unknown kind")

    def test_a_program_may_record_what_is_answered(self):
        code = self.compile("#include <cairn/hypercalls.h>\ncairn_status_t f(void);\n"
                            "cairn_status_t f(void)\n{\n\treturn cairn_signal(1);\n}\n",
                            "-DCAIRN_HYPERCALLS_RECORDER=note_it", "-mcmodel=large", "-fno-pie")
        self.assertRegex(code, r"syscall")
        self.assertRegex(code, r"mov +\$0x3,%edi")


class Kinds(unittest.TestCase):
    """What stands in `kinds`."""

    def test_each_form_is_read(self):
        for text, kind in (("number", ("number",)), ("user address", ("user address",)),
                           ("0..16", ("range", 0, 16)), ("one of 1 2 4", ("one", [1, 2, 4])),
                           ("bits 0x3f", ("bits", 0x3f)), ("capability", ("selector", [], [])),
                           ("Frame READ WRITE", ("selector", ["Frame"], ["READ", "WRITE"])),
                           ("Thread or VCpu CONTROL", ("selector", ["Thread", "VCpu"], ["CONTROL"]))):
            self.assertEqual(gen_hypercalls.read_kind(text), kind)


class Manual(unittest.TestCase):
    """The manual must have a section for each call, with its arguments, results and errors, and no others."""

    def setUp(self):
        self.calls = gen_hypercalls.check(gen_hypercalls.read(DESCRIPTION))
        with open(MANUAL, encoding="utf-8") as file:
            self.text = file.read()

    def refused(self, text, words):
        with self.assertRaises(gen_hypercalls.BadInterface) as caught:
            gen_hypercalls.check_manual(self.calls, text)
        self.assertIn(words, str(caught.exception))

    def test_it_is_as_it_must_be(self):
        gen_hypercalls.check_manual(self.calls, self.text)

    def test_section_is_missing(self):
        self.refused(self.text.replace("## irq_ack", "## irq_ark"), "irq_ack has no section")

    def test_error_is_missing(self):
        self.refused(self.text.replace("| `DEPTH` |", "| depth |"), "the section of call lacks error DEPTH")

    def test_error_that_never_comes(self):
        self.refused(self.text.replace("| `DEPTH` |", "| `DEPTH`, `POISON` |"), "has error POISON")

    def test_argument_that_is_none(self):
        self.refused(self.text.replace("| `deadline` |", "| `deadline` `limit` |"), "has argument limit")

    def test_results_in_another_order(self):
        self.refused(self.text.replace("| `bits` |", "| bits |"), "lacks result bits")

    def test_skeleton_satisfies_it(self):
        text = "\n".join(gen_hypercalls.skeleton(call) for call in self.calls)
        gen_hypercalls.check_manual(self.calls, text)


class Table(unittest.TestCase):
    """apps/tests/gen_table.py demands a test for each call."""

    def run_table(self, text):
        with tempfile.TemporaryDirectory() as directory:
            source = os.path.join(directory, "tests.c")
            with open(source, "w", encoding="utf-8") as file:
                file.write(text)
            return subprocess.run([sys.executable, os.path.join(TESTS, "gen_table.py"), DESCRIPTION,
                                   os.path.join(directory, "table.h"), source],
                                  capture_output=True, text=True, check=False)

    def all_tests(self):
        calls = gen_hypercalls.check(gen_hypercalls.read(DESCRIPTION))
        return "".join(f"HYPERCALL_TEST({call['name']})\n{{\n}}\n" for call in calls)

    def test_all_calls_have_one(self):
        self.assertEqual(self.run_table(self.all_tests()).returncode, 0)

    def test_call_without_one(self):
        done = self.run_table(self.all_tests().replace("HYPERCALL_TEST(recall)", "void test_recall(void)"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("hypercall recall has no test; write HYPERCALL_TEST(recall)", done.stderr)

    def test_test_without_a_call(self):
        done = self.run_table(self.all_tests() + "HYPERCALL_TEST(frobnicate)\n{\n}\n")
        self.assertIn("tests no hypercall", done.stderr)


if __name__ == "__main__":
    unittest.main()
