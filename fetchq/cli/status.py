"""Defines the exit status 3 of a run that cannot go on, and the exception for it."""

from __future__ import annotations

import click

__all__ = ["EXIT_FATAL", "FatalError"]

EXIT_FATAL = 3


class FatalError(click.ClickException):
    """The run cannot go on, or its folder or output cannot be read or written. The message is one line."""

    exit_code = EXIT_FATAL
