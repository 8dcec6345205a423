# SPDX-License-Identifier: BSD-2-Clause
"""The image composer: checks a system description and makes one bootable image of it."""
