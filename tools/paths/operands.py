# SPDX-License-Identifier: BSD-2-Clause
"""What an instruction reads and writes in memory, its implicit operands included."""

from dataclasses import dataclass

import capstone
from capstone import x86

from .errors import PathsError

# What happens to an operand in memory: by mnemonic and, where it matters, by its place among the operands.
READS = {
    "cmp", "test", "movzx", "movsx", "movsxd", "imul", "mul", "div", "idiv", "popcnt", "bsf", "bsr", "tzcnt", "lzcnt",
    "jmp", "call", "push", "ldmxcsr", "fldcw", "lgdt", "lidt", "lldt",
}
WRITES = {"pop", "stmxcsr", "fnstcw", "movnti", "sgdt", "sidt"}
CHANGES = {
    "add", "sub", "and", "or", "xor", "adc", "sbb", "inc", "dec", "neg", "not", "shl", "sal", "shr", "sar", "rol", "ror",
    "rcl", "rcr", "shld", "shrd", "xchg", "xadd", "cmpxchg", "cmpxchg8b", "cmpxchg16b",
}
# Only with a bit number that is a constant: else the address depends on it.
BITS = {"bt": "r", "bts": "rw", "btr": "rw", "btc": "rw"}
NOTHING = {"lea", "nop", "invlpg", "prefetcht0", "prefetcht1", "prefetcht2", "prefetchnta", "prefetchw", "endbr64"}
# Whole areas: how much depends on what is switched on, so they stand for the field they begin in.
SAVES = {"fxsave", "fxsave64", "xsave", "xsave64", "xsaveopt", "xsaveopt64", "xsavec", "xsavec64", "xsaves", "xsaves64"}
RESTORES = {"fxrstor", "fxrstor64", "xrstor", "xrstor64", "xrstors", "xrstors64"}
# Without an operand in memory and without an implicit one. What raises an exception is seen where it arrives.
PLAIN = {
    "mov", "movabs", "cli", "sti", "cld", "std", "clgi", "stgi", "clac", "stac", "swapgs", "syscall", "sysretq", "sysret",
    "rdmsr", "wrmsr", "rdtsc", "rdtscp", "cpuid", "hlt", "pause", "invlpga", "clts", "ud2", "int", "int3", "cdqe", "cqo",
    "cdq", "cwde", "bswap", "lfence", "sfence", "mfence", "xgetbv", "xsetbv", "vmload", "vmsave", "vmrun", "in", "out",
}
JUMPS = {"loop", "loope", "loopne", "jrcxz", "jecxz"}
STRINGS = {"movs", "stos", "lods", "cmps", "scas"}
STRING_SIZES = {"b": 1, "w": 2, "d": 4, "q": 8}
STACK = {"push", "pushfq", "pop", "popfq", "call", "ret", "leave", "iretq"}
KNOWN = READS | WRITES | CHANGES | set(BITS) | NOTHING | SAVES | RESTORES | PLAIN | JUMPS | STACK
IRET_FRAME = 40
PAGE = 4096


@dataclass(frozen=True)
class Access:
    """area: the whole field that begins there. size 0: not known."""

    address: int
    size: int
    write: bool
    physical: bool = False
    area: bool = False


@dataclass(frozen=True)
class Decoded:
    """locked: LOCK prefix, or an XCHG with memory, which is locked by itself (SDM vol. 3, 9.1.2.1)."""

    address: int
    size: int
    mnemonic: str
    text: str
    locked: bool
    repeated: bool
    instruction: object


class Decoder:
    """Decodes the kernel's instructions; keeps what it has seen, as the kernel's text never changes."""

    def __init__(self) -> None:
        self.engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self.engine.detail = True
        self.known: dict[int, Decoded] = {}

    def decode(self, code: bytes, address: int) -> Decoded:
        for instruction in self.engine.disasm(code, address, 1):
            *_, mnemonic = instruction.mnemonic.split()
            memory = any(operand.type == x86.X86_OP_MEM for operand in instruction.operands)
            locked = instruction.prefix[0] == x86.X86_PREFIX_LOCK or (mnemonic == "xchg" and memory)
            repeated = instruction.prefix[0] in (x86.X86_PREFIX_REP, x86.X86_PREFIX_REPNE) and mnemonic[:-1] in STRINGS
            text = f"{instruction.mnemonic} {instruction.op_str}".strip()
            return Decoded(address, instruction.size, mnemonic, text, locked, repeated, instruction)
        raise PathsError(f"no instruction of 64-bit mode at {address:#x}: {code.hex(' ')}")


def effective(decoded: Decoded, memory, registers: dict[str, int]) -> int:
    """The linear address of an operand."""
    name = decoded.instruction.reg_name
    address = memory.disp
    if memory.base == x86.X86_REG_RIP:
        address += decoded.address + decoded.size
    elif memory.base:
        address += registers[name(memory.base)]
    if memory.index and name(memory.index) != "riz":
        address += registers[name(memory.index)] * memory.scale
    if memory.segment in (x86.X86_REG_FS, x86.X86_REG_GS):
        address += registers[f"{name(memory.segment)}_base"]
    return address & (2**64 - 1)


