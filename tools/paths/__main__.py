#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Follows the kernel's short paths: see --help."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from paths.cli import main  # pylint: disable=wrong-import-position

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
