"""Defines the exit status of a run that could not go on, and the exception for it."""

from __future__ import annotations

import click

__all__ = ["COULD_NOT_GO_ON", "CouldNotGoOn"]

COULD_NOT_GO_ON = 3


class CouldNotGoOn(click.ClickException):
    """The run cannot go on, or its folder cannot be read or written. The message is one line."""

    exit_code = COULD_NOT_GO_ON
