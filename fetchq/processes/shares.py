"""Divides the limits of a whole run among its processes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fetchq.core.apportion import apportioned
from fetchq.processes.task import Share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.core.settings import Settings

__all__ = ["RATE_PERIOD", "first_shares", "most_processes", "rates_of"]

RATE_PERIOD = 1.0
"""The period, in seconds, in which no more requests may start than the rate allows."""


def most_processes(settings: Settings) -> int:
    """How many processes the run can have: each needs a worker, and one start per second of the rate.

    A smaller share of the rate would be one start in several seconds, and several processes might have theirs in the
    same second.
    """
    most = min(settings.processes, settings.workers)
    if settings.rate is not None:
        most = min(most, max(1, int(settings.rate)))
    if settings.limit_rate is not None:
        most = min(most, settings.limit_rate)
    return most


def first_shares(settings: Settings, needs: Sequence[int], *, known: bool) -> list[Share]:
    """The share that each process begins with, which together are the limits of the run.

    `needs`: how many rows each has so far. `known`: whether these are all. If not, more hosts may come for any of them,
    so half of each limit is divided evenly.
    """
    if not known:
        mean = max(1, sum(needs) // len(needs))
        needs = [need + mean for need in needs]
    shares = [Share(workers, None, None) for workers in apportioned(settings.workers, needs)]
    if settings.limit_rate is not None:
        limits = apportioned(settings.limit_rate, needs)
        shares = [replace(share, limit_rate=limit) for share, limit in zip(shares, limits, strict=True)]
    if settings.rate is not None:
        rates = rates_of(settings.rate, needs)
        shares = [replace(share, rate=rate) for share, rate in zip(shares, rates, strict=True)]
    return shares


def rates_of(rate: float, needs: Sequence[int]) -> list[float]:
    """Divide a rate among processes: whole starts per second, so that no second has more starts than the rate allows.

    There are at most as many processes as whole starts, or one.
    """
    if len(needs) == 1:
        return [rate]
    return [float(part) for part in apportioned(int(rate), needs)]
