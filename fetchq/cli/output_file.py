"""Checks the FILE that a command is to write, and turns errors of writing it into exit statuses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from fetchq.cli.status import FatalError
from fetchq.core.atomic_file import refuse_link
from fetchq.store.folder import RESERVED_NAMES

__all__ = ["check_target", "writing"]


def check_target(output: str, folder: str) -> None:
    """Raise UsageError if FILE has no place, or is one of the own files of the run in `folder`."""
    if not output or os.path.isdir(output):
        raise click.UsageError(f"{output!r} is {'a folder' if output else 'no name of a file'}")
    if not os.path.isdir(os.path.dirname(output) or "."):
        raise click.UsageError(f"there is no folder {os.path.dirname(output)!r}")
    try:
        refuse_link(output)
    except OSError as problem:
        raise click.UsageError(f"{output!r} cannot be written: {problem.strerror}") from None
    place, name = os.path.split(os.path.realpath(output))
    if place == os.path.realpath(folder) and name in RESERVED_NAMES:
        raise click.UsageError(f"{output!r} is the run's own; name another FILE")


@contextmanager
def writing(output: str) -> Iterator[None]:
    """Turn an error of writing FILE into exit status 3, with a message of one line."""
    try:
        yield
    except BrokenPipeError:  # FILE is a pipe whose reader has exited
        raise
    except OSError as problem:
        raise FatalError(f"{output!r} cannot be written: {problem.strerror or problem}") from None
