"""Counts the rows of each host in bounded memory: of very many hosts, those with little to tell are merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fetchq.core.text import printable, shortened
from fetchq.reports.histogram import Histogram
from fetchq.reports.html.blocks import Cell, Column, Table

__all__ = ["HostTable"]

MOST_HOSTS = 1000
"""How many hosts are counted; when as many more have come, those with the fewest rows, failures and time are merged."""
MOST_SHOWN = 300
_LONGEST = 200
"""Characters of a host that are shown."""


@dataclass(slots=True)
class _Host:
    rows: int = 0
    failed: int = 0
    size: int = 0
    seconds: float = 0.0
    elapsed: Histogram = field(default_factory=Histogram)
    wait: Histogram = field(default_factory=Histogram)

    def merge(self, other: _Host) -> None:
        self.rows += other.rows
        self.failed += other.failed
        self.size += other.size
        self.seconds += other.seconds
        self.elapsed.merge(other.elapsed)
        self.wait.merge(other.wait)


class HostTable:
    """The numbers of each host."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}
        self._others = _Host()

    def add(self, host: str, *, ok: bool, size: int, elapsed: float | None, wait: float) -> None:
        """Count a row. `elapsed`: seconds; None if no attempt was made."""
        one = self._hosts.get(host)
        if one is None:
            if len(self._hosts) >= 2 * MOST_HOSTS:
                self._merge()
            one = self._hosts[host] = _Host()
        one.rows += 1
        one.failed += not ok
        one.size += size
        if elapsed is not None:
            one.seconds += elapsed
            one.elapsed.add((elapsed,))
            one.wait.add((wait,))

    def table(self, title: str) -> Table:
        """The hosts that took the most time, had the most failures or the most rows, and all others as one row."""
        kept = self._leading(MOST_SHOWN)
        others = _Host()
        others.merge(self._others)
        rest = [one for name, one in self._hosts.items() if name not in kept]
        for one in rest:
            others.merge(one)
        hosts = sorted(kept.items(), key=lambda item: -item[1].seconds)
        rows = [_row(shortened(printable(name), _LONGEST), one) for name, one in hosts]
        note = ""
        if others.rows:
            rows.append(_row("(all others)", others))
            note = f"The {len(kept)} hosts with the most time, failures or URLs."
            if self._others.rows:
                note += " Of so many hosts, one that had few URLs for long may have more than are shown."
        columns = (
            Column("Host"),
            Column("URLs", "count"),
            Column("Failed", "count"),
            Column("Time in all", "seconds"),
            Column("p50", "seconds"),
            Column("p90", "seconds"),
            Column("p99", "seconds"),
            Column("Wait p50", "seconds"),
            Column("Size", "bytes"),
        )
        return Table(title, columns, rows, note)

    def _leading(self, most: int) -> dict[str, _Host]:
        """At most so many hosts: those with the most time, failures or rows."""
        if len(self._hosts) <= most:
            return dict(self._hosts)
        kept: dict[str, _Host] = {}
        for by in ("seconds", "failed", "rows"):
            ordered = sorted(self._hosts.items(), key=lambda item: -float(getattr(item[1], by)))
            kept.update(ordered[: most // 3])
        return kept

    def _merge(self) -> None:
        kept = self._leading(MOST_HOSTS)
        for name, one in self._hosts.items():
            if name not in kept:
                self._others.merge(one)
        self._hosts = kept


def _row(name: str, host: _Host) -> Sequence[Cell]:
    percentiles = [host.elapsed.percentile(percent) for percent in (50, 90, 99)]
    return (name, host.rows, host.failed, host.seconds, *percentiles, host.wait.percentile(50), host.size)
