# SPDX-License-Identifier: BSD-2-Clause
"""./check: builds, tests, and says what passed."""
