"""Defines what a Result says about each redirect before its final response."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HopTiming", "RedirectHop", "hop_records", "hops_from_json", "hops_to_json"]


@dataclass(frozen=True, slots=True)
class HopTiming:
    """Where the time of a redirect went, in seconds. The phases are those of `Timing` that a redirect has."""

    dns: float = 0.0
    connect: float = 0.0
    tls: float | None = None
    wait: float = 0.0
    receive: float = 0.0
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class RedirectHop:
    """A redirect that was followed."""

    status: int
    url: str
    """The URL that was asked for and answered with the redirect; a user name and password in it are shown as `***`."""
    elapsed: float
    """Seconds from the search for a connection to the end of the redirect; they are part of `Result.elapsed`."""
    timing: HopTiming
    """The phases add up to `elapsed`."""


def hop_records(hops: Iterable[RedirectHop]) -> list[dict[str, Any]]:
    """The hops as they stand in a record: one object each, in the order in which they were followed."""
    return [asdict(hop) for hop in hops]


def hops_to_json(hops: tuple[RedirectHop, ...]) -> str | None:
    """The hops as a JSON text for the ledger; None if there are none."""
    return json.dumps(hop_records(hops)) if hops else None


def hops_from_json(text: str | None) -> tuple[RedirectHop, ...]:
    """The hops that `hops_to_json` has written. Raises ValueError for another text."""
    try:
        found = [] if text is None else json.loads(text)
        return tuple(RedirectHop(**(hop | {"timing": HopTiming(**hop["timing"])})) for hop in found)
    except (KeyError, TypeError, RecursionError) as problem:
        raise ValueError(f"these are not redirects: {problem!r}") from None