def unknown(decoded: Decoded) -> PathsError:
    return PathsError(f"what does `{decoded.text}` at {decoded.address:#x} do to memory? Say it in tools/paths/operands.py")


def _explicit(decoded: Decoded, place: int) -> str:
    """"r", "w", "rw" or "": what happens to operand `place`, which is in memory."""
    name = decoded.mnemonic
    if name in NOTHING:
        return ""
    if name in ("mov", "movabs"):
        return "w" if place == 0 else "r"
    if name in CHANGES:
        return "rw" if place == 0 or name in ("xchg", "xadd") else "r"
    if name in READS or name.startswith("cmov"):
        return "r"
    if name in WRITES or name.startswith("set"):
        return "w"
    if name in BITS and decoded.instruction.operands[1].type == x86.X86_OP_IMM:
        return BITS[name]
    raise unknown(decoded)


def _string(decoded: Decoded, before: dict[str, int], after: dict[str, int]) -> list[Access]:
    """One element of a string instruction, or, repeated, as many as the step took."""
    kind, size = decoded.mnemonic[:-1], STRING_SIZES[decoded.mnemonic[-1]]
    count = before["rcx"] - after["rcx"] if decoded.repeated else 1
    accesses = []

    def add(register: str, write: bool) -> None:
        low = before[register] - (size * (count - 1) if before["eflags"] & 0x400 else 0)
        accesses.append(Access(low, size * count, write))

    if count:
        if kind in ("movs", "lods", "cmps"):
            add("rsi", False)
        if kind in ("movs", "stos", "cmps", "scas"):
            add("rdi", kind in ("movs", "stos"))
    return accesses


def selector(decoded: Decoded, before: dict[str, int]) -> int | None:
    """The selector that an instruction loads into a segment register, and whose descriptor the CPU then reads."""
    if decoded.mnemonic != "mov" or len(decoded.instruction.operands) != 2:
        return None
    destination, source = decoded.instruction.operands
    name = decoded.instruction.reg_name
    if destination.type != x86.X86_OP_REG or name(destination.reg) not in ("ds", "es", "fs", "gs", "ss"):
        return None
    if source.type != x86.X86_OP_REG:
        raise PathsError(f"tools/paths does not know the selector that `{decoded.text}` at {decoded.address:#x} loads")
    return part(before, name(source.reg)) & 0xFFFF


def part(registers: dict[str, int], name: str) -> int:
    """The lower part of a general register, as eax or r8d."""
    if name in registers:
        return registers[name]
    if name.startswith("r") and name[1].isdigit():
        return registers[name.rstrip("dwb")] & 0xFFFFFFFF
    return registers["r" + name.removeprefix("e")] & (0xFFFFFFFF if name.startswith("e") else 0xFFFF)


def accesses(decoded: Decoded, before: dict[str, int], after: dict[str, int]) -> list[Access]:
    """All of an instruction but descriptors (see selector), from the registers before and after it."""
    name = decoded.mnemonic
    if name[:-1] in STRINGS and name[-1] in STRING_SIZES:
        return _string(decoded, before, after)
    if name not in KNOWN and not name.startswith(("j", "cmov", "set")):
        raise unknown(decoded)
    found = _implicit(decoded, before)
    for place, operand in enumerate(decoded.instruction.operands):
        if operand.type != x86.X86_OP_MEM:
            continue
        # POP computes an address with RSP after its increment (SDM vol. 2B).
        address = effective(decoded, operand.mem, dict(before, rsp=before["rsp"] + 8) if name == "pop" else before)
        if name in SAVES | RESTORES:
            found.append(Access(address, 0, name in SAVES, area=True))
            continue
        for letter in _explicit(decoded, place):
            found.append(Access(address, operand.size, letter == "w"))
    return found


def _implicit(decoded: Decoded, before: dict[str, int]) -> list[Access]:
    """What no operand shows."""
    name, rsp = decoded.mnemonic, before["rsp"]
    if name in ("push", "pushfq", "call"):
        return [Access(rsp - 8, 8, True)]
    if name in ("pop", "popfq", "ret"):
        return [Access(rsp, 8, False)]
    if name == "leave":
        return [Access(before["rbp"], 8, False)]
    if name == "iretq":
        return [Access(rsp, IRET_FRAME, False)]
    if name in ("vmload", "vmsave"):
        return [Access(before["rax"], PAGE, name == "vmsave", physical=True, area=True)]
    if name == "vmrun":
        # The entry reads the control block, the exit writes it.
        return [Access(before["rax"], PAGE, write, physical=True, area=True) for write in (False, True)]
    return []
