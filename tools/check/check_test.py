# SPDX-License-Identifier: BSD-2-Clause
"""The checks can fail: each is shown something wrong."""

import io
import os
import tempfile
import time
import unittest
from unittest import mock

from check import analysis, boots, builds, cli, fuzz, loops, machines, models, reproducible, run, source, stack, units
from check.report import Report


class Disassembly(unittest.TestCase):
    """What objdump prints of a kernel."""

    def test_indirect_branches(self):
        direct = "10 <boot_64>:\n  10:\tcall   *%rax\n20 <a>:\n  20:\tcall   10 <boot_64>\n  25:\tret\n"
        self.assertEqual(builds.indirect_branches(direct), [])
        for branch in ("jmp    *-0x7fef1438(,%rax,8)", "call   *%rax", "notrack jmp *%rcx", "callq  *0x8(%rdi)"):
            self.assertEqual(builds.indirect_branches(f"{direct}30 <b>:\n  30:\t{branch}\n"), ["b"])


class Models(unittest.TestCase):
    """What a model's head says, and what its verifier prints."""

    HEAD = "/*\n * run one: -DTWO=1\n * mutation LATE one: too late\n */\n#ifndef TWO\n#define TWO 0\n#endif\n"
    END = "   12 states, stored\n   34 transitions (= stored+matched)\n"

    def test_head(self):
        model = models.Model("m", self.HEAD + "#ifdef LATE\n")
        self.assertEqual((model.problem(), model.runs, model.mutations),
                         ("", {"one": (["-DTWO=1"], False)}, [("LATE", "one")]))
        self.assertIn("LATE", models.Model("m", self.HEAD).problem())
        self.assertIn("EARLY", models.Model("m", self.HEAD + "#ifdef LATE\n#ifndef EARLY\n").problem())
        self.assertIn("names no run", models.Model("m", "").problem())
        lost = self.HEAD.replace("LATE one", "LATE two") + "#ifdef LATE\n"
        self.assertIn("LATE (two)", models.Model("m", lost).problem())

    def test_verdict(self):
        clean = f"State-vector 8 byte, depth reached 9, errors: 0\n{self.END}"
        broken = f"pan:1: assertion violated x (at depth 7)\nState-vector 8 byte, errors: 1\n{self.END}"
        self.assertEqual(models.judge(clean, None), ("", "12 states, 34 transitions"))
        self.assertEqual(models.judge(broken, None)[0], "SPIN found: assertion violated x")
        self.assertEqual(models.judge(clean, "LATE")[0], "the fault is not found")
        self.assertEqual(models.judge(broken, "LATE"), ("", "found: assertion violated x"))
        self.assertIn("cut short", models.judge(f"Warning: Search not completed\n{clean}", None)[0])
        self.assertIn("did not say", models.judge("", None)[0])


