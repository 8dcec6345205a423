# SPDX-License-Identifier: BSD-2-Clause
"""How deep the kernel's stacks get: every way through its machine code, calls included; recursion is found on the way."""

import re
import subprocess

LINE = re.compile(r"^\s*([0-9a-f]+):\t(.*?)\s*(?:#.*)?$")
HEADING = re.compile(r"^([0-9a-f]+) <(.+)>:$")
TARGET = re.compile(r"^([0-9a-f]+)(?: <.*>)?$")
SUFFIX = re.compile(r"^(push|pop|sub|add|lea|mov|and|call|jmp|ret|leave|iret|sysret)[lqw]?$")
ENDS = {"ret", "iret", "sysret", "ud2", "int3"}


class Loops(Exception):
    """A function that calls itself, perhaps by way of others."""


class Unknown(Exception):
    """An instruction that does to the stack what nobody here understands."""


class Code:
    """The instructions of an ELF file, by address."""

    def __init__(self, path):
        text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-w", path], capture_output=True, text=True, check=True).stdout
        self.load(text)

    def load(self, text):
        """From what objdump prints."""
        self.labels, self.at, self.next, self.owner = {}, {}, {}, {}
        self.done, self.busy = {}, []
        last, name = None, "?"
        for line in text.splitlines():
            heading, found = HEADING.match(line), LINE.match(line)
            if heading:
                name = heading[2]
                self.labels[name] = int(heading[1], 16)
            if found:
                address = int(found[1], 16)
                self.at[address], self.owner[address] = found[2], name
                if last is not None:
                    self.next[last] = address
                last = address

    def switches(self):
        """Addresses behind each instruction that takes up the CPU's own kernel stack."""
        return [self.next[address] for address, text in self.at.items() if re.match(r"mov\s+%gs:0x[0-9a-f]+,%rsp$", text)]

    def worst(self, address):
        """(bytes, chain of names, whether it returns) of a call to an address; the return address is counted by the caller."""
        if address in self.done:
            return self.done[address]
        name = self.owner[address]
        if address in self.busy:
            raise Loops(" calls ".join(self.owner[at] for at in [*self.busy[self.busy.index(address):], address]))
        self.busy.append(address)
        result = self.walk(address, 0)
        self.busy.pop()
        self.done[address] = (result[0], [name, *result[1]], result[2])
        return self.done[address]

    def own(self, address):
        """Bytes that a function takes for itself, its return address included."""
        return self.walk(address, 8, calls=False)[0]

    def walk(self, start, depth, calls=True):
        """(bytes, chain behind it, whether it returns) from an address on, with `depth` bytes on the stack."""
        deepest, chain, returns, seen = depth, [], False, set()
        paths = [(start, depth, None)]
        while paths:
            address, depth, frame = paths.pop()
            if address not in self.at or (address, depth, frame) in seen:
                continue
            seen.add((address, depth, frame))
            text = re.sub(r"^(?:(?:lock|rep|repz|notrack|bnd|cs|ds|data16)\s+)+", "", self.at[address])
            word, _, operands = text.partition(" ")
            operands = operands.strip()
            kind = SUFFIX.match(word)
            kind = kind[1] if kind else word
            after = self.next.get(address)
            if kind in ENDS:
                returns |= kind == "ret"
                continue
            if kind == "call":
                target = TARGET.match(operands)
                if not target:
                    raise Unknown(f"{self.owner[address]} calls {operands}")
                if calls:
                    below, names, comes_back = self.worst(int(target[1], 16))
                    if depth + 8 + below > deepest:
                        deepest, chain = depth + 8 + below, names
                    if not comes_back:
                        continue
                deepest = max(deepest, depth + 8) if calls else deepest
            elif kind == "jmp" or re.match(r"j[a-z]+$", word):
                target = TARGET.match(operands)
                if not target:
                    raise Unknown(f"{self.owner[address]} jumps to {operands}")
                to = int(target[1], 16)
                # What another function does that is jumped to is not this one's own.
                if calls or self.owner.get(to) == self.owner[address]:
                    paths.append((to, depth, frame))
                if kind == "jmp":
                    continue
            else:
                change = self.change(kind, operands, depth, frame)
                if change is None:
                    continue
                depth, frame = change
                if depth > deepest:
                    deepest, chain = depth, []
            paths.append((after, depth, frame))
        return deepest, chain, returns

    def change(self, kind, operands, depth, frame):
        """(depth, depth where RBP points) after an instruction; None if the stack is another one from there on."""
        number = re.match(r"\$(-?0x[0-9a-f]+),%rsp$", operands)
        if kind in ("push", "pushf"):
            return depth + 8, frame
        if kind in ("pop", "popf"):
            return depth - 8, None if operands == "%rbp" else frame
        if kind in ("sub", "add") and number:
            return depth + int(number[1], 16) * (1 if kind == "sub" else -1), frame
        if kind == "and" and number:
            return depth - int(number[1], 16), frame  # at most that much is left out
        if kind == "lea" and operands.endswith(",%rsp"):
            base = re.match(r"(-?0x[0-9a-f]+)?\(%(rsp|rbp)\),%rsp$", operands)
            if not base or (base[2] == "rbp" and frame is None):
                raise Unknown(f"lea {operands}")
            return (depth if base[2] == "rsp" else frame) - int(base[1] or "0", 16), frame
        if kind == "mov" and operands == "%rsp,%rbp":
            return depth, depth
        if kind == "leave":
            return (frame or 0) - 8, None
        if operands.endswith(",%rsp") and kind != "cmp":
            if kind == "mov":
                return None
            raise Unknown(f"{kind} {operands}")
        return depth, frame
