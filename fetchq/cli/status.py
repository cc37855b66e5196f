"""The exit status of a run that could not go on."""

from __future__ import annotations

import click

__all__ = ["COULD_NOT_GO_ON", "CouldNotGoOn"]

COULD_NOT_GO_ON = 3


class CouldNotGoOn(click.ClickException):
    """The run cannot go on, or not be read or written: one line says why."""

    exit_code = COULD_NOT_GO_ON
