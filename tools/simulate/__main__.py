# SPDX-License-Identifier: BSD-2-Clause
"""Runs the front end:  /usr/bin/python3 tools/simulate …"""

import pathlib
import sys

sys.dont_write_bytecode = True
sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from simulate.cli import main  # pylint: disable=wrong-import-position

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
