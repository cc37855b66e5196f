"""Divides the limits of a whole run among its processes, in proportion to what each has to fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.processes.task import Share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.core.settings import Settings

__all__ = ["divide", "most_processes", "shares_of"]


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


def shares_of(settings: Settings, needs: Sequence[int]) -> list[Share]:
    """The share of each process, which together are the limits of the run. `needs`: how many rows each has."""
    workers = divide(settings.workers, needs)
    rates: list[float | None] = [None] * len(needs)
    if settings.rate is not None:
        whole = divide(max(len(needs), int(settings.rate)), needs)
        rest = settings.rate - sum(whole)
        rates = [part + rest if place == 0 else float(part) for place, part in enumerate(whole)]
    limits: Sequence[int | None] = [None] * len(needs)
    if settings.limit_rate is not None:
        limits = divide(settings.limit_rate, needs)
    return [Share(*share) for share in zip(workers, rates, limits, strict=True)]


def divide(total: int, needs: Sequence[int]) -> list[int]:
    """Divide `total`, which is at least the number of needs, in proportion to them, but so that each gets at least 1.

    Equal needs get parts that differ by at most 1; where all are 0, the parts are equal.
    """
    spare = total - len(needs)
    weights = needs if any(needs) else [1] * len(needs)
    whole = sum(weights)
    # Each gets 1 first, and what it would have without that counts for how the rest is divided.
    wanted = [max(0.0, total * weight / whole - 1) for weight in weights]
    most = sum(wanted)
    scale = spare / most if most else 0.0
    parts = [int(one * scale) for one in wanted]
    by_rest = sorted(range(len(needs)), key=lambda place: parts[place] - wanted[place] * scale)
    for place in by_rest[: spare - sum(parts)]:
        parts[place] += 1
    return [1 + part for part in parts]
