"""Defines how a comparison is made: how often the list is fetched, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from fetchq.core.option import ValidatedSettings, setting
from fetchq.core.parsers import read_flag
from fetchq.core.quantities import read_int

__all__ = ["MOST_ROWS", "PROCESSES", "ComparisonOptions"]

PROCESSES = "processes"
"""A word beside the modes of a run: one request at a time in each of as many processes as there are workers."""
MOST_ROWS = 100_000
"""The most rows that are compared, unless a limit is asked for."""

_option = partial(setting, group="Comparison")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOptions(ValidatedSettings):
    """How a comparison is made. Raises `SettingsError`."""

    rounds: int = _option(
        5,
        "--rounds",
        read_int,
        "How often each variant fetches the list, after once for warming up; 1: just once.",
        metavar="N",
        minimum=1,
        maximum=1000,
    )
    cold: bool = _option(False, "--cold", read_flag, "Let each run open its connections while its clock runs.")
    limit: int | None = _option(
        None,
        "--limit",
        read_int,
        f"Fetch only the first N rows; needed above {MOST_ROWS:,} rows.",
        metavar="N",
        minimum=1,
    )
    seed: int | None = _option(
        None, "--seed", read_int, "The random order of the runs follows from it.", metavar="N", minimum=0
    )

    @property
    def first_round(self) -> int:
        """The number of the first round: 0 if it does not count, but fills the caches of servers and resolvers.

        A single round is for a quick look, and has no other before it.
        """
        return 0 if self.rounds > 1 else 1
