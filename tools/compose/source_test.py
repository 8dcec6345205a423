# SPDX-License-Identifier: BSD-2-Clause
"""The line index finds the line of every key, whatever the values look like."""

import unittest

from compose.source import index_lines

TEXT = '''\
# [not.a.table]
[a]
x = "[[b]]"
y = [
  "k = 1", # ]
  """
k = 2
]""",
]
"quoted key" = 1
[[b]]
name = "first"
[b.c]
k = 1
[[b]]
name = """
[b]
name = "inside"
"""
t = { k = 1 }
[b.c]
k = 2
d.e = 3
'''


class Lines(unittest.TestCase):
    """One text with all traps."""

    def setUp(self):
        self.lines = index_lines(TEXT)

    def test_tables_and_keys(self):
        self.assertEqual(self.lines[("a",)], 2)
        self.assertEqual(self.lines[("a", "x")], 3)
        self.assertEqual(self.lines[("a", "y")], 4)
        self.assertEqual(self.lines[("a", "quoted key")], 10)

    def test_elements_of_arrays_of_tables(self):
        self.assertEqual(self.lines[("b", 0)], 11)
        self.assertEqual(self.lines[("b", 0, "name")], 12)
        self.assertEqual(self.lines[("b", 1)], 15)
        self.assertEqual(self.lines[("b", 1, "name")], 16)

    def test_tables_below_elements(self):
        self.assertEqual(self.lines[("b", 0, "c", "k")], 14)
        self.assertEqual(self.lines[("b", 1, "c", "k")], 22)
        self.assertEqual(self.lines[("b", 1, "c", "d", "e")], 23)

    def test_nothing_inside_values_counts(self):
        self.assertEqual(self.lines[("b", 1, "t")], 20)
        self.assertNotIn(("a", "k"), self.lines)
        self.assertEqual(len(self.lines), 14)


if __name__ == "__main__":
    unittest.main()
