"""Defines what runs the shards of a job for its driver: processes of this machine, or the workers of a cluster."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fetchq.cluster.marker import Marker
    from fetchq.cluster.tasks import ShardTask

__all__ = ["ClusterError", "ShardExecutor", "ShardProcessDiedError"]


class ClusterError(Exception):
    """The shards cannot be run there, or no longer. The message is one line; `usage`: whether nothing was run yet."""

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


class ShardProcessDiedError(Exception):
    """The process that ran a shard has died, together with no other shard. The message is one line."""


class ShardExecutor(Protocol):
    """Runs shards. Its methods raise `ClusterError`."""

    remote: bool
    """Whether shards may go on when the driver has ended."""

    def slots(self) -> int:
        """How many shards may run at a time now."""

    def submit(self, task: ShardTask) -> Future[Marker]:
        """Run a shard. Its future raises what `run_task` raises, `ShardProcessDiedError`, and `ClusterError`."""

    def close(self) -> None:
        """End what still runs, and let go of the processes or of the cluster."""
