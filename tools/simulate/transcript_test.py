# SPDX-License-Identifier: BSD-2-Clause
"""Lines of the terminal are read as they are printed, and addresses translated only inside a VM's memory."""

import unittest

from simulate import transcript
from simulate.errors import SimulateError
from simulate.transcript import Holder, Line, Piece, Victim

RECORD = (
    "mca-server: record cpu 0 seq 7 bank 4 status 0xbd80000000000134 addr 0x12345000 misc 0x8c mcg 0x7 "
    "context guest-user owner linux-1,vmm-linux-1 class SRAR action recover"
)


class Lines(unittest.TestCase):
    def test_known_marks_name_the_source(self):
        self.assertEqual(transcript.parse_line("[linux-1] hello [x]", ["linux-1"]), Line("linux-1", "hello [x]"))
        self.assertEqual(transcript.parse_line("[linux-1]", ["linux-1"]), Line("linux-1", ""))

    def test_linux_timestamps_are_no_marks(self):
        text = "[    1.234567] mce: hello"
        self.assertEqual(transcript.parse_line(text, ["linux-1", "system"]), Line("", text))
        self.assertEqual(transcript.parse_line("[linux-1] " + text, ["linux-1"]), Line("linux-1", text))

    def test_unknown_sources_are_no_marks(self):
        self.assertEqual(transcript.parse_line("[linux-2] x", ["linux-1"]), Line("", "[linux-2] x"))

    def test_cursor_movements_and_control_characters_disappear(self):
        self.assertEqual(transcript.clean("\x1b[6n\x1b[1;31ma\x07b\r"), "ab")


class Memory(unittest.TestCase):
    LINES = [
        "root: vm linux-1: guest-physical 0x0..0x8000000 at system-physical 0x4000000",
        "root: vm linux-1: guest-physical 0x8000000..0x10000000 at system-physical 0x20000000",
        "root: vm linux-2: guest-physical 0x0..0x10000000 at system-physical 0x30000000",
        "something else 0x0..0x10",
    ]

    def test_addresses_are_translated_piece_by_piece(self):
        pieces = transcript.parse_pieces(self.LINES)
        self.assertEqual(len(pieces), 3)
        self.assertEqual(transcript.to_system_physical(pieces, "linux-1", 0x7FFFFFF), 0xBFFFFFF)
        self.assertEqual(transcript.to_system_physical(pieces, "linux-1", 0x8000000), 0x20000000)
        self.assertEqual(transcript.to_system_physical(pieces, "linux-2", 0x1000), 0x30001000)

    def test_the_end_of_a_piece_is_outside(self):
        pieces = transcript.parse_pieces(self.LINES)
        with self.assertRaisesRegex(SimulateError, "not in the memory of linux-2"):
            transcript.to_system_physical(pieces, "linux-2", 0x10000000)

    def test_an_unknown_vm_is_refused_with_the_names_of_the_others(self):
        with self.assertRaisesRegex(SimulateError, "linux-1, linux-2"):
            transcript.to_system_physical(transcript.parse_pieces(self.LINES), "linux-3", 0)
        with self.assertRaisesRegex(SimulateError, "still starting"):
            transcript.to_system_physical([], "linux-1", 0)

    def test_a_vm_that_is_built_anew_lies_where_it_was_reported_last(self):
        again = self.LINES + ["vm linux-2: guest-physical 0x0..0x10000000 at system-physical 0x50000000"]
        self.assertIn(Piece("linux-2", 0, 0x10000000, 0x50000000), transcript.parse_pieces(again))
        self.assertEqual(transcript.to_system_physical(transcript.parse_pieces(again), "linux-2", 0), 0x50000000)

    def test_nothing_of_an_earlier_report_is_left(self):
        again = self.LINES + [
            "vm linux-1: guest-physical 0x0..0xc000000 at system-physical 0x50000000",
            "vm linux-1: guest-physical 0xc000000..0x10000000 at system-physical 0x60000000",
        ]
        pieces = transcript.parse_pieces(again)
        self.assertEqual(len(pieces), 3)
        self.assertEqual(transcript.to_system_physical(pieces, "linux-1", 0x9000000), 0x59000000)
        self.assertEqual(transcript.to_system_physical(pieces, "linux-1", 0xC001000), 0x60001000)

    def test_places_and_owners_are_found(self):
        lines = self.LINES + ["root: vm linux-2: on CPU 1", "root: vm linux-1: on CPU 0", "vm linux-2: on CPU 3"]
        self.assertEqual(transcript.parse_places(lines), {"linux-1": 0, "linux-2": 3})
        pieces = transcript.parse_pieces(lines)
        self.assertEqual(transcript.vm_at(pieces, 0x20000000), "linux-1")
        self.assertEqual(transcript.vm_at(pieces, 0x3FFFFFFF), "linux-2")
        self.assertIsNone(transcript.vm_at(pieces, 0x40000000))

    def test_free_memory_is_found(self):
        lines = ["root: memory: free at system-physical 0x3f000000..0x3f400000", "memory: other"]
        self.assertEqual(transcript.parse_free(lines), [(0x3F000000, 0x3F400000)])