class Fuzz(unittest.TestCase):
    """What the fuzz server and the benchmarks print."""

    GOOD = [("ok no-invariant-is-violated", None), ("fuzz: retype  10 made,  4 accepted, 40.0 %", None),
            ("ok all-calls-were-made", None), ("", boots.CLEAN_END)]

    def test_a_run(self):
        said, reason = fuzz.judge_lines(self.GOOD)
        self.assertEqual((len(said), reason), (3, ""))
        self.assertIn("all calls", fuzz.judge_lines([*self.GOOD[:2], self.GOOD[3]])[1])
        self.assertIn("exit status", fuzz.judge_lines([*self.GOOD[:3], ("", 3)])[1])
        failed = ("FAIL map-is-accepted-often-enough: hardly ever", None)
        self.assertEqual(fuzz.judge_lines([failed, *self.GOOD])[1], failed[0])

    def test_a_replay_is_the_run(self):
        for asked in (*fuzz.SHORT, *fuzz.LONG, *fuzz.AGAIN, fuzz.Run(3, 4, 5, "amd", 2, False)):
            words = dict(word.split("=") for word in asked.replay().split() if "=" in word)
            self.assertEqual(fuzz.named_run(words), asked)
        self.assertIsNone(fuzz.named_run({}))

    def test_ten_and_a_hundred_million_calls(self):
        self.assertEqual(sum(asked.calls for asked in fuzz.SHORT), 10_000_000)
        self.assertEqual(sum(asked.calls for asked in fuzz.LONG), 100_000_000)
        self.assertGreaterEqual(max(asked.watched for asked in fuzz.SHORT), 100_000)

    def test_bench_figures(self):
        lines = ["x fuzz: 100 calls, 2 looks", "[a] bench signal 5", "fuzz: 1200 calls, 3 looks", "bench null_syscall 7 "]
        self.assertEqual(fuzz.bench_figures(lines), ({"signal": 5, "null_syscall": 7}, 1100))

    def test_figures_that_move(self):
        plain = {name: 1 for name in fuzz.FIGURES}
        self.assertEqual(fuzz.compare_figures(plain, dict(plain), 1000), "")
        self.assertIn("signal: 1 alone, 2", fuzz.compare_figures(plain, plain | {"signal": 2}, 1000))
        self.assertIn("made 999", fuzz.compare_figures(plain, plain, 999))
        self.assertIn("not measured: signal", fuzz.compare_figures(plain, {n: 1 for n in plain if n != "signal"}, 1000))


class Machines(unittest.TestCase):
    """What a machine prints, and how it ends."""

    def verdict(self, machine, *lines, status=1):
        """On these lines and that end."""
        return machines.verdict(machine, iter([*((line, None) for line in lines), ("", status)]))

    def test_tests(self):
        machine = machines.Machine(sights=("ids 0 2$",))
        good = ("root: APIC ids 0 2", "tests: ok a", "tests: 1 ok, 0 failed")
        self.assertEqual(self.verdict(machine, *good), "")
        self.assertEqual(self.verdict(machine, "ids 0 2 6", *good[1:]), "nobody printed `ids 0 2$`")
        self.assertEqual(self.verdict(machine, good[0], "tests: FAIL a: why", good[1]), "tests: FAIL a: why")
        self.assertEqual(self.verdict(machine, good[0]), "no test passed")
        self.assertIn("status is 3", self.verdict(machine, *good, status=3))

    def test_others(self):
        refused = machines.Machine(sights=("no guests",), end=machines.CANNOT_RUN)
        self.assertEqual(self.verdict(refused, "no guests", status=5), "")
        self.assertIn("status is 1", self.verdict(refused, "no guests"))
        self.assertIn("nobody printed", self.verdict(refused, status=5))
        endless = machines.Machine(sights=("stands still",), end=None)
        self.assertEqual(machines.verdict(endless, iter([("stands still", None)] * 2)), "")
        self.assertIn("status is 0", self.verdict(endless, status=0))

    def test_command(self):
        """Each machine has its medium, its firmware and its table."""
        for machine in machines.MACHINES.values():
            words = machines.command(machine, {machine.medium: "MEDIUM"}, "TABLE")
            self.assertEqual("MEDIUM" in " ".join(words), True)
            self.assertEqual(machines.OVMF in words, machine.uefi)
            self.assertEqual("file=TABLE" in words, bool(machine.spcr))

    def test_spcr(self):
        table = machines.spcr(0x2f8, 3)
        self.assertEqual((len(table), sum(table) & 0xff, table[:4], table[44:46]), (80, 0, b"SPCR", b"\xf8\x02"))
