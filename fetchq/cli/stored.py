"""What the commands have in common that read a run in a folder, and fetch nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from fetchq.cli.status import CouldNotGoOn
from fetchq.core.disk import StorageError
from fetchq.core.text import printable
from fetchq.reports.text import done_text
from fetchq.store.folder import RunFolder
from fetchq.store.ledger_connection import ConditionError
from fetchq.store.stored_run import StoredRun, open_run

__all__ = ["reading", "stored_run"]


@contextmanager
def stored_run(folder: str) -> Iterator[StoredRun]:
    """The run in a folder, open. Where there is none that is wrong usage; a run that has not ended is told."""
    if not os.path.isfile(RunFolder(folder).ledger):  # which is also said of a name that is too long
        raise click.UsageError(f"there is no run in {folder!r}")
    with reading():
        run = open_run(folder)
    with run:
        with reading():
            unfinished, count = not run.finished, len(run)
        if unfinished:
            click.echo(printable(f"fetchq: the run in {folder!r} has not ended: {done_text(count)}"), err=True)
        yield run


@contextmanager
def reading() -> Iterator[None]:
    """What is wrong with a condition, or with the ledger, is told in one line."""
    try:
        yield
    except ConditionError as problem:
        raise click.UsageError(f"--where: {problem}") from None
    except StorageError as problem:
        raise CouldNotGoOn(str(problem)) from None
