"""Words what has become of a job and its shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fetchq.reports.text import causes_text, rate_text, seconds_text

if TYPE_CHECKING:
    from fetchq.cluster.driver import Driven
    from fetchq.cluster.job import Job, Shard
    from fetchq.cluster.marker import Marker
    from fetchq.cluster.state import JobState

__all__ = ["outcome_lines", "shard_line", "state_lines"]


def shard_line(job: Job, shard: Shard, marker: Marker) -> str:
    """The line about a shard that is done."""
    failed = f", {marker.failed:,} failed ({causes_text(marker.causes, {})})" if marker.failed else ""
    rows = f"{marker.rows:,} row{'' if marker.rows == 1 else 's'}"
    which = f"shard {shard.number} of {len(job.shards)}, lane {shard.lane}"
    return f"{which}: {rows} in {seconds_text(marker.duration)}{failed}"


def outcome_lines(driven: Driven, state: JobState, job: Job) -> Iterator[str]:
    """The summary at the end of `fetchq cluster run`."""
    if driven.shards:
        rate = rate_text(driven.rows / driven.duration)
        yield f"{driven.shards} shards, {driven.rows:,} rows in {seconds_text(driven.duration)}: {rate} URLs/s"
    yield _rows_line(state, job)
    for number, why in sorted(driven.given_up.items()):
        yield f"shard {number} failed: {why}"


def state_lines(state: JobState, job: Job) -> Iterator[str]:
    """What `fetchq cluster status` prints."""
    yield f"{job.rows:,} rows in {len(job.shards)} shards and {len(job.lanes)} lanes, prepared at {job.created}"
    yield _rows_line(state, job)
    for lane, host in sorted(state.held.items()):
        yield f"lane {lane} is being run, on {host}"
    for one in state.failed_shards:
        times = "once" if one.attempts == 1 else f"{one.attempts} times"
        yield f"shard {one.shard} has failed {times}: {one.error}"


def _rows_line(state: JobState, job: Job) -> str:
    causes = f" ({causes_text(state.causes, {})})" if state.failed else ""
    done = f"{len(state.done)} of {len(job.shards)} shards are done: {state.rows:,} of {job.rows:,} rows"
    return f"{done}, {state.ok:,} ok, {state.failed:,} failed{causes}"