class Stacks(unittest.TestCase):
    """Machine code as objdump prints it."""

    @staticmethod
    def code(text):
        """Code without a file."""
        code = stack.Code.__new__(stack.Code)
        code.load(text)
        return code

    def test_depth(self):
        code = self.code("0000000000000010 <f>:\n  10:\tpush   %rbx\n  11:\tsub    $0x20,%rsp\n  15:\tje     1a <f+0xa>\n"
                         "  17:\tcall   30 <g>\n  1a:\tadd    $0x20,%rsp\n  1e:\tpop    %rbx\n  1f:\tret\n"
                         "0000000000000030 <g>:\n  30:\tpush   $0x2\n  32:\tpop    %rax\n  33:\tret\n")
        self.assertEqual(code.worst(0x10), (8 + 32 + 8 + 8, ["f", "g"], True))
        self.assertEqual(code.own(0x10), 8 + 8 + 32)

    def test_recursion(self):
        code = self.code("0000000000000010 <f>:\n  10:\tcall   20 <g>\n  15:\tret\n"
                         "0000000000000020 <g>:\n  20:\tcall   10 <f>\n  25:\tret\n")
        with self.assertRaisesRegex(stack.Loops, "f calls g calls f"):
            code.worst(0x10)

    def test_no_return(self):
        code = self.code("0000000000000010 <f>:\n  10:\tcall   20 <stop>\n0000000000000015 <other>:\n  15:\tsub    $0x800,%rsp\n"
                         "  1c:\tret\n0000000000000020 <stop>:\n  20:\thlt\n  21:\tjmp    20 <stop>\n")
        self.assertEqual(code.worst(0x10)[0], 8)

    def test_unknown(self):
        for text in ("mov    %rax,%rbx\n  13:\tcall   *%rax", "xchg   %rax,%rsp"):
            with self.assertRaises(stack.Unknown):
                self.code(f"0000000000000010 <f>:\n  10:\t{text}\n  18:\tret\n").worst(0x10)

    def test_float(self):
        code = self.code("0000000000000010 <f>:\n  10:\tfxsave64 (%rdi)\n  15:\tmovaps %xmm0,%xmm1\n  18:\tfadds  (%rax)\n"
                         "  1b:\tmov    %fs:0x0,%rax\n")
        self.assertEqual(list(analysis.float_uses(code)), ["f: movaps %xmm0,%xmm1", "f: fadds (%rax)"])


class Bounds(unittest.TestCase):
    """Loops and what is said of them."""

    def found(self, body):
        """(head, bound) of the loops in a function."""
        loop_list = loops.c_loops(f"static void f(int a)\n{{\n{body}\n}}\n")
        self.assertTrue(all(name == "f" for name, *_ in loop_list))
        return [(head, bound) for _, head, bound, _ in loop_list]

    def test_own(self):
        self.assertEqual(self.found("\tfor (i = 0; i < CPU_MAX; i++)\n\t\tx();"), [("for (i = 0; i < CPU_MAX; i++)", "CPU_MAX")])
        self.assertEqual(self.found("\tfor (i = 0; i <= 3 && y; i++)\n\t\tx();")[0][1], "3 + 1")
        self.assertEqual(self.found("\tfor (i = 0; i < n; i++)\n\t\tx();")[0][1], "")
        self.assertEqual(self.found("\tfor (i = 0; i < CPU_MAX; i += step)\n\t\tx();")[0][1], "")

    def test_said(self):
        self.assertEqual(self.found("\twhile (x()) /* bound: 4 */\n\t\t;"), [("while (x())", "4")])
        self.assertEqual(self.found("\t/* bound: 4 */\n\twhile (x())\n\t\t;"), [("while (x())", "4")])
        nested = self.found("\twhile (x()) { /* bound: 4 */\n\t\twhile (y())\n\t\t\t;\n\t}")
        self.assertEqual(nested, [("while (x())", "4"), ("while (y())", "")])

    def test_do(self):
        self.assertEqual(self.found("\tdo { /* bound: 2 */\n\t\tx();\n\t} while (y);"), [("do … while (y)", "2")])

    def test_words(self):
        self.assertEqual(self.found('\t/* while (x) */\n\tx("for (;;)");'), [])

    def test_assembler(self):
        text = "f:\n1:\tnop\n\tjne 1b  /* bound: 7 */\n\tjmp f\n\tje f\n"
        self.assertEqual([(head, bound) for _, head, bound, _ in loops.asm_loops(text)], [("jne 1b", "7"), ("je f", "")])


