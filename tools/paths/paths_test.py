# SPDX-License-Identifier: BSD-2-Clause
"""Operands, rules, names and table on made-up instructions and traces: each mistake is shown once."""

import io
import unittest
from contextlib import redirect_stdout

from paths import cli, gdb, operands, rules, table, trace
from paths.debuginfo import Type, leaves
from paths.errors import PathsError
from paths.names import CONSTANT, LINE, LOCAL, SHARED, Named
from paths.operands import Access, Decoder
from paths.run import Result, Results

RIP = 0xFFFFFFFF80100000
SCALAR, BYTES = Type("scalar", "u64", 8), Type("array", "", 16, 16, Type("scalar", "u8", 1))
NAMES = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", *(f"r{number}" for number in range(8, 16)))


def registers(**values):
    """Registers of a CPU in the kernel."""
    return {**dict.fromkeys(NAMES, 0), "rsp": 0x9000, "rip": RIP, "cs": 8, "eflags": 2, "cr3": 0, "fs_base": 0,
            "gs_base": 0, "k_gs_base": 0, **values}


def accesses(code, after=None, **before):
    """Of one instruction."""
    state = registers(**before)
    decoded = Decoder().decode(bytes.fromhex(code), RIP)
    return operands.accesses(decoded, state, dict(state, **(after or {})))


class Operands(unittest.TestCase):
    """Instructions, assembled by hand."""

    def test_a_store_writes_and_a_load_reads(self):
        self.assertEqual(accesses("48 89 58 10", rax=0x1000), [Access(0x1010, 8, True)])  # mov %rbx,0x10(%rax)
        self.assertEqual(accesses("8b 44 88 04", rax=0x1000, rcx=2), [Access(0x100C, 4, False)])  # mov 4(%rax,%rcx,4),%eax

    def test_addresses_wrap_and_use_the_segment(self):
        self.assertEqual(accesses("65 c6 04 25 18 00 00 00 01", gs_base=0x5000), [Access(0x5018, 1, True)])
        self.assertEqual(accesses("48 8b 05 f9 ff ff ff"), [Access(RIP, 8, False)])  # mov -7(%rip),%rax
        self.assertEqual(accesses("48 8b 40 f8", rax=0), [Access(2**64 - 8, 8, False)])

    def test_what_is_changed_is_read_and_written(self):
        self.assertEqual(accesses("48 83 00 01", rax=0x1000), [Access(0x1000, 8, False), Access(0x1000, 8, True)])
        self.assertEqual(accesses("80 38 00", rax=0x1000), [Access(0x1000, 1, False)])  # cmpb
        self.assertEqual(accesses("0f 94 00", rax=0x1000), [Access(0x1000, 1, True)])  # sete
        self.assertEqual(accesses("48 8d 40 10", rax=0x1000), [])  # lea

    def test_the_stack_is_an_operand(self):
        self.assertEqual(accesses("50"), [Access(0x8FF8, 8, True)])  # push
        self.assertEqual(accesses("5b"), [Access(0x9000, 8, False)])  # pop
        self.assertEqual(accesses("e8 00 00 00 00"), [Access(0x8FF8, 8, True)])  # call
        self.assertEqual(accesses("c3"), [Access(0x9000, 8, False)])
        self.assertEqual(accesses("48 cf"), [Access(0x9000, 40, False)])  # iretq
        # pushq 8(%rax), popq 8(%rsp): the address of the latter is formed after the increment.
        self.assertEqual(accesses("ff 70 08", rax=0x1000), [Access(0x8FF8, 8, True), Access(0x1008, 8, False)])
        self.assertEqual(accesses("8f 44 24 08"), [Access(0x9000, 8, False), Access(0x9010, 8, True)])

    def test_strings_count(self):
        moved = accesses("f3 48 a5", after={"rcx": 2}, rcx=5, rsi=0x1000, rdi=0x2000)  # rep movsq
        self.assertEqual(moved, [Access(0x1000, 24, False), Access(0x2000, 24, True)])
        self.assertEqual(accesses("f3 48 a5", rcx=0), [])
        back = accesses("f3 48 ab", after={"rcx": 0}, rcx=2, rdi=0x2008, eflags=0x402)  # rep stosq, downwards
        self.assertEqual(back, [Access(0x2000, 16, True)])

    def test_saved_state_is_an_area(self):
        self.assertEqual(accesses("48 0f ae 07", rdi=0x1000), [Access(0x1000, 0, True, area=True)])  # fxsave64
        self.assertEqual(accesses("48 0f ae 2f", rdi=0x1000), [Access(0x1000, 0, False, area=True)])  # xrstor64
        self.assertEqual(accesses("0f 01 db", rax=0x3000), [Access(0x3000, 4096, True, physical=True, area=True)])  # vmsave
        self.assertEqual([access.write for access in accesses("0f 01 d8", rax=0x3000)], [False, True])  # vmrun

    def test_locks_are_seen(self):
        decoder = Decoder()
        for code, locked in (("f0 48 ff 00", True), ("87 07", True), ("87 c8", False), ("48 ff 00", False)):
            self.assertEqual(decoder.decode(bytes.fromhex(code), len(code)).locked, locked, code)

    def test_what_is_not_known_is_refused(self):
        with self.assertRaisesRegex(PathsError, "what does `enter"):
            accesses("c8 08 00 00")
        with self.assertRaisesRegex(PathsError, "what does `bt "):
            accesses("48 0f a3 08")  # bt %rcx,(%rax): anywhere
        with self.assertRaisesRegex(PathsError, "no instruction"):
            accesses("06")

    def test_selectors(self):
        decoder = Decoder()
        self.assertEqual(operands.selector(decoder.decode(bytes.fromhex("8e d8"), 1), registers(rax=0x10023)), 0x23)
        self.assertIsNone(operands.selector(decoder.decode(bytes.fromhex("48 89 c3"), 2), registers(rax=0x23)))


