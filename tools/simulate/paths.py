# SPDX-License-Identifier: BSD-2-Clause
"""Where things lie in the tree and in the build directory."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SYSTEMS = ROOT / "systems"
INSTALL = ROOT / "tools" / "install-deps.sh"
COMPOSER = ROOT / "tools" / "compose"
# Runs leave their transcripts here; `current` names the state of the interactive one.
RUN = BUILD / "run"
CURRENT = RUN / "current"