class Errors(unittest.TestCase):
    def test_a_record_is_read_field_by_field(self):
        record = transcript.parse_record(RECORD)
        self.assertEqual(
            (record.cpu, record.seq, record.bank, record.status, record.addr, record.misc, record.mcg),
            (0, 7, 4, 0xBD80000000000134, 0x12345000, 0x8C, 7),
        )
        self.assertEqual(
            (record.context, record.owner, record.kind, record.action),
            ("guest-user", "linux-1,vmm-linux-1", "SRAR", "recover"),
        )

    def test_a_record_cut_short_is_none(self):
        self.assertIsNone(transcript.parse_record(RECORD.replace(" class SRAR action recover", "")))

    def test_holders_of_a_retired_page(self):
        text = "retired page 0x12345000 holders: vm linux-1 gpa 0x2345000, server vmm-linux-1 va 0x100002345000"
        self.assertEqual(
            transcript.parse_retired(text).holders,
            (Holder("vm", "linux-1", 0x2345000), Holder("server", "vmm-linux-1", 0x100002345000)),
        )
        self.assertEqual(transcript.parse_retired("retired page 0x1000 holders: none").holders, ())
        odd = transcript.parse_retired("retired page 0x1000 holders: kernel object of type 0x3").holders
        self.assertEqual(len(odd), 1)
        self.assertIsNone(transcript.parse_retired("page 0x1000 was retired before"))


class Programs(unittest.TestCase):
    def test_the_victims_line(self):
        self.assertEqual(
            transcript.parse_victim("victim: pid 88 gpa 0x69ee000 mode exit"), Victim(88, 0x69EE000, "exit"))
        self.assertIsNone(transcript.parse_victim("victim: pid 88 alive"))

    def test_the_bystanders_steps(self):
        lines = ["bystander: step 1 ok cd1c775d", "x", "bystander: step 2 BAD", "bystander: step 3 ok 12"]
        self.assertEqual(list(transcript.bystander_steps(lines)), [(1, "cd1c775d"), (2, None)])

    def test_a_line_that_the_console_shows_anew_counts_once(self):
        lines = ["bystander: step 1 ok cd1c775d", "bystander: step 1 ok cd1c775d", "bystander: step 2 ok 36c1"]
        lines.append("bystander: step 2 ok 36c1cb4f")
        self.assertEqual(list(transcript.bystander_steps(lines)), [(1, "cd1c775d"), (2, "36c1cb4f")])

    def test_benchmark_lines(self):
        self.assertEqual(transcript.parse_bench(["bench: bench ipc_cross_1 150", "bench x"]), {"ipc_cross_1": 150})


if __name__ == "__main__":
    unittest.main()