class FakeGdb:
    """Memory, and the registers after each step."""

    def __init__(self, states, memory=None):
        self.states, self.memory = list(states), memory or {}

    def registers(self, _):
        return self.states[0]

    def step(self, _):
        del self.states[0]

    def read(self, address, size):
        return bytes(self.memory.get(address + at, 0) for at in range(size))

    def read_int(self, address, size=8):
        return int.from_bytes(self.read(address, size), "little")

    def monitor(self, _):
        return "CPU#0\nTR =0030 0000000000004000 0067\nGDT=     0000000000005000 003f\nIDT=     0000000000006000 0fff\n"


class FakeCpu(trace.Cpu):
    """Every address is its own physical address."""

    def translate(self, address):
        return address


class FakeInfo:
    """cpu->current lies at the start of the area."""

    def member(self, *_):
        return 0, SCALAR


def follower(code, states, **memory):
    """Ready to step over `code` at RIP."""
    data = {RIP + at: byte for at, byte in enumerate(bytes.fromhex(code))}
    # Gate 14 leads to 0xa000, selector 8.
    gate = 0xA000 | 8 << 16 | 0x8E << 40
    data.update({0x6000 + 14 * 16 + at: gate >> 8 * at & 0xFF for at in range(8)})
    for name, value in memory.items():
        data.update({int(name[1:], 16) + at: value >> 8 * at & 0xFF for at in range(8)})
    return trace.Follower(FakeCpu(FakeGdb(states, data), 0, Decoder()), FakeInfo())


class Follow(unittest.TestCase):
    """Steps of a CPU that is made up."""

    def test_accesses_are_kept_and_split_at_pages(self):
        steps = follower("48 89 18", [registers(rax=0x1FFC), registers(rax=0x1FFC, rip=RIP + 3)])
        steps.step_kernel()
        kept = [(touch.physical, touch.size, touch.write) for touch in steps.trace.touches]
        self.assertEqual((kept, steps.trace.kernel), ([(0x1FFC, 4, True), (0x2000, 4, True)], 1))

    def test_a_step_too_many_is_noticed(self):
        steps = follower("48 89 18", [registers(rax=0x1000), registers(rip=RIP + 6)])
        with self.assertRaisesRegex(PathsError, "the trace is broken: `mov "):
            steps.step_kernel()

    def test_jumps_go_where_they_say(self):
        for code, target in (("ff e0", 0x7000), ("ff 20", 0x1234), ("74 10", RIP + 0x12), ("74 10", RIP + 2), ("c3", 0x7777)):
            steps = follower(code, [registers(rax=0x7000), registers(rip=target)], a7000=0x1234, a9000=0x7777)
            steps.step_kernel()
        with self.assertRaisesRegex(PathsError, "the trace is broken"):
            follower("ff e0", [registers(rax=0x7000), registers(rip=0x7001)]).step_kernel()

    def test_an_exception_reads_its_gate_and_writes_the_stack(self):
        # From user level: RSP 0 of the TSS is 0x9000. The code segment's descriptor was not accessed yet.
        steps = follower("90", [registers(cs=0x2B), registers(rip=0xA000, rsp=0x9000 - 48)], a4004=0x9000)
        steps.step_user()
        kept = [(touch.physical, touch.size, touch.write) for touch in steps.trace.touches]
        self.assertEqual(kept, [(0x6000 + 14 * 16, 16, False), (0x5008, 8, False), (0x5008, 8, True), (0x4004, 8, False),
                                (0x9000 - 48, 48, True)])

    def test_user_level_enters_by_syscall_or_gate_only(self):
        with self.assertRaisesRegex(PathsError, "the trace is broken: user level"):
            follower("90", [registers(cs=0x2B), registers(rip=0xB000)]).step_user()
        follower("0f 05", [registers(cs=0x2B), registers(rip=0xB000)]).step_user()


