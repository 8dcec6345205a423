# SPDX-License-Identifier: BSD-2-Clause
"""tools/paths: what the kernel's short paths read and write, from an execution trace."""
