"""Runs `fetchq cluster run JOB/`: runs the shards of a job that are left."""

from __future__ import annotations

import logging
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fetchq.cli.completable import by_metavar
from fetchq.cli.interrupts import Interrupts
from fetchq.cli.job_text import outcome_lines, shard_line
from fetchq.cli.opened_job import NO_DISPLAY, READING, job_errors, job_settings, opened_job, require_packages, say
from fetchq.cli.options import GroupedCommand, GroupedOption, add_options
from fetchq.cli.status import EXIT_FATAL, FatalError
from fetchq.cluster.refused import FIXED
from fetchq.core.cores import usable_cores

if TYPE_CHECKING:
    from fetchq.cluster.driver import Driver
    from fetchq.cluster.executors import ShardExecutor
    from fetchq.cluster.job import Job, Shard
    from fetchq.cluster.marker import Marker
    from fetchq.cluster.storage import JobStorage
    from fetchq.core.settings import Settings

__all__ = ["command"]

_WORKER_TIMEOUT = 60.0
_MOST_PROCESSES = 1000


class _JobOption(GroupedOption):
    group = "Job"


class _Place(click.ParamType[str]):
    """Where shards are run: local, local:N, or the address of a Dask scheduler."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        local = re.fullmatch(r"local(?::([0-9]{1,4}))?", text)
        if local is not None and 0 < int(local[1] or 1) <= _MOST_PROCESSES:
            return text
        if re.fullmatch(r"(?:tcp|tls)://.+", text):
            return text
        message = "it is local:N, or the address of a Dask scheduler, such as tcp://scheduler:8786"
        raise click.BadParameter(message, ctx, param)


@click.argument("job", metavar="JOB", shell_complete=by_metavar)
@click.option(
    "--on",
    "place",
    cls=_JobOption,
    type=_Place(),
    required=True,
    metavar="PLACE",
    help="local:N for N processes of this machine, or a Dask scheduler, such as tcp://scheduler:8786.",
)
@click.option(
    "--worker-timeout",
    cls=_JobOption,
    type=click.FloatRange(0.1),
    default=_WORKER_TIMEOUT,
    metavar="S",
    help=f"Seconds to wait for the first Dask worker, or for another one if all are gone.  [{_WORKER_TIMEOUT:g}]",
)
def run(job: str, place: str, worker_timeout: float, **given: Any) -> int:
    """Run the shards of JOB that are left. What is done stays done, however the command ends.

    The job's own settings apply, and options given here replace them. Those that read or write a file, send a secret or
    change who is reached are never taken from a job: give them again. A shard that fails three times is passed over,
    and tried again by the next call.

    Exit status: 0 every URL ok; 1 some were not; 2 wrong usage, nothing was fetched; 3 it could not go on, or shards
    failed; 130, 143 interrupted.
    """
    _check_timeout(place)
    storage, found = opened_job(job)
    quiet = bool(given.get("quiet"))
    settings = job_settings(found, job, given)
    from fetchq.cluster.driver import Driver

    def on_done(shard: Shard, marker: Marker) -> None:
        if not quiet:
            say(shard_line(found, shard, marker))

    with job_errors():
        driver = Driver(storage, found, settings, on_done=on_done, say=say)
        left = driver.prepare()
        if left:
            _check_place(place, storage)
            if not quiet:
                _remark_on_rate(found, settings, place)
            _drive(driver, place, worker_timeout, job)
        elif not quiet:
            say("all shards are done already")
        return _status(driver, storage, found, quiet=quiet)


def _check_timeout(place: str) -> None:
    source = click.get_current_context().get_parameter_source("worker_timeout")
    if place.startswith("local") and source is ParameterSource.COMMANDLINE:
        raise click.UsageError("--worker-timeout: only a Dask cluster has workers to wait for")


def _check_place(place: str, storage: JobStorage) -> None:
    if storage.is_of_this_process:
        raise click.UsageError(f"{storage.shown!r} is in the memory of this process, where no other one can reach it")
    if not place.startswith("local"):
        require_packages("distributed")


def _remark_on_rate(job: Job, settings: Settings, place: str) -> None:
    """Say so where fewer lanes run at a time than there are, since each has only its part of the rate."""
    if settings.rate is None and settings.limit_rate is None:
        return
    processes = _processes(place)
    if processes is not None and processes < len(job.lanes):
        flag = "--rate" if settings.rate is not None else "--limit-rate"
        say(f"{flag} is divided among {len(job.lanes)} lanes, of which {processes} run at a time (prepare has --lanes)")


def _processes(place: str) -> int | None:
    """How many processes of this machine are meant; None if it is a cluster."""
    if not place.startswith("local"):
        return None
    _, _, number = place.partition(":")
    return int(number) if number else usable_cores()


def _drive(driver: Driver, place: str, worker_timeout: float, job: str) -> None:
    """Run the shards. Raises FatalError if that came to an end too early."""
    from fetchq.cluster.attempt import UnfitProcessError
    from fetchq.cluster.executors import ClusterError

    interrupts = click.get_current_context().find_object(Interrupts) or Interrupts()
    again = f"go on with: fetchq cluster run {quote(job)} --on {place}"
    try:
        executor = _executor(place, worker_timeout)
        try:
            with interrupts.during_run(driver.stop, driver.abort, say):
                driver.drive(executor)
        finally:
            executor.close()
    except ClusterError as problem:
        if problem.usage:
            raise click.UsageError(str(problem)) from None
        raise FatalError(f"{problem}; {again}") from None
    except UnfitProcessError as problem:
        if driver.outcome.shards:
            raise FatalError(f"{problem}; {again}") from None
        raise click.UsageError(str(problem)) from None
    if interrupts.number is not None:
        say(again)
        raise _InterruptedError(interrupts.number)


class _InterruptedError(click.ClickException):
    """The command was interrupted, and has said so."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; what is done is kept")
        setattr(self, "exit_code", 128 + number)  # noqa: B010  # which is one of the class elsewhere


def _executor(place: str, worker_timeout: float) -> ShardExecutor:
    processes = _processes(place)
    if processes is not None:
        from fetchq.cluster.local_processes import LocalProcesses

        return LocalProcesses(processes, spawning=_without_signals)
    from fetchq.cluster.dask_workers import DaskWorkers

    # What goes wrong is said in one line, by this command. Each of these loggers has got a level of its own.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return DaskWorkers(place, worker_timeout=worker_timeout)


@contextmanager
def _without_signals() -> Iterator[None]:
    """Start processes that no signal of the terminal reaches, since they inherit what is blocked here."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _status(driver: Driver, storage: JobStorage, job: Job, *, quiet: bool) -> int:
    """Print the summary of the whole job. Returns the exit status."""
    from fetchq.cluster.state import job_state

    state = job_state(storage, job)
    if not quiet:
        for line in outcome_lines(driver.outcome, state, job):
            say(line)
    if driver.outcome.given_up or len(state.done) < len(job.shards):
        return EXIT_FATAL
    return 1 if state.failed else 0


command = click.command("run", cls=GroupedCommand, context_settings={"max_content_width": 110})(
    add_options(run, exclude=(*(name for name in NO_DISPLAY), *READING, *FIXED), for_existing_run=True)
)
command.own_sections = ("Job", *GroupedCommand.own_sections)
