# SPDX-License-Identifier: BSD-2-Clause
"""What is wrong with a description: file, line, and what to do."""


class DescriptionError(Exception):
    """One or more mistakes; str() is one line for each, in the order of the file."""

    def __init__(self, mistakes):
        self.mistakes = sorted(mistakes, key=lambda mistake: mistake[1])
        super().__init__("\n".join(f"{place}:{line}: {text}" if line else f"{place}: {text}"
                                   for place, line, text in self.mistakes))


class Mistakes:
    """Collects mistakes, so that one run shows them all."""

    def __init__(self, document):
        self.document = document
        self.found = []

    def add(self, path, text):
        """path: the keys that lead to the value, as in document.data[path[0]][path[1]]…"""
        place, line = self.document.place(path)
        self.found.append((place, line, text))

    def raise_if_any(self):
        """Ends the run when there was one."""
        if self.found:
            raise DescriptionError(self.found)
