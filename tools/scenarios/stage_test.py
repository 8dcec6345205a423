# SPDX-License-Identifier: BSD-2-Clause
"""A bystander's sequence with a gap or a wrong hash is found; the waiting harness sees what is printed and no more."""

import itertools
import pathlib
import socket
import tempfile
import types
import unittest

from scenarios import kernel_tables, runner, stage
from simulate.console import Console, Unexpected
from simulate.inject import KINDS, RULES


def steps(count):
    return list(zip(range(1, count + 1), itertools.islice(stage.expected_hashes(), count)))


class Tables(unittest.TestCase):
    TEXT = "\n".join((
        "0000000000400000: 0000000002400000 ----A--U-",
        "0000100000000000: 0000000004000000 X-PDA--UW",
        "ffff800000123000: 0000000000123000 X--DA---W",
        "ffff808000000000: 000000003fa00000 X-PDA---W",
        "ffffffff80100000: 0000000000100000 ----A----",
    ))

    def wrong(self, text, foreign=((0x4000000, 0x5000000, "RAM of linux-1"),)):
        return kernel_tables.mistakes(kernel_tables.parse(text), list(foreign))

    def test_right_tables_pass(self):
        self.assertEqual(len(kernel_tables.parse(self.TEXT)), 5)
        self.assertEqual(self.wrong(self.TEXT), [])

    def test_each_mistake_is_found(self):
        for line, wanted in (
            ("0000000000500000: 0000000002500000 ---DA--UW", "writable and executable"),
            ("ffffffff80200000: 0000000000200000 ---DA---W", "writable and executable"),
            ("ffff800000124000: 0000000000124000 X--DA--UW", "user level's"),
            ("ffff800004123000: 0000000004123000 X--DA---W", "RAM of linux-1"),
            ("ffff808000200000: 0000000003f00000 X-PDA---W", "RAM of linux-1"),
        ):
            self.assertRegex("; ".join(self.wrong(self.TEXT + "\n" + line)), wanted)


class Sequence(unittest.TestCase):
    def test_the_right_sequence_passes(self):
        self.assertEqual(stage.check_steps([]), 0)
        self.assertEqual(stage.check_steps(steps(3)), 3)

    def test_a_gap_is_found(self):
        wrong = steps(3)
        del wrong[1]
        with self.assertRaisesRegex(Unexpected, "a gap"):
            stage.check_steps(wrong)

    def test_a_wrong_or_failed_step_is_found(self):
        for digest in ("00000000", None):
            wrong = steps(2)
            wrong[1] = (2, digest)
            with self.assertRaisesRegex(Unexpected, "is right"):
                stage.check_steps(wrong)

    def test_a_repeated_step_is_found(self):
        with self.assertRaises(Unexpected):
            stage.check_steps(steps(2) + steps(2)[1:])


class Waiting(unittest.TestCase):
    def setUp(self):
        ours, self.machine_side = socket.socketpair()
        machine = types.SimpleNamespace(console=ours, complaint=lambda: "no message")
        self.directory = tempfile.TemporaryDirectory()
        self.transcript = pathlib.Path(self.directory.name) / "transcript.txt"
        self.console = Console(machine, ["linux-1", "linux-2"], self.transcript)

    def tearDown(self):
        self.machine_side.close()
        self.console.close()
        self.console.machine.console.close()
        self.directory.cleanup()

    def test_lines_are_found_by_source(self):
        self.machine_side.sendall(b"[linux-2] ready\r\n[linux-1] ready now\r\n[linux-1] par")
        match, position = self.console.wait_for("ready.*", "linux-1", timeout=10)
        self.assertEqual((match[0], position), ("ready now", 2))
        self.console.wait_until(lambda: self.console.tail.endswith("par"), "the unfinished line", 10)

    def test_what_is_not_printed_is_not_seen(self):
        self.machine_side.sendall(b"[linux-2] done 0 1\n")
        with self.assertRaisesRegex(Unexpected, "not seen within"):
            self.console.wait_for("done 0 1", "linux-1", timeout=0.3)

    def test_waiting_ends_when_the_machine_does(self):
        self.machine_side.close()
        with self.assertRaisesRegex(Unexpected, "the machine ended"):
            self.console.wait_for("anything", timeout=30)

    def test_a_stopped_system_ends_the_wait_unless_expected(self):
        self.machine_side.sendall(b"cairn: stopped\n")
        with self.assertRaisesRegex(Unexpected, "something went wrong"):
            self.console.wait_for("anything", timeout=30)
        self.console.expect("cairn: stopped")
        self.console.wait_for("cairn: stopped", timeout=10)

    def test_typing_selects_the_vm_once(self):
        self.console.type("linux-2", "one")
        self.console.type("linux-2", "two")
        self.console.type("linux-1", "three")
        self.assertEqual(self.machine_side.recv(100), b"\x1d2one\ntwo\n\x1d1three\n")

    def test_the_transcript_has_lines_and_notes(self):
        self.console.note("a step")
        self.machine_side.sendall(b"[linux-1] x\n")
        self.console.wait_for("x", "linux-1", timeout=10)
        text = self.transcript.read_text()
        self.assertIn(">>> a step", text)
        self.assertIn("[linux-1] x", text)


class Targets(unittest.TestCase):
    LINES = ("vm linux-1: on CPU 1", "vm linux-1: guest-physical 0x0..0x1000 at system-physical 0x5000",
             "vm linux-2: on CPU 2", "vm linux-2: guest-physical 0x0..0x1000 at system-physical 0x7000")

    def make(self):
        play = stage.Stage("x", "intel", 1, "debug", pathlib.Path("."), 4)
        play.vms = ["linux-1", "linux-2"]
        play.machine = types.SimpleNamespace(settings=types.SimpleNamespace(cpus=4), stop=lambda: None)
        play.console = types.SimpleNamespace(texts=lambda: list(self.LINES))
        return play

    def test_a_consumed_error_is_seen_by_its_consumer(self):
        play = self.make()
        self.assertEqual({play._target("srar", 0x7123) for _ in range(50)}, {2})
        play.anywhere = False
        self.assertEqual({play._target("srao", 0x5123) for _ in range(50)}, {1})
        self.assertEqual({play._target("srao", 0x9000) for _ in range(50)}, {1})

    def test_any_cpu_may_see_another_error(self):
        play = self.make()
        self.assertEqual({play._target("srao", 0x5123) for _ in range(200)}, {0, 1, 2, 3})


class Scenarios(unittest.TestCase):
    def test_each_is_complete_and_listed(self):
        for name in runner.MODULES:
            module = runner.load(name)
            self.assertTrue(callable(module.run) and set(module.CPUS) <= set(RULES) and module.SUMMARY)
            self.assertIn(name, runner.listing())

    def test_every_kind_of_error_has_a_scenario(self):
        names = " ".join(runner.MODULES)
        for kind in KINDS:
            self.assertIn(f"mce-{kind}", names)


if __name__ == "__main__":
    unittest.main()
