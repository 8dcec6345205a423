# SPDX-License-Identifier: BSD-2-Clause
"""Keys, descriptions made for payloads, exit statuses: what an interactive run does without running anything."""

import contextlib
import io
import pathlib
import subprocess
import tempfile
import tomllib
import types
import unittest
from unittest import mock

from simulate import bench, cli, machine, run
from simulate.errors import SimulateError
from simulate.terminal import Keys, Session


class Typing(unittest.TestCase):
    def test_keys_go_to_the_machine(self):
        self.assertEqual(Keys().feed(b"ls\x03\x1d1"), (b"ls\x03\x1d1", False, False))

    def test_the_prefix_and_x_leave_also_when_they_come_one_by_one(self):
        keys = Keys()
        self.assertEqual(keys.feed(b"ab\x01"), (b"ab", False, False))
        self.assertEqual(keys.feed(b"xcd"), (b"", True, False))

    def test_the_prefix_itself_can_be_sent(self):
        self.assertEqual(Keys().feed(b"\x01a"), (b"\x01", False, False))
        self.assertEqual(Keys().feed(b"\x01\x01"), (b"\x01", False, False))
        self.assertEqual(Keys().feed(b"\x01k"), (b"\x01k", False, False))

    def test_help_is_shown(self):
        self.assertEqual(Keys().feed(b"\x01h"), (b"", False, True))


