"""Defines a batch of Results that the process which has fetched them has prepared: encoded, stored and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from fetchq.core.model import Result

__all__ = ["Preparation", "PreparedResults"]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a process is to do with its Results, so that nothing else is needed of them."""

    format: str | None = None
    """How the records are encoded: "jsonl", or "text" for a line of text for each row; None if nobody reads them."""
    include: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    """For the records in JSON Lines, as in `sink_for`."""
    generation: int | None = None
    """The generation of the ledger for which rows are made; None for a run without a ledger."""


class PreparedResults(Sequence["Result"]):
    """Results of which nothing is needed but what was made of them, so that they were never sent.

    It has a length, as any batch, but its Results cannot be had.
    """

    __slots__ = ("failed", "lines", "rows", "summary")

    def __init__(self, lines: bytes, rows: list[tuple[Any, ...]], failed: bytes, summary: Any) -> None:
        """`lines`: the encoded records. `rows`: of the ledger, for the rows that are done.

        `failed`: a byte for each row that is done, 1 if it has failed. `summary`: the `Summary` of these Results.
        """
        self.lines = lines
        self.rows = rows
        self.failed = failed
        self.summary = summary

    def __len__(self) -> int:
        total: int = self.summary.total
        return total

    def __getitem__(self, place: object) -> NoReturn:
        raise TypeError("these Results are in the process that has fetched them")
