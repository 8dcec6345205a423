# SPDX-License-Identifier: BSD-2-Clause
"""The front end `./simulate`: builds a system, runs it in QEMU, injects errors, measures."""
