"""Decides which process fetches which hosts, without I/O."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fetchq.scheduling.host_key import key_for
from fetchq.scheduling.lanes import lane_for, lane_of_host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fetchq.core.model import Request
    from fetchq.core.settings import Settings

__all__ = ["LANES", "Router"]

LANES = 4096
"""How many lanes there are. The more, the fewer hosts share one: a host with many rows is to have few beside it."""
_MOST_KNOWN = 100_000
"""The most hosts whose processes are remembered."""
_FEW = 100
"""A sample of fewer rows does not tell which host has most of the rows."""


class Router:
    """Gives each host to one process, for the whole run: first by a sample of the list, then as hosts come.

    A host that is new goes to the process that has got the fewest rows. Many hosts share a lane, and stay together.
    """

    def __init__(self, settings: Settings, processes: int) -> None:
        self.lane_of = lane_for(settings, LANES)
        """Computes the lane of a URL."""
        self._key_of = key_for(settings)
        self._process_of: list[int | None] = [None] * LANES
        self._known: dict[str, int] = {}
        """The processes of hosts, by their keys, which costs less than to compute their lanes."""
        self.rows = [0] * processes
        """How many rows each process has got."""
        self.largest: str | None = None
        """The host that has more than its share of the sampled rows, by its key."""
        self._largest_lane = 0
        self.largest_rows = 0
        """How many rows that host has got."""

    def lanes(self, rows: Sequence[Request]) -> int:
        """How many processes could share these rows at most."""
        return len({self.lane_of(one.url) for one in rows})

    def sample(self, rows: Sequence[Request]) -> list[int]:
        """Assign the hosts of these first rows, the largest ones first. Returns how many rows each process would get.

        A host with more than its share of the rows is alone in its process, as far as these rows tell.
        """
        lanes = Counter(self.lane_of(one.url) for one in rows)
        needs = [0] * len(self.rows)
        for lane, count in lanes.most_common():
            least = needs.index(min(needs))
            self._process_of[lane] = least
            needs[least] += count
        self._find_largest(rows)
        return needs

    def _find_largest(self, rows: Sequence[Request]) -> None:
        hosts = Counter(self._key_of(one.url) for one in rows)
        if len(rows) < _FEW:
            return
        host, count = hosts.most_common(1)[0]
        if count * len(self.rows) > len(rows):
            self.largest, self._largest_lane = host, lane_of_host(host, LANES)

    @property
    def largest_is_alone(self) -> bool:
        """Whether the process that has the largest host has no row of another one."""
        process = self._process_of[self._largest_lane]
        return process is not None and self.rows[process] == self.largest_rows

    def divide(self, rows: Sequence[Request]) -> list[list[Request]]:
        """The rows for each process."""
        key_of, known = self._key_of, self._known
        if len(known) > _MOST_KNOWN:
            known.clear()
        parts: list[list[Request]] = [[] for _ in self.rows]
        for row in rows:
            process = known.get(key := key_of(row.url))
            if process is None:
                known[key] = process = self._place(row.url, parts)
            parts[process].append(row)
            if key == self.largest:
                self.largest_rows += 1
        for number, part in enumerate(parts):
            self.rows[number] += len(part)
        return parts

    def move(self, lane: int, process: int, rows: int) -> None:
        """Assign a lane to another process, which gets so many rows of it that its process was to get."""
        before = self._process_of[lane]
        assert before is not None, "it has rows"
        self._process_of[lane] = process
        self._known.clear()
        self.rows[before] -= rows
        self.rows[process] += rows

    def _place(self, url: str, parts: Sequence[Sequence[Request]]) -> int:
        """The process for the lane of a URL. `parts`: the rows that each process gets just now."""
        process = self._process_of[lane := self.lane_of(url)]
        if process is None:
            given = [before + len(part) for before, part in zip(self.rows, parts, strict=True)]
            self._process_of[lane] = process = given.index(min(given))
        return process
