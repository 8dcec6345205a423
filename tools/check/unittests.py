#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs one file of unittest tests and prints a line for each: "ok: NAME", "FAIL: NAME" or "skip: NAME why"."""

import importlib.util
import os
import sys
import unittest

sys.dont_write_bytecode = True
TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Lines(unittest.TestResult):
    """Prints the verdicts."""

    def _say(self, word, test, text=""):
        print(f"{word}: {getattr(test, '_testMethodName', test)} {text}".rstrip(), flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._say("ok", test)

    def addError(self, test, err):
        super().addError(test, err)
        print(self.errors[-1][1])
        self._say("FAIL", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        print(self.failures[-1][1])
        self._say("FAIL", test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            print((self.failures + self.errors)[-1][1])
            self._say("FAIL", test, str(subtest.params))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._say("skip", test, reason)


def main(path):
    """Returns the exit status."""
    directory = os.path.dirname(os.path.abspath(path))
    sys.path[:0] = [TOOLS, directory]
    spec = importlib.util.spec_from_file_location("tests_in_" + os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    result = Lines()
    unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
