# SPDX-License-Identifier: BSD-2-Clause
"""Bochs: what it is told, what it cannot do, and how its run ends, with a stand-in for the program."""

import pathlib
import tempfile
import textwrap
import unittest
from unittest import mock

from simulate import bochs
from simulate.errors import SimulateError
from simulate.machine import Machine, Settings, make_machine
from simulate.run import conclude

# Connects to its console as the configuration says, prints, echoes a line in capitals, and would go on for ever.
STAND_IN = """\
#!/usr/bin/python3
import re, socket, sys, time
text = open(sys.argv[sys.argv.index("-f") + 1]).read()
serial = socket.create_connection(("127.0.0.1", int(re.search(r"dev=127.0.0.1:(\\d+)", text)[1])))
serial.sendall(b"boots\\n")
serial.sendall(serial.recv(100).upper())
serial.sendall(b"[system] root: system: ended (all VMs have stopped): value 1")
serial.sendall(b"7\\r\\n")
time.sleep(1000)
"""


class Configuration(unittest.TestCase):
    def test_the_machine_is_as_asked_for(self):
        settings = Settings(emulator="bochs", cpus=2, memory=512, kernel=pathlib.Path("/x/a b.iso"))
        text = bochs.configuration(settings, pathlib.Path("/where"), 4711)
        for wanted in ("count=2,", "guest=512, host=512", 'path="/x/a b.iso"', "dev=127.0.0.1:4711", "log: /where/bochs.log",
                       f"model={bochs.CPU_MODEL},"):
            self.assertIn(wanted, text)

    def test_what_it_cannot_do_is_refused(self):
        for settings, words in ((Settings(cpu="amd"), "VT-x"), (Settings(cpus=9), "at most 8 CPUs"),
                                (Settings(memory=4096), "at most 2048 MiB")):
            with self.subTest(words=words), self.assertRaisesRegex(SimulateError, words):
                bochs.check(settings)

    def test_the_settings_choose_the_emulator(self):
        self.assertIsInstance(make_machine(Settings(emulator="bochs"), pathlib.Path(".")), bochs.Bochs)
        self.assertIs(type(make_machine(Settings(), pathlib.Path("."))), Machine)


class Life(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.directory = pathlib.Path(self.folder.name)

    def machine(self, program):
        path = self.directory / "stand-in"
        path.write_text(textwrap.dedent(program))
        path.chmod(0o755)
        with mock.patch.object(bochs, "BOCHS", str(path)):
            machine = bochs.Bochs(Settings(emulator="bochs", kernel=pathlib.Path("x.iso")), self.directory)
            self.addCleanup(machine.stop)
            machine.start()
        return machine

    def test_it_ends_with_the_system_and_its_value(self):
        machine = self.machine(STAND_IN)
        machine.console.sendall(b"typed\n")
        printed = b""
        while data := machine.console.recv(4096):
            printed += data
        self.assertEqual(machine.wait(30), 17 << 1 | 1)
        self.assertEqual(printed, machine.serial_log.read_bytes())
        self.assertTrue(printed.startswith(b"boots\nTYPED\n"))
        session = mock.Mock(printed=printed, stopped=False, left=False)
        with mock.patch("sys.stderr"):
            self.assertNotEqual(conclude(session, machine.status(), machine), 0)

    def test_one_that_does_not_start_says_why(self):
        with self.assertRaisesRegex(SimulateError, "Bochs did not start: .*>>PANIC<< no BIOS"):
            self.machine("#!/bin/sh\necho '000 p[x] >>PANIC<< no BIOS' > bochs.log\nexit 1\n")

    def test_it_has_no_monitor(self):
        machine = bochs.Bochs(Settings(emulator="bochs"), self.directory)
        with self.assertRaisesRegex(SimulateError, "no monitor"):
            machine.qmp.monitor("info registers")


if __name__ == "__main__":
    unittest.main()
