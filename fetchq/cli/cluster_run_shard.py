"""Runs `fetchq cluster run-shard JOB/ N`: runs one shard of a job, or those of a lane, in this process."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from fetchq.cli.completable import by_metavar
from fetchq.cli.interrupts import Interrupts
from fetchq.cli.job_text import shard_line
from fetchq.cli.opened_job import NO_DISPLAY, READING, job_errors, job_settings, opened_job, say
from fetchq.cli.options import GroupedCommand, GroupedOption, add_options
from fetchq.cli.status import EXIT_FATAL, FatalError
from fetchq.cluster.refused import FIXED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.cluster.job import Job, Shard
    from fetchq.cluster.marker import Marker
    from fetchq.cluster.storage import JobStorage
    from fetchq.cluster.tasks import TaskMaker

__all__ = ["command"]


class _JobOption(GroupedOption):
    group = "Job"


@click.argument("job", metavar="JOB", shell_complete=by_metavar)
@click.argument("number", metavar="[N]", type=click.IntRange(0), required=False)
@click.option(
    "--lane",
    cls=_JobOption,
    type=click.IntRange(0),
    metavar="L",
    help="Run all shards of this lane that are left, in their order; the lanes are counted from 0.",
)
def run_shard(job: str, number: int | None, lane: int | None, **given: Any) -> int:
    """Run shard N of JOB in this process, or all shards of a lane: for Slurm arrays, Kubernetes jobs and schedulers.

    A shard runs when those before it in its lane are done. While another process runs a shard of the lane, this one
    waits. The job's own settings apply, as for fetchq cluster run.

    Exit status: 0 the shard is done, also if some of its rows have failed; 2 wrong usage; 3 it is not done; 130, 143
    interrupted.

    \b
      sbatch --array=0-39 --wrap 'fetchq cluster run-shard job/ --lane $SLURM_ARRAY_TASK_ID'
    """
    if (number is None) == (lane is None):
        raise click.UsageError("name a shard, N, or a lane, --lane L")
    storage, found = opened_job(job)
    quiet = bool(given.get("quiet"))
    settings = job_settings(found, job, given)
    from fetchq.cluster.marker import ATTEMPTS
    from fetchq.cluster.tasks import TaskMaker

    with job_errors():
        shards = _shards(storage, found, number, lane)
        tasks = TaskMaker(storage, found, settings, uuid4().hex[:16])
        return _Shards(storage, found, tasks, ATTEMPTS if lane is not None else 1, quiet=quiet).run(shards)


def _shards(storage: JobStorage, job: Job, number: int | None, lane: int | None) -> Sequence[Shard]:
    """The shards that are meant. Raises UsageError if there are none, and FatalError if others come before."""
    from fetchq.cluster.marker import done_shards
    from fetchq.cluster.state import predecessor

    if lane is not None:
        if lane >= len(job.lanes):
            # An array may have a task for each of the most lanes that were asked for.
            if lane < job.most_lanes:
                return ()
            raise click.UsageError(f"--lane: the job has lanes 0 to {len(job.lanes) - 1}")
        return [job.shards[one] for one in job.lanes[lane].shards]
    assert number is not None
    if number >= len(job.shards):
        raise click.UsageError(f"the job has shards 0 to {len(job.shards) - 1}")
    shard = job.shards[number]
    done = done_shards(storage)
    if number not in done and (before := predecessor(storage, job, shard, done)) is not None:
        again = f"fetchq cluster run-shard {quote(storage.url)} {before.number}"
        raise FatalError(f"shard {number} comes after shard {before.number} in its lane, which is not done: {again}")
    return [shard]


class _Shards:
    """Runs shards one after the other."""

    def __init__(self, storage: JobStorage, job: Job, tasks: TaskMaker, attempts: int, *, quiet: bool) -> None:
        """`attempts`: how many are made at a shard that fails."""
        self._storage = storage
        self._job = job
        self._tasks = tasks
        self._attempts = attempts
        self._quiet = quiet
        self._given_up = False
        """Whether a shard could not be run."""
        self._interrupts = click.get_current_context().find_object(Interrupts) or Interrupts()

    def run(self, shards: Sequence[Shard]) -> int:
        """Run these shards. Returns the exit status."""
        from fetchq.cluster.marker import read_marker
        from fetchq.workers.process import tune_memory

        tune_memory()
        for shard in shards:
            marker = read_marker(self._storage, shard)
            already = marker is not None
            marker = marker or self._run_shard(shard)
            if self._interrupts.number is not None and marker is None:
                say("stopped; what is done is kept, and the same command goes on")
                return 128 + self._interrupts.number
            self._count(shard, marker, already=already)
        return EXIT_FATAL if self._given_up else 0

    def _count(self, shard: Shard, marker: Marker | None, *, already: bool) -> None:
        if marker is None:
            self._given_up = True
            return
        if not self._quiet:
            say(f"shard {shard.number} is done already" if already else shard_line(self._job, shard, marker))

    def _run_shard(self, shard: Shard) -> Marker | None:
        """Make as many attempts at a shard as it needs, and may have. Returns None if all failed or were stopped."""
        from fetchq.cluster.attempt import Attempt, ShardFailedError, StoppedError, UnfitProcessError

        def waiting() -> None:
            say(f"lane {shard.lane} is held by another process: waiting for it")

        for _ in range(self._attempts):
            try:
                attempt = Attempt(self._tasks.task(shard), on_wait=waiting)
                with self._interrupts.during_run(attempt.stop, attempt.abort, say):
                    return attempt.make()
            except ShardFailedError as problem:
                say(f"shard {shard.number} failed: {problem}")
                if problem.final:
                    break
            except UnfitProcessError as problem:
                raise click.UsageError(str(problem)) from None
            except StoppedError:
                if self._interrupts.number is None:
                    say(f"shard {shard.number} was stopped: another process has taken its lane")
            if self._interrupts.number is not None:
                break
        return None


command = click.command("run-shard", cls=GroupedCommand, context_settings={"max_content_width": 110})(
    add_options(run_shard, exclude=(*NO_DISPLAY, *READING, *FIXED), for_existing_run=True)
)
command.own_sections = ("Job", *GroupedCommand.own_sections)