class Fields(unittest.TestCase):
    """Names of bytes of a type."""

    def test_leaves(self):
        inner = Type("struct", "inner", 16, members=[(0, "a", SCALAR), (8, "b", SCALAR)])
        outer = Type("struct", "outer", 72, members=[
            (0, "x", SCALAR), (8, "in", inner), (24, "", inner), (40, "bytes", BYTES),
            (56, "two", Type("array", "", 16, 1, inner))])
        self.assertEqual([name for name, *_ in leaves(outer, 0, 72)],
                         ["x", "in.a", "in.b", "a", "b", "bytes[]", "two[].a", "two[].b"])
        self.assertEqual(list(leaves(outer, 15, 17)), [("in.a", 8, 8), ("in.b", 16, 8)])
        self.assertEqual([name for name, *_ in leaves(outer, 50, 51)], ["bytes[]"])


def named(thing, owner=LOCAL, write=False, line=1, locked=False):
    """Something that was touched."""
    name, _, field = thing.partition(".")
    return Named(name, field, owner, write, frozenset({line}), "`mov` at here+0x0", locked)


class Rules(unittest.TestCase):
    """What is allowed, and what is not."""

    def test_own_writes_and_shared_reads_are_allowed(self):
        touched = [named("percpu.x", write=True), named("slot of the Portal.live", SHARED, line=2), named("table", CONSTANT, line=3)]
        self.assertEqual(rules.of_path(touched), [])

    def test_a_shared_counter_is_not(self):
        wrong = rules.of_path([named("counter", SHARED, write=True)])
        self.assertEqual(wrong, ["`mov` at here+0x0 writes counter, which all CPUs use"])
        self.assertIn("which is of CPU 1", rules.of_path([named("percpu.x", "CPU 1", write=True)])[0])

    def test_locks_are_not_even_of_what_is_its_own(self):
        self.assertIn("locks the bus for percpu.x", rules.of_path([named("percpu.x", write=True, locked=True)])[0])

    def test_a_written_line_belongs_to_one_owner(self):
        wrong = rules.of_path([named("percpu.x", write=True, line=7), named("epoch", SHARED, line=7)])
        self.assertEqual(wrong, [f"the cache line {7 * LINE:#x} is written, and it holds epoch (shared), percpu.x (this CPU)"])
        self.assertEqual(rules.of_path([named("percpu.x", line=7), named("epoch", SHARED, line=7)]), [])

    def test_areas_have_lines_of_their_own(self):
        self.assertEqual(rules.of_areas({0: (0x1000, 0x80), 1: (0x1080, 0x80)}), [])
        self.assertEqual(len(rules.of_areas({0: (0x1000, 0xA0), 1: (0x10A0, 0xA0)})), 3)
        self.assertIn("the areas of CPU 0 and CPU 1 share a cache line", rules.of_areas({0: (0x1000, 0xA0), 1: (0x10A0, 0xA0)}))

    def test_a_write_that_was_not_seen_is_noticed(self):
        before, after = {0x1000: bytes(128)}, {0x1000: bytes(100) + b"\1" + bytes(27)}
        self.assertEqual(rules.of_memory(before, after, [named("x", write=True, line=0x1040 // LINE)]), [])
        wrong = rules.of_memory(before, after, [named("x", line=0x1040 // LINE)])
        self.assertEqual(wrong, ["cache line 0x1040 changed, but no instruction was seen to write it"])

    def test_lines_of_two_cpus(self):
        self.assertEqual(rules.of_others([named("percpu.a", write=True)], 0, [named("percpu.b", line=2)], 1), [])
        self.assertEqual(rules.of_others([named("percpu.a")], 0, [named("percpu.b", write=True)], 1), [])
        wrong = rules.of_others([named("percpu.a", write=True)], 0, [named("percpu.b")], 1)
        self.assertEqual(wrong, ["CPU 0 writes percpu.a in the cache line where CPU 1 uses percpu.b"])


class Verdicts(unittest.TestCase):
    """What is said of a run."""

    def results(self, written="percpu.a", path="call", line=1):
        first = Result(10, 1, [named(written, write=True, line=line)], [])
        second = Result(10, 1, [named("percpu.a", write=True, line=2)], [])
        asking = Result(20, 1, [named("percpu.apic", "CPU 0", line=3)], [])
        return Results({0: {path: first}, 1: {path: second}}, {1: asking}, [])

    def wrong(self, results):
        return {name for name, _, wrong in cli.verdicts(results) if wrong}

    def test_all_is_well(self):
        self.assertEqual(self.wrong(self.results()), set())

    def test_cpus_touch_alike(self):
        self.assertEqual(self.wrong(self.results(written="percpu.b")), {"CPUs alike"})

    def test_paths_keep_apart(self):
        self.assertEqual(self.wrong(self.results(line=2)), {"CPUs apart"})

    def test_who_asks_touches_no_line_of_any_path(self):
        self.assertEqual(self.wrong(self.results(line=3)), {"CPUs asked"})
        self.assertEqual(self.wrong(self.results(line=3, path="wait_blocks")), {"CPUs asked"})

    def test_each_sentence_is_a_line(self):
        with redirect_stdout(io.StringIO()) as out:
            self.assertFalse(cli.tell("x", "fine", ["one", "two"]))
            self.assertTrue(cli.tell("y", "fine", []))
        self.assertEqual(out.getvalue(), "FAIL x: one\nFAIL x: two\nok y: fine\n")


class Page(unittest.TestCase):
    """The table in the docs."""

    def setUp(self):
        self.table = table.build({
            "call": [named("handler's buffer.words[]", write=True), named("handler.a"), named("handler.b"),
                     named("handler.b", write=True), named("epoch", SHARED)],
            "exit": [named("VCpu's VMCB.(all)", write=True)]})
        self.page = f"# Paths\n{table.BEGIN}\n{table.END}\nmore\n"

    def test_it_comes_back_as_it_was_written(self):
        text = table.replace(self.page, self.table)
        self.assertEqual(table.parse(text), self.table)
        self.assertEqual(table.replace(text, self.table), text)
        self.assertTrue(text.startswith("# Paths\n") and text.endswith("\nmore\n"))
        self.assertIn("| call | handler.{b} | RW | this CPU |", text)
        self.assertIn("| call | epoch | R | shared |", text)

    def test_differences_name_the_field(self):
        other = dict(self.table)
        del other["exit", "VCpu's VMCB", "(all)", LOCAL]
        other["call", "handler", "a", LOCAL] = "W"
        self.assertEqual(table.differences(other, self.table, "here", "there"), [
            "call: handler.a (this CPU): W here, R there", "exit: VCpu's VMCB.(all) (this CPU): nothing here, W there"])

    def test_a_page_without_its_place_is_refused(self):
        with self.assertRaisesRegex(PathsError, "docs/paths.md has no"):
            table.parse("# Paths\n")
        with self.assertRaisesRegex(PathsError, "is no row"):
            table.parse(f"{table.BEGIN}\n| call |\n{table.END}")


class Packets(unittest.TestCase):
    """The remote protocol."""

    def test_packets(self):
        self.assertEqual(gdb.packet("OK"), b"$OK#9a")
        self.assertEqual(gdb.unescape(b"a}\x03b0* c"), b"a#b0000c")
        self.assertEqual(gdb.PACKET.search(b"+$T05thread:01;#ab+")[1], b"T05thread:01;")


if __name__ == "__main__":
    unittest.main()
