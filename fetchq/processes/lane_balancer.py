"""Moves lanes from processes with many waiting rows to those that run short of rows.

The hosts were assigned by the numbers of their first rows, which do not tell how long a row takes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from fetchq.processes.messages import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fetchq.core.model import Request
    from fetchq.processes.process_handle import ProcessHandle
    from fetchq.processes.router import Router

__all__ = ["LaneBalancer"]

_LEAST = 500
"""Fewer rows are not worth the connections that the other process opens for them."""
_MOST_LANES = 32
"""The most lanes that begin to move at a time: for each, a process looks at all of its hosts."""
_PAUSE = 5.0
"""Seconds before the next look at what waits, when no lane could move."""


@dataclass(slots=True, eq=False)
class _Move:
    """A lane on its way from one process to another."""

    number: int
    """The number of the move, since the lane may move more than once."""
    lane: int
    giver: ProcessHandle
    taker: ProcessHandle
    awaited: set[int]
    """The rows of the lane that the giver is still to finish, by index."""
    rows: list[Request] = field(default_factory=list)
    """The rows of the lane that wait, for either of the two."""


class LaneBalancer:
    """Moves lanes while every host stays in one process at a time, which holds its limits.

    A lane moves when the process that has it has finished all of its rows, and then has said that none of its hosts is
    held back: the limits and the pauses of a host do not move. If that process would run short of rows meanwhile, it
    keeps the lane.

    The methods are called under one lock, that of the `RowDistributor`.
    """

    def __init__(self, handles: Sequence[ProcessHandle], router: Router) -> None:
        self._handles = handles
        self._router = router
        self._moves: dict[int, _Move] = {}
        """By their lanes."""
        self._numbers = count()
        self._kept: set[int] = set()
        """The lanes that are not to move any more."""
        self._looks_again = 0.0

    def concerns(self, handle: ProcessHandle) -> bool:
        """Whether a lane is on its way from or to this process."""
        return any(handle in (move.giver, move.taker) for move in self._moves.values())

    def begin(self, taker: ProcessHandle, now: float) -> bool:
        """Begin to move lanes to this process, about half of what another one has to spare.

        Returns False if there are none. `now`: a clock in seconds.
        """
        # One that has ended, and died, has rows again, but what it gives away could not come back.
        givers = [handle for handle in self._handles if not handle.ended]
        giver = max(givers, key=lambda handle: handle.rows.spare)
        spare = min((giver.rows.left - taker.rows.left) // 2, giver.rows.spare)
        if spare < _LEAST or now < self._looks_again:
            return False
        lanes = self._chosen(giver, spare)
        if not lanes:
            self._looks_again = now + _PAUSE
            return False
        waiting, unfinished = giver.rows.withdraw(lanes, self._router.lane_of)
        moves = {lane: _Move(next(self._numbers), lane, giver, taker, set()) for lane in lanes}
        for lane, row in waiting:
            moves[lane].rows.append(row)
        for lane, row in unfinished:
            moves[lane].awaited.add(row.index)
        self._moves |= moves
        for move in moves.values():
            _ask(move)
        return True

    def _chosen(self, giver: ProcessHandle, spare: int) -> set[int]:
        """Lanes of which the process has so many waiting rows, or fewer."""
        counts = Counter(self._router.lane_of(row.url) for row in giver.rows.waiting_rows())
        chosen: set[int] = set()
        for lane, rows in counts.most_common():
            if len(chosen) == _MOST_LANES:
                break
            if rows <= spare and lane not in self._kept:
                chosen.add(lane)
                spare -= rows
        return chosen

    def held_back(self, handle: ProcessHandle, rows: list[Request]) -> list[Request]:
        """Keep those of these rows, which are for that process, whose lanes are on their way. Returns the others."""
        if not self._moves:
            return rows
        others: list[Request] = []
        for row in rows:
            move = self._moves.get(self._router.lane_of(row.url))
            (others if move is None or move.giver is not handle else move.rows).append(row)
        return others

    def finished(self, rows: Iterable[Request]) -> None:
        """Note that these rows have their Results."""
        if not self._moves:
            return
        indexes = {row.index for row in rows}
        for move in self._moves.values():
            if not move.awaited.isdisjoint(indexes):
                move.awaited -= indexes
                _ask(move)

    def answered(self, number: int, lane: int, *, released: bool) -> None:
        """Note what the process has answered: whether it has released the lane, in the move with that number."""
        move = self._moves.get(lane)
        if move is None or move.number != number:  # it was undone meanwhile
            return
        if released:
            del self._moves[lane]
            self._router.move(move.lane, self._handles.index(move.taker), len(move.rows))
            move.taker.rows.give(move.rows)
        else:
            self._kept.add(lane)
            self._undo(move)

    def undo_late(self) -> None:
        """Undo the moves from processes that run short of rows themselves."""
        for move in list(self._moves.values()):
            if move.giver.rows.short:
                self._undo(move)

    def undo_from(self, handle: ProcessHandle) -> None:
        """Undo the moves from a process that has died: it cannot answer, and the one that follows it has its rows."""
        for move in list(self._moves.values()):
            if move.giver is handle:
                self._undo(move)

    def undo_all(self) -> None:
        """Undo all moves."""
        for move in list(self._moves.values()):
            self._undo(move)

    def _undo(self, move: _Move) -> None:
        del self._moves[move.lane]
        move.giver.rows.give(move.rows)


def _ask(move: _Move) -> None:
    """Ask for the lane once its rows are finished."""
    if not move.awaited:
        move.giver.tell(Kind.RELEASE, (move.number, move.lane))
