# SPDX-License-Identifier: BSD-2-Clause
"""Each vendor's rules know their kinds of error; the recipe stops, interrupts, injects and goes on, in this order."""

import unittest

from simulate import inject
from simulate.errors import SimulateError

VALID, UNCORRECTED, MISC_VALID, ADDRESS_VALID, CORRUPT = 1 << 63, 1 << 61, 1 << 59, 1 << 58, 1 << 57
SIGNALLED, ACTION_REQUIRED, DEFERRED = 1 << 56, 1 << 55, 1 << 44


class Recorder:
    """Stands for QEMU's control connection and writes down what it is told."""

    def __init__(self, answer=""):
        self.said = []
        self.answer = answer

    def command(self, name):
        self.said.append(name)

    def monitor(self, line):
        self.said.append(line)
        return self.answer if line.startswith("mce") else ""


class Rules(unittest.TestCase):
    def test_kinds_a_vendor_does_not_know_are_refused_with_what_comes_closest(self):
        with self.assertRaisesRegex(SimulateError, "not an error of Intel CPUs.*`srao`"):
            inject.error_for("intel", "deferred")
        with self.assertRaisesRegex(SimulateError, "not an error of AMD CPUs.*`deferred`"):
            inject.error_for("amd", "srao")

    def test_every_kind_is_known_or_refused(self):
        for cpu in ("intel", "amd"):
            for kind in inject.KINDS:
                if kind in inject.RULES[cpu]:
                    self.assertTrue(inject.error_for(cpu, kind).status & VALID)
                else:
                    self.assertRaises(SimulateError, inject.error_for, cpu, kind)

    def test_the_bits_of_each_kind(self):
        for cpu, rules in inject.RULES.items():
            for kind, error in rules.items():
                with self.subTest(cpu=cpu, kind=kind):
                    self.assertTrue(error.status & MISC_VALID and error.status & ADDRESS_VALID)
                    self.assertEqual(bool(error.status & UNCORRECTED), kind in ("srao", "srar", "fatal"))
                    self.assertEqual(bool(error.status & CORRUPT), kind == "fatal")
                    self.assertEqual(bool(error.status & DEFERRED), kind == "deferred")
                    self.assertEqual(error.exception, bool(error.status & UNCORRECTED))
                    self.assertEqual(error.exception, bool(error.mcg_status & inject.MCIP))
        self.assertTrue(inject.RULES["intel"]["srar"].status & SIGNALLED)
        self.assertTrue(inject.RULES["intel"]["srar"].status & ACTION_REQUIRED)
        self.assertFalse(inject.RULES["intel"]["srao"].status & ACTION_REQUIRED)


class Recipe(unittest.TestCase):
    def test_an_exception_meets_the_host_first(self):
        qemu = Recorder()
        said = inject.inject(qemu, "intel", "srar", 0x12345000)
        self.assertEqual(qemu.said, ["stop", "nmi", "mce 0 4 0xbd80000000000134 0x7 0x12345000 0x8c", "cont"])
        self.assertIn("0x12345000", said)

    def test_what_is_only_polled_needs_no_interruption(self):
        qemu = Recorder()
        inject.inject(qemu, "amd", "deferred", 0x1000)
        self.assertEqual(qemu.said, ["mce 0 4 0x9c00100000000811 0x0 0x1000 0x8c"])

    def test_the_cpu_that_is_named_sees_it(self):
        qemu = Recorder()
        said = inject.inject(qemu, "intel", "srao", 0x1000, 3)
        self.assertEqual(qemu.said[2].split()[:3], ["mce", "3", "4"])
        self.assertIn("on CPU 3", said)

    def test_a_broadcast_reaches_all_cpus_of_intel_s(self):
        qemu = Recorder()
        inject.inject(qemu, "intel", "srar", 0x1000, 2, broadcast=True)
        self.assertEqual(qemu.said[2].split()[:4], ["mce", "-b", "2", "4"])
        for cpu, kind in (("amd", "srar"), ("intel", "ce")):
            with self.assertRaisesRegex(SimulateError, "broadcast"):
                inject.inject(qemu, cpu, kind, 0x1000, broadcast=True)

    def test_several_errors_come_at_once(self):
        qemu = Recorder()
        said = inject.deliver(qemu, [inject.command_for("amd", "srar", 0x1000 * cpu, cpu) for cpu in (1, 2)])
        self.assertEqual([word.split()[0] for word in qemu.said], ["stop", "nmi", "mce", "mce", "cont"])
        self.assertIn("; mce 2 4 ", said)

    def test_a_refusal_is_told_and_the_machine_goes_on(self):
        qemu = Recorder("Invalid bank")
        with self.assertRaisesRegex(SimulateError, "Invalid bank"):
            inject.inject(qemu, "intel", "fatal", 0)
        self.assertEqual(qemu.said[-1], "cont")


if __name__ == "__main__":
    unittest.main()
