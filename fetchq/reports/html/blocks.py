"""Defines what a page is made of: sections, and in them tables and charts. `report.js` draws each kind.

Every text in them is shown as text, whatever is in it. Tables and charts have titles for people who cannot see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = [
    "Bars",
    "Block",
    "Column",
    "Fact",
    "Intervals",
    "Lines",
    "Section",
    "Series",
    "Share",
    "Table",
    "TimelineBlock",
]

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Fact:
    """A number at the top of the page."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    unit: str = "text"
    """How its cells are shown: `text`, `url`, `count`, `status`, `seconds`, `bytes`, `share` (0 to 1), or `rate` (a
    second)."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, which can be sorted, and searched if it is long."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    kind: str = field(default="table", init=False)


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a chart."""

    name: str
    values: Sequence[float]
    colour: str = ""
    """The name of a phase, a part of the workers' time or a cause, which have colours of their own."""


@dataclass(frozen=True, slots=True)
class Share:
    """A bar that divides a whole into its parts, and a table of them."""

    title: str
    unit: str
    parts: Sequence[tuple[str, float, str]]
    """The name, the value and the meaning of each."""
    kind: str = field(default="share", init=False)


@dataclass(frozen=True, slots=True)
class Lines:
    """Series over time, which share an axis with the timeline."""

    title: str
    unit: str
    start: float
    """Where the first value begins, in seconds since the run began."""
    step: float
    """Seconds between the values."""
    series: Sequence[Series]
    stacked: bool = False
    kind: str = field(default="lines", init=False)


@dataclass(frozen=True, slots=True)
class Bars:
    """Series over named classes, such as the bins of a histogram."""

    title: str
    unit: str
    axis: str
    """What the classes are."""
    names: Sequence[str]
    series: Sequence[Series]
    kind: str = field(default="bars", init=False)


@dataclass(frozen=True, slots=True)
class Intervals:
    """Values with an interval around each, such as means with their confidence intervals."""

    title: str
    unit: str
    names: Sequence[str]
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    note: str = ""
    kind: str = field(default="intervals", init=False)


@dataclass(frozen=True, slots=True)
class TimelineBlock:
    """What each worker did when: exactly, if `rows` are few; otherwise the share of each phase in each bin."""

    title: str
    phases: Sequence[str]
    lanes: Sequence[str]
    """The names of the lanes: a worker each, or several where there are many."""
    end: float
    """Seconds from the beginning of the run to its end."""
    rows: Sequence[tuple[int, int, float, Sequence[float]]] = ()
    """The row's number, as in the tables that begin with a column "Row"; its lane, when it began in seconds, and the
    seconds of each phase."""
    start: float = 0.0
    """Where the first bin begins, in seconds."""
    step: float = 0.0
    """The width of a bin in seconds."""
    bins: int = 0
    cells: str = ""
    """For each lane, bin and phase a byte in Base64: the share of the bin's time, where 255 is all of it."""
    breaks: Sequence[float] = ()
    """Where a later session of the run begins, in seconds."""
    kind: str = field(default="timeline", init=False)


Block = Table | Share | Lines | Bars | Intervals | TimelineBlock


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading."""

    title: str
    blocks: Sequence[Block]
    note: str = ""
