"""Opens a job for the commands that work on it, and turns its errors into exit statuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from fetchq.cli.options import read_options, usage_message
from fetchq.cli.status import FatalError
from fetchq.core.disk import StorageError
from fetchq.core.settings import SettingsError
from fetchq.core.text import printable
from fetchq.reports.text import done_text

if TYPE_CHECKING:
    from fetchq.cluster.job import Job
    from fetchq.cluster.storage import JobStorage
    from fetchq.cluster.stored_job import JobRecords
    from fetchq.core.settings import Settings

__all__ = ["job_errors", "job_records", "job_settings", "job_storage", "opened_job", "require_packages"]

NO_DISPLAY = (
    *("format", "json", "include", "fields", "only", "shuffle", "dry_run", "progress", "verbose", "log_file"),
    *("log_level", "no_color"),
)
"""The options of fetching that say what is shown of rows, which a job does not show."""
READING = ("input_format", "url_column", "passed", "strict_columns", "base_url", "limit")
"""The options that say how a list is read."""


def require_packages(*packages: str) -> None:
    """Raise UsageError if one of these packages, which the extra `cluster` installs, is missing."""
    if any(find_spec(package) is None for package in packages):
        raise click.UsageError('fetchq cluster needs more packages: pip install "fetchq[cluster]"')


def job_storage(url: str) -> JobStorage:
    """The storage of a job. Raises UsageError if it cannot be used."""
    require_packages("fsspec", "pyarrow")
    from fetchq.cluster.opened_storage import open_storage

    try:
        return open_storage(url)
    except StorageError as problem:
        raise click.UsageError(str(problem)) from None


def opened_job(url: str) -> tuple[JobStorage, Job]:
    """Open the job. Raises UsageError if there is none, or it cannot be read."""
    storage = job_storage(url)
    from fetchq.cluster.job import JobError, open_job

    try:
        return storage, open_job(storage)
    except (JobError, StorageError) as problem:
        raise click.UsageError(str(problem)) from None


@contextmanager
def job_errors() -> Iterator[None]:
    """Turn an error of the job or its storage into exit status 3, and one of a setting into wrong usage."""
    from fetchq.cluster.job import JobError

    try:
        yield
    except (JobError, StorageError) as problem:
        raise FatalError(str(problem)) from None
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None


@contextmanager
def job_records(url: str) -> Iterator[JobRecords]:
    """The records of a job's shards that are done. Prints a note if others are left. Raises UsageError."""
    storage, job = opened_job(url)
    from fetchq.cluster.stored_job import JobRecords

    with job_errors():
        records = JobRecords(storage, job)
        if left := len(job.shards) - len(records.markers):
            say(f"{left} of the {len(job.shards)} shards of {storage.shown!r} are not done: {done_text(records.rows)}")
        yield records


def job_settings(job: Job, url: str, given: dict[str, Any]) -> Settings:
    """The settings of the job, with those that were given again. Raises UsageError."""
    from fetchq.cluster.job import JobError

    try:
        stored = job.stored_settings()
    except JobError as problem:
        raise click.UsageError(str(problem)) from None
    return read_options(given, stored, output=url, keep_body=False)[0]


def say(text: str) -> None:
    """Print a line of the command on stderr."""
    click.echo(printable(f"fetchq: {text}"), err=True)
