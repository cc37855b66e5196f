"""Runs `fetchq cluster prepare SOURCE... JOB/`: divides a list into shards."""

from __future__ import annotations

from dataclasses import fields
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from fetchq.cli.completable import by_metavar
from fetchq.cli.opened_job import NO_DISPLAY, job_errors, job_storage, say
from fetchq.cli.options import GroupedCommand, GroupedOption, add_options, read_options, usage_message
from fetchq.cli.value_sources import source_of
from fetchq.cluster.refused import REFUSED, check_settings
from fetchq.core.option import option_of
from fetchq.core.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.cluster.job import Job
    from fetchq.cluster.prepare import JobPlan
    from fetchq.cluster.storage import JobStorage

__all__ = ["command"]

_MOST_LANES = 64
_MOST_SHARDS = 99_999


class _JobOption(GroupedOption):
    group = "Job"


@click.argument("sources", nargs=-1, metavar="SOURCE...", required=True, shell_complete=by_metavar)
@click.argument("job", metavar="JOB", shell_complete=by_metavar)
@click.option(
    "--shards",
    cls=_JobOption,
    type=click.IntRange(1, _MOST_SHARDS),
    required=True,
    metavar="N",
    help="How many parts the list gets, each of which is fetched as a whole; 10,000 rows each is a good size.",
)
@click.option(
    "--lanes",
    cls=_JobOption,
    type=click.IntRange(1, _MOST_LANES),
    metavar="N",
    help="How many shards can run at a time, at most; the hosts are divided among them.  [64, or --shards]",
)
def prepare(sources: tuple[str, ...], job: str, shards: int, lanes: int | None, **given: Any) -> int:
    """Divide the rows of each SOURCE into shards, and write them into the folder JOB, with the settings.

    JOB is a folder, or a URL of fsspec, such as s3://bucket/job. Rows of one host are in one lane, whose shards run one
    after the other, so that --per-host, --host-interval and robots.txt hold for the whole job without a coordinator.
    --rate and --limit-rate are divided among the lanes by their rows. --workers holds for each process.

    What is secret is not kept: give it to fetchq cluster run again. A job that was prepared in the same way stays as it
    is.
    """
    for name, reason in REFUSED.items():
        if given.get(name):
            flag = next(option_of(one).flags[-1] for one in fields(Settings) if one.name == name)
            raise click.UsageError(f"{source_of(name, flag)}: {reason}")
    settings, display = read_options(given, output=job, keep_body=False)
    try:
        check_settings(settings)
    except SettingsError as problem:
        raise click.UsageError(usage_message(problem)) from None
    reading = {name: value for name, value in display.reading.items() if name != "shuffle"}
    text = _prepare(sources, job_storage(job), settings, reading, shards, lanes or min(_MOST_LANES, shards))
    if not display.quiet:
        say(text)
    return 0


def _prepare(
    sources: Sequence[str], storage: JobStorage, settings: Settings, reading: dict[str, Any], shards: int, lanes: int
) -> str:
    """Prepare the job, unless it is prepared already. Returns what it is, as a line."""
    from fetchq.cluster.job import JobError
    from fetchq.cluster.prepare import JobPlan, is_prepared
    from fetchq.cluster.storage import check_writable
    from fetchq.cluster.tasks import most_lanes
    from fetchq.core.disk import StorageError
    from fetchq.inputs.lines import SourceError
    from fetchq.inputs.opening import open_sources
    from fetchq.store.input_copy import describe_inputs

    try:
        plan = JobPlan(
            settings=settings,
            sources=describe_inputs(sources),
            reading=_given(reading),
            shards=shards,
            lanes=most_lanes(settings, min(lanes, shards)),
        )
        if (found := is_prepared(storage, plan)) is not None:
            return f"{_described(found)}: this job is prepared already"
        check_writable(storage)
        with open_sources(sources, **reading) as source:
            made = _made(storage, plan, source)
    except (SourceError, JobError, StorageError) as problem:
        raise click.UsageError(str(problem)) from None
    if not made.rows:
        return "there are no URLs in the list"
    fewer = f"; there are no more rows than that for --shards {shards}" if len(made.shards) < shards else ""
    return f"{_described(made)}{fewer}; fetch it with: fetchq cluster run {quote(storage.url)} --on local:2"


def _made(storage: JobStorage, plan: JobPlan, source: Any) -> Job:
    from fetchq.cluster.prepare import prepare_job

    with job_errors():
        return prepare_job(storage, plan, source)


def _given(reading: dict[str, Any]) -> dict[str, Any]:
    """How the list is read, as the manifest has it: without a limit that was not given."""
    return {name: value for name, value in reading.items() if name != "limit" or value is not None}


def _described(job: Job) -> str:
    lanes = f"{len(job.lanes)} lane{'' if len(job.lanes) == 1 else 's'}"
    return f"{job.rows:,} rows in {len(job.shards):,} shard{'' if len(job.shards) == 1 else 's'} and {lanes}"


command = click.command("prepare", cls=GroupedCommand, context_settings={"max_content_width": 110})(
    add_options(prepare, exclude=NO_DISPLAY)
)
command.own_sections = ("Job", *GroupedCommand.own_sections)
for _one in command.params:
    if isinstance(_one, click.Option) and _one.name in REFUSED:
        _one.hidden = True  # it is there to say why a job does not have it
