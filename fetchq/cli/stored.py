"""Opens the run in a folder for the commands that only read it, and turns its errors into exit statuses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from fetchq.cli.status import FatalError
from fetchq.core.disk import StorageError
from fetchq.core.text import printable
from fetchq.reports.text import done_text
from fetchq.store.folder import RunFolder
from fetchq.store.ledger_connection import ConditionError
from fetchq.store.stored_run import StoredRun, open_run

__all__ = ["read_errors", "stored_run"]


@contextmanager
def stored_run(folder: str) -> Iterator[StoredRun]:
    """Open the run in a folder. Prints a note if the run is unfinished. Raises UsageError if there is no run."""
    if not os.path.isfile(RunFolder(folder).ledger):  # also false for a name that is too long
        raise click.UsageError(f"there is no run in {folder!r}")
    with read_errors():
        run = open_run(folder)
    with run:
        with read_errors():
            unfinished, count = not run.finished, len(run)
        if unfinished:
            click.echo(printable(f"fetchq: the run in {folder!r} has not ended: {done_text(count)}"), err=True)
        yield run


@contextmanager
def read_errors() -> Iterator[None]:
    """Turn an error of the condition into wrong usage, and an error of the ledger into exit status 3."""
    try:
        yield
    except ConditionError as problem:
        raise click.UsageError(f"--where: {problem}") from None
    except StorageError as problem:
        raise FatalError(str(problem)) from None