class Reproducible(unittest.TestCase):
    """Two builds are compared byte by byte."""

    def test_difference(self):
        with tempfile.TemporaryDirectory() as directory:
            one, two = os.path.join(directory, "1"), os.path.join(directory, "2")
            cases = ((b"", b"", None), (b"same", b"same", None), (b"some", b"same", 1), (b"long", b"longer", 4),
                     (bytes(reproducible.CHUNK) + b"a", bytes(reproducible.CHUNK) + b"b", reproducible.CHUNK))
            for first, second, offset in cases:
                for path, data in ((one, first), (two, second)):
                    with open(path, "wb") as file:
                        file.write(data)
                said = reproducible.difference(one, two)
                self.assertEqual(said == "", offset is None)
                self.assertTrue(offset is None or f"offset {offset:#x} on" in said)

    def test_results(self):
        with tempfile.TemporaryDirectory() as directory:
            for name, text in (("products.txt", "a.elf\n"), ("clang/products.txt", "a.elf\n"), ("images/x.elf", ""),
                               ("images/x.elf.stamp", ""), ("images/x.iso", "")):
                os.makedirs(os.path.dirname(os.path.join(directory, name)), exist_ok=True)
                with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                    file.write(text)
            self.assertEqual(reproducible.results(directory), ["a.elf", "clang/a.elf", "images/x.elf", "images/x.iso"])


