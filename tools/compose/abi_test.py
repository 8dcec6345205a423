# SPDX-License-Identifier: BSD-2-Clause
"""The composer's structs and constants are those of the C headers: a C program prints what the compiler thinks."""

import os
import subprocess
import tempfile
import unittest

from compose import abi

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Constants that no header names by themselves.
DERIVED = {"SERVER_STACK_STRIDE"}
SCALARS = (int,)


def facts():
    """(C expression, Python's value) for every size, offset and constant."""
    for name, struct in abi.STRUCTS.items():
        yield f"sizeof(struct {name})", struct.__dict__.get("_size_", None) or abi.ctypes.sizeof(struct)
        for field, *_ in struct._fields_:  # pylint: disable=protected-access
            descriptor = getattr(struct, field)
            yield f"offsetof(struct {name}, {field})", descriptor.offset
            yield f"sizeof(((struct {name} *)0)->{field})", descriptor.size
    for name, value in vars(abi).items():
        if name.isupper() and isinstance(value, SCALARS) and name not in DERIVED:
            yield name, value


class Abi(unittest.TestCase):
    """The one test."""

    def test_every_size_offset_and_constant_is_that_of_the_headers(self):
        """Compiles and runs the C program."""
        expected = list(facts())
        self.assertGreater(len(expected), 100)
        lines = "".join(f'\tprintf("%llu\\n", (unsigned long long)({text}));\n'
                        for text, _ in expected)
        source = ("#include <stddef.h>\n#include <stdio.h>\n#include <cairn/boot.h>\n"
                  "#include <cairn/system.h>\n#include <cairn/server.h>\n#include <cairn/types.h>\n"
                  "int main(void)\n{\n" + lines + "\treturn 0;\n}\n")
        with tempfile.TemporaryDirectory() as directory:
            program = os.path.join(directory, "facts")
            subprocess.run(["gcc", "-x", "c", "-", "-o", program, "-I", f"{TOP}/kernel/abi", "-I",
                            f"{TOP}/libs/include"], input=source, text=True, check=True)
            printed = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True)
        for (text, value), line in zip(expected, printed.stdout.split(), strict=True):
            self.assertEqual(int(line), value, text)


if __name__ == "__main__":
    unittest.main()
