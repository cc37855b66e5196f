"""Defines a batch of Results that another process has encoded and counted already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from fetchq.core.model import Result

__all__ = ["EncodedResults", "RecordFormat"]


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """What the records are to be like that the processes encode, as JSON Lines: see `sink_for`."""

    include: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


class EncodedResults(Sequence["Result"]):
    """Results of which nothing is needed but their records and their numbers, so that they were never sent.

    It has a length, as any batch, but its Results cannot be had.
    """

    __slots__ = ("failed", "lines", "summary")

    def __init__(self, lines: bytes, failed: bytes, summary: Any) -> None:
        """`lines`: the records as JSON Lines. `failed`: a byte for each row that is done, 1 if it has failed.

        `summary`: the `Summary` of these Results.
        """
        self.lines = lines
        self.failed = failed
        self.summary = summary

    def __len__(self) -> int:
        total: int = self.summary.total
        return total

    def __getitem__(self, place: object) -> NoReturn:
        raise TypeError("these Results are in the process that has fetched them")