class Payloads(unittest.TestCase):
    def test_the_description_says_what_the_command_line_says(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(bytes(3 << 20))
            file.flush()
            path = pathlib.Path(file.name)
            text = run.payload_description(path, path, 'a="b\\c"', 2, 128, 3)
        data = tomllib.loads(text)
        vm = data["vm"][0]
        self.assertEqual(vm["cmdline"], 'a="b\\c"')
        self.assertEqual((vm["memory"], vm["vcpus"], data["system"]["cpus"]), ("128 MiB", 2, 3))
        self.assertTrue(vm["debug_exit"] and vm["end_system"])
        self.assertEqual(vm["initrd"], str(path))
        self.assertGreaterEqual(int(data["system"]["memory"].split()[0]), 128 + 512 + 6)

    def test_the_serial_console_is_the_default(self):
        text = run.payload_description(pathlib.Path(__file__), None, None, 1, 64, 1)
        self.assertEqual(tomllib.loads(text)["vm"][0]["cmdline"], "console=ttyS0")
        self.assertNotIn("initrd", tomllib.loads(text)["vm"][0])


class Ends(unittest.TestCase):
    def conclude(self, printed, status, left=False, stopped=False):
        session = types.SimpleNamespace(printed=printed.encode(), left=left, stopped=stopped)
        fake = types.SimpleNamespace(name="QEMU", serial_log="log", complaint=lambda: "nothing")
        with contextlib.redirect_stderr(io.StringIO()) as said:
            return run.conclude(session, status, fake), said.getvalue()

    def test_a_clean_end(self):
        self.assertEqual(self.conclude("x\r\n[system] root: system: ended (all VMs have stopped)\r\n", 1)[0], 0)

    def test_a_guests_debug_exit_is_handed_on(self):
        self.assertEqual(self.conclude("system: ended (vm guest: debug exit 5)", 11)[0], 11)

    def test_exit_status_0_of_the_emulator_proves_nothing(self):
        status, said = self.conclude("half a line", 0)
        self.assertEqual(status, run.STATUS_STOPPED)
        self.assertIn("did not say", said)

    def test_a_fatal_machine_check_is_reported(self):
        status, said = self.conclude("cairn: fatal machine check: cpu 0\r\ncairn: stopped\r\n", None, stopped=True)
        self.assertEqual(status, run.STATUS_FATAL_MACHINE_CHECK)
        self.assertIn("fatal machine check", said)

    def test_what_a_guest_prints_does_not_end_the_run(self):
        guest = "cairn: fatal machine check: cpu 0\r\ncairn: stopped\r\nsystem: ended (all VMs have stopped)"
        self.assertEqual(self.conclude(guest, 1)[0], 0)

    def test_the_words_need_a_cpu_that_stands_still(self):
        for still in (False, True):
            machine = types.SimpleNamespace(stands_still=lambda still=still: still)
            session = Session(machine, b"cairn: stopped")
            with open("/dev/null", "wb") as nowhere, contextlib.redirect_stdout(nowhere):
                self.assertTrue(session._show(b"x cairn: sto"))
                self.assertEqual(session._show(b"pped\r\n"), not still)
            self.assertEqual(session.stopped, still)

    def test_leaving_is_fine(self):
        self.assertEqual(self.conclude("anything", None, left=True)[0], 0)


class Targets(unittest.TestCase):
    LINES = ["vm a: on CPU 1", "vm a: guest-physical 0x0..0x1000 at system-physical 0x5000",
             "vm b: on CPU 3", "vm b: guest-physical 0x0..0x1000 at system-physical 0x7000"]

    def test_an_error_is_seen_where_its_vm_runs_unless_told(self):
        state = {"cpus": 4}
        self.assertEqual(run.target_cpu(state, None, self.LINES, 0x7FFF), 3)
        self.assertEqual(run.target_cpu(state, None, self.LINES, 0x5000), 1)
        self.assertEqual(run.target_cpu(state, None, self.LINES, 0x6000), 0)
        self.assertEqual(run.target_cpu(state, 2, self.LINES, 0x7FFF), 2)

    def test_a_cpu_that_is_not_there_is_refused(self):
        with self.assertRaisesRegex(SimulateError, "--on-cpu 4: the machine has 4"):
            run.target_cpu({"cpus": 4}, 4, self.LINES, 0x7FFF)


class Addresses(unittest.TestCase):
    def test_nonsense_is_refused(self):
        self.assertEqual(run.parse_address("0x1000"), 4096)
        with self.assertRaisesRegex(SimulateError, "not an address"):
            run.parse_address("12g")


class Payloads(unittest.TestCase):
    TEXT = run.payload_description(pathlib.Path("/etc/passwd"), None, None, 1, 256, 1)
    VALUES = {"--kernel": "/etc/passwd", "--guest-memory": 256}

    def sentence(self, key, mistake):
        line = next(i for i, line in enumerate(self.TEXT.splitlines(), 1) if line.startswith(key))
        return run.option_sentence(self.TEXT, f"/b/payload.toml:{line}: {mistake}\n", self.VALUES)

    def test_a_mistake_names_the_option_it_comes_from(self):
        self.assertEqual(self.sentence("kernel", "/etc/passwd is no kernel"), "--kernel /etc/passwd: is no kernel")
        self.assertEqual(self.sentence("memory", "too much"), "--guest-memory 256: too much")

    def test_other_mistakes_are_told_as_they_are(self):
        self.assertEqual(self.sentence("name", "is odd"), "is odd")
        self.assertEqual(run.option_sentence(self.TEXT, "/b: is not configured\n", self.VALUES), "/b: is not configured")


class CommandLine(unittest.TestCase):
    def check(self, *words):
        cli.check_combination(cli.parser().parse_args(words))

    def test_what_does_not_go_together_is_refused(self):
        for words in (["--gpa", "1"], ["--initrd", "x"], ["--scenario", "x", "--bench"], ["default", "--kernel", "x"],
                      ["--emulator", "bochs", "--list"], ["--emulator", "bochs", "--inject", "ce"],
                      ["--bench", "--memory", "512"], ["--seed", "3"], ["--bench", "--seed", "0"],
                      ["--guest-cpus", "2"], ["default", "--guest-memory", "128"], ["--bench", "--cpu", "amd"],
                      ["--inject", "ce", "--cpu", "intel"], ["--list", "--preset", "debug"], ["--list", "--cpus", "2"],
                      ["--bench", "--cpus", "2"], ["--on-cpu", "1"], ["--inject", "ce", "--on-cpu", "-1"],
                      ["--scenario", "x", "--memory", "512"]):
            with self.subTest(words=words), self.assertRaises(SimulateError):
                self.check(*words)

    def test_what_goes_together_is_accepted(self):
        self.check()
        self.check("systems/default.toml", "--cpu", "amd", "--memory", "2048")
        self.check("--inject", "srar", "--vm", "linux-1", "--gpa", "0x1000", "--on-cpu", "2")
        self.check("--scenario", "mce-srar", "--cpus", "4")
        self.check("--emulator", "bochs", "--scenario", "linux-shell")
        self.check("--kernel", "bzImage", "--initrd", "i", "--append", "", "--guest-memory", "128")
        self.check("--scenario", "mce-srar", "--seed", "0", "--cpu", "amd", "--preset", "debug")


class Emulator(unittest.TestCase):
    def test_the_number_of_cpus_has_limits(self):
        for number, accepted in (("1", True), ("64", True), ("0", False), ("65", False), ("x", False)):
            with self.subTest(number=number), contextlib.redirect_stderr(io.StringIO()):
                if accepted:
                    self.assertEqual(cli.parser().parse_args(["--cpus", number]).cpus, int(number))
                else:
                    self.assertRaises(SystemExit, cli.parser().parse_args, ["--cpus", number])

    def test_a_cpu_stands_still_when_it_is_halted_with_interrupts_off(self):
        text = "RIP={:016x} RFL={:08x} [-------] CPL={} II=0 A20=1 SMM=0 HLT={}"
        self.assertTrue(machine.is_halted_for_good(text.format(0x1000, 0x2, 0, 1)))
        for rflags, cpl, halted in ((0x202, 0, 1), (0x2, 0, 0), (0x2, 3, 1)):
            self.assertFalse(machine.is_halted_for_good(text.format(0x1000, rflags, cpl, halted)))

    def test_the_command_line_has_what_the_settings_say(self):
        settings = machine.Settings(cpu="amd", cpus=2, memory=512, kernel=pathlib.Path("k"))
        command = machine.command_line(settings, pathlib.Path("c"), [pathlib.Path("q")], pathlib.Path("l"))
        text = " ".join(command)
        for part in ("-cpu EPYC", "-smp 2", "-m 512", "-kernel k", "unix:q,", "path=c,"):
            self.assertIn(part, text)

    def test_a_measured_run_depends_on_no_peer(self):
        settings = machine.Settings(icount=True, kernel=pathlib.Path("k"))
        command = machine.command_line(settings, pathlib.Path("c"), [pathlib.Path("q")], pathlib.Path("l"))
        text = " ".join(command)
        self.assertIn("-icount shift=0,sleep=off", text)
        self.assertNotIn("unix:", text)
        self.assertNotIn("socket,", text)

    def test_a_measured_run_shows_nothing_of_the_last_one(self):
        with tempfile.TemporaryDirectory() as name, mock.patch.object(machine, "QEMU", "true"):
            directory = pathlib.Path(name)
            (directory / "serial.log").write_text("bench signal 1\n")
            with machine.Machine(machine.Settings(icount=True, kernel=pathlib.Path("k")), directory) as started:
                assert started.console
                started.console.settimeout(60.0)
                self.assertEqual(started.console.recv(100), b"")

    def test_a_dead_machine_has_no_state(self):
        process = subprocess.Popen(["/bin/true"])
        process.wait()
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "state.json"
            self.assertIsNone(machine.read_state(path))
            path.write_text('{"pid": %d}' % process.pid)
            self.assertIsNone(machine.read_state(path))
            path.write_text("nonsense")
            self.assertIsNone(machine.read_state(path))


class Measurements(unittest.TestCase):
    def test_two_runs_that_differ_are_refused(self):
        self.assertEqual(bench._agreed("x", {"a": 1}, {"a": 1}), {"a": 1})
        with self.assertRaisesRegex(SimulateError, "a: 1 and 2"):
            bench._agreed("x", {"a": 1}, {"a": 2})
        with self.assertRaises(SimulateError):
            bench._agreed("x", {"a": 1}, {})

    def test_the_table_names_every_figure(self):
        text = bench.table({"vmexit_cpuid": 250, "null_syscall": 50})
        self.assertIn("496", text)
        self.assertIn("null_syscall", text)


if __name__ == "__main__":
    unittest.main()