class Tree(unittest.TestCase):
    """Rules, sizes and the manual on small made-up trees."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        for target in ("check.source.TOP",):
            patch = mock.patch(target, self.directory.name)
            patch.start()
            self.addCleanup(patch.stop)

    def put(self, name, text):
        """Writes a file of the tree."""
        path = os.path.join(self.directory.name, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def found(self, rule, files):
        """What a rule says about files."""
        for name, text in files.items():
            self.put(name, text)
        return list(rule(list(files)))

    def test_core_may_not_see_arch(self):
        files = {"kernel/core/a.c": '#include <stdint.h>\n#include <cairn/types.h>\n#include "x.h"\n',
                 "kernel/core/x.h": "", "kernel/abi/cairn/types.h": "", "kernel/arch/y.h": ""}
        self.assertEqual(self.found(source.rule_core, files), [])
        files["kernel/core/b.c"] = '#include "arch/y.h"\n'
        self.assertEqual(self.found(source.rule_core, files), ["kernel/core/b.c includes arch/y.h"])
        files["kernel/core/b.c"] = "#include <stdio.h>\n"
        self.assertEqual(self.found(source.rule_core, files), ["kernel/core/b.c includes stdio.h"])

    def test_backends_may_not_see_each_other(self):
        files = {"kernel/arch/svm/a.c": '#include "../vmx/b.h"\n', "kernel/arch/vmx/b.h": ""}
        self.assertEqual(len(self.found(source.rule_backends, files)), 1)
        files["kernel/arch/svm/a.c"] = '#include "c.h"\n'
        self.assertEqual(self.found(source.rule_backends, files), [])

    def test_servers_may_not_see_the_kernel_or_each_other(self):
        files = {"vmm-server/a.c": '#include "../kernel/core/b.h"\n', "kernel/core/b.h": "",
                 "mca-server/c.c": '#include "../vmm-server/d.h"\n', "vmm-server/d.h": ""}
        self.assertEqual(len(self.found(source.rule_servers, files)), 2)

    def test_file_without_licence_line(self):
        files = {"a.c": "int x;\n", "b.py": "#!/x\n# SPDX-License-Identifier: BSD-2-Clause\n"}
        self.assertEqual(self.found(source.rule_spdx, files), ["a.c has no SPDX line"])

    def test_file_without_purpose(self):
        head = "/* SPDX-License-Identifier: BSD-2-Clause */\n"
        files = {"a.c": head + "#include <x.h>\n", "b.c": head + "/* What for. */\n"}
        self.assertEqual(self.found(source.rule_purpose, files), ["a.c does not say what it is for"])

    def test_text_that_names_an_issue_or_a_machine(self):
        bad = "see iss" + "ue 12\n/" + "work/main/x\n(fixes #" + "34)\n"
        self.assertEqual(len(self.found(source.rule_neutral, {"a.md": bad})), 3)
        good = "the #PF of page 3, a#1, colour #" + "123456\n"
        self.assertEqual(self.found(source.rule_neutral, {"a.md": good}), [])

    def test_comments_and_blank_lines_are_no_code(self):
        self.put("a.c", '/* one\n * two\n */\n\nint x; // three\nchar *y = "/* no */";\n')
        self.assertEqual(source.code_lines("a.c"), 2)

    def test_hypercall_without_section_in_the_manual(self):
        self.put("kernel/abi/hypercalls.toml", '[[call]]\nname = "wait"\nargs = ["deadline"]\n'
                 'results = []\nerrors = ["TIMEOUT"]\n[[call]]\nname = "copy"\nargs = []\n'
                 "results = []\nerrors = []\n")
        self.put("docs/manual/a.md", "# Calls\n## wait\nUp to `deadline`.\n")
        out = io.StringIO()
        with mock.patch("check.source.sources", lambda: ["docs/manual/a.md"]):
            report = Report(out)
            source.stage_manual(report)
        self.assertEqual((report.passed, report.failed), (0, 2))
        self.assertIn("does not mention TIMEOUT", out.getvalue())
        self.assertIn("no section", out.getvalue())


class Programs(unittest.TestCase):
    """Verdicts read from what programs print."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        patch = mock.patch("check.run.LOGS", self.directory.name)
        patch.start()
        self.addCleanup(patch.stop)
        self.out = io.StringIO()
        self.report = Report(self.out)

    def script(self, text):
        """An executable."""
        path = os.path.join(self.directory.name, "program")
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/bash\n" + text)
        os.chmod(path, 0o755)
        return path

    def counts(self):
        """(passed, failed, skipped)"""
        return self.report.passed, self.report.failed, self.report.skipped

    def cmocka(self, text):
        """The counts for a program of tests."""
        units.run_cmocka(self.report, "x", self.script(text))
        return self.counts()

    def test_cmocka_verdicts(self):
        text = ('echo "[ RUN      ] a"; echo "[       OK ] a"; echo "[ RUN      ] b";'
                'echo "[  FAILED  ] b"; echo "[  FAILED  ] tests: 1 test(s), listed below:"; exit 1')
        self.assertEqual(self.cmocka(text), (1, 1, 0))

    def test_cmocka_program_that_dies(self):
        self.assertEqual(self.cmocka('echo "[ RUN      ] a"; kill -9 $$'), (0, 1, 0))

    def test_cmocka_program_that_fails_after_its_tests(self):
        text = 'echo "[ RUN      ] a"; echo "[       OK ] a"; exit 3'
        self.assertEqual(self.cmocka(text), (1, 1, 0))

    def test_cmocka_program_without_tests(self):
        self.assertEqual(self.cmocka("exit 0"), (0, 1, 0))

    def target(self, text, status, *sights):
        """The counts for a boot that prints text."""
        command = [self.script(f"{text}\nexit {status}")]
        boots.run_target(self.report, "x", command, sights)
        return self.counts()

    def test_target_verdicts(self):
        self.assertEqual(self.target("echo '[system] tests: ok one'; echo 'ok two'", 1), (2, 0, 0))

    def test_target_failure(self):
        self.assertEqual(self.target("echo '[system] tests: FAIL one: got 3'; echo ok two", 3),
                         (1, 1, 0))

    def test_target_that_ends_before_its_end(self):
        self.assertEqual(self.target("echo ok one", 0), (1, 1, 0))

    def test_target_that_is_not_what_it_should_be(self):
        text = "echo 'root: 2 CPU(s): APIC ids 0 1'; echo ok one"
        self.assertEqual(self.target(text, 1, "2 CPU(s)"), (1, 0, 0))
        self.assertEqual(self.target(text, 1, "2 CPU(s)", "built anew"), (2, 1, 0))

    def test_target_that_says_nothing(self):
        self.assertEqual(self.target("", 1), (0, 1, 0))

    def test_time_limit(self):
        with mock.patch("check.boots.TARGET_LIMIT", 0.2):
            self.assertEqual(self.target("echo ok one; sleep 60", 1), (1, 1, 0))

    def test_jobs_at_once(self):
        self.assertEqual(sorted(run.at_once((pow, 2, n) for n in range(9))), [2 ** n for n in range(9)])

    def test_one_that_raises_ends_the_others(self):
        log = os.path.join(self.directory.name, "log")
        marker = os.path.join(self.directory.name, "marker")
        going = os.path.join(self.directory.name, "going")

        def fail():
            end = time.monotonic() + 30
            while not os.path.exists(going) and time.monotonic() < end:
                time.sleep(0.01)
            raise ZeroDivisionError

        slow = (run.run, [self.script(f"touch {going}; sleep 60; touch {marker}")], log, 100.0)
        with self.assertRaises(ZeroDivisionError):
            list(run.at_once([slow, (fail,)]))
        self.assertFalse(os.path.exists(marker))

    def test_nothing_outlives_the_time_limit(self):
        log = os.path.join(self.directory.name, "log")
        marker = os.path.join(self.directory.name, "marker")
        command = [self.script(f"(sleep 1; touch {marker}) & sleep 60")]
        self.assertIn("no end within", run.run(command, log, 0.2))
        with self.assertRaises(run.TooLong):
            for _ in run.lines_of(["sleep", "1.5"], log, 1.4):
                pass
        self.assertFalse(os.path.exists(marker))

    def test_program_that_does_not_exist(self):
        self.assertIn("nowhere", run.run(["/nowhere"], os.path.join(self.directory.name, "log"), 1))

    def test_figures_are_read_from_json_lines(self):
        log = os.path.join(self.directory.name, "log")
        with open(log, "w", encoding="utf-8") as file:
            file.write('table\n{"name": "signal", "instructions": 7}\n{broken\n{"other": 1}\n')
        self.assertEqual(boots.figures(log), {"signal": 7})

    def test_scenarios_are_read_from_the_list(self):
        log = os.path.join(self.directory.name, "log")
        script = self.script("echo 'linux-shell  a shell (amd)'; echo 'ce  x (intel, amd; one CPU)'")
        with mock.patch("check.boots.SIMULATE", script):
            runs, reason = boots.scenario_runs(log)
        self.assertEqual((runs, reason), ([("linux-shell", 1), ("linux-shell", 4), ("ce", 1)], ""))
        with mock.patch("check.boots.SIMULATE", self.script("exit 1")):
            self.assertEqual(boots.scenario_runs(log)[0], [])

    def test_last_line_counts(self):
        self.report.ok("a", 1)
        self.report.fail("b", 1, "why")
        self.report.skip("c", "why")
        self.report.summary()
        self.assertEqual(self.out.getvalue().splitlines()[-1], "1 passed, 1 failed, 1 skipped")

    def test_exit_status_says_whether_any_failed(self):
        def stage(fails):
            def body(report):
                """A stage."""
                report.judge("x", 0, "why" if fails else "")
            return body
        with mock.patch("check.cli.STAGES", {"a": stage(False), "b": stage(True)}), mock.patch(
                "sys.stdout", io.StringIO()):
            self.assertEqual(cli.main([]), 1)
            self.assertEqual(cli.main(["--stage", "a"]), 0)


if __name__ == "__main__":
    unittest.main()
