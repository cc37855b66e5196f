"""Defines the exit status 3 of a run that cannot go on, with the exception for it, and 4 of one that ended early."""

from __future__ import annotations

import click

__all__ = ["EXIT_FATAL", "EXIT_UNFINISHED", "EXIT_USAGE", "FatalError"]

EXIT_USAGE = 2
EXIT_FATAL = 3
EXIT_UNFINISHED = 4
"""The run has ended before its list was done, because of a deadline or a number of failures."""


class FatalError(click.ClickException):
    """The run cannot go on, or its folder or output cannot be read or written. The message is one line."""

    exit_code = EXIT_FATAL
