"""Opens the run in a folder for the commands that only read it, and turns its errors into exit statuses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from fetchq.cli.status import FatalError
from fetchq.cluster.job import JOB_FILE
from fetchq.cluster.opened_storage import is_url
from fetchq.core.disk import StorageError
from fetchq.core.text import printable, redact_all
from fetchq.reports.text import done_text
from fetchq.store.folder import RunFolder
from fetchq.store.ledger_connection import ConditionError
from fetchq.store.stored_run import StoredRun, open_run

__all__ = ["is_job", "read_errors", "refuse_job", "stored_run"]


@contextmanager
def stored_run(folder: str) -> Iterator[StoredRun]:
    """Open the run in a folder. Prints a note if the run is unfinished. Raises UsageError if there is no run."""
    refuse_job(folder)
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


def is_job(folder: str) -> bool:
    """Whether it is the folder or the URL of a job, which `fetchq cluster` works on."""
    return is_url(folder) or os.path.isfile(os.path.join(folder, JOB_FILE))


def refuse_job(folder: str) -> None:
    """Raise UsageError for a job, which is no run."""
    if is_job(folder):
        raise click.UsageError(f"{redact_all(folder)!r} is a job, not a run: fetchq cluster status, or fetchq export")


@contextmanager
def read_errors() -> Iterator[None]:
    """Turn an error of the condition into wrong usage, and an error of the ledger into exit status 3."""
    try:
        yield
    except ConditionError as problem:
        raise click.UsageError(f"--where: {problem}") from None
    except StorageError as problem:
        raise FatalError(str(problem)) from None
