# SPDX-License-Identifier: BSD-2-Clause
"""The one kind of error that is shown to the user as a sentence."""


class PathsError(Exception):
    """Something that the user should know; its text is one or two clear sentences."""
