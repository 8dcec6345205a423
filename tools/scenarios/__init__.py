# SPDX-License-Identifier: BSD-2-Clause
"""What must be seen to happen: each module is one scenario, with SUMMARY, CPUS (vendors it runs on) and run(stage)."""
