"""Moves lanes from processes with many waiting rows to those that run short of rows.

The hosts were assigned by the numbers of their first rows, which do not tell how long a row takes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from fetchq.processes.messages import Kind, Released

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fetchq.core.model import Request
    from fetchq.processes.process_handle import ProcessHandle
    from fetchq.processes.router import Router

__all__ = ["LaneBalancer"]

_LEAST = 500
"""Fewer rows are not worth the connections that the other process opens for them."""
_PAUSE = 5.0
"""Seconds before the next look at the waiting rows of a process of which no lane could move, for each so many rows."""
_PAUSE_ROWS = 100_000


@dataclass(slots=True, eq=False)
class _Move:
    """A lane on its way from one process to another."""

    number: int
    """The number of the move, since the lane may move more than once."""
    lane: int
    giver: ProcessHandle
    taker: ProcessHandle
    awaited: set[int] = field(default_factory=set)
    """The rows of the lane that the giver is still to finish, by index."""
    rows: list[Request] = field(default_factory=list)
    """The rows of the lane that wait, for either of the two."""
    asked: bool = False
    """Whether the giver has been asked for the lane, and has not answered."""


class LaneBalancer:
    """Moves lanes while every host stays in one process at a time, which holds its limits.

    A lane moves when the process that has it has finished all of its rows, and then has said that none of its hosts was
    ever held back: the limits and the pauses of a host do not move. If that process runs short of rows meanwhile, it
    keeps the lane.

    The methods are called under one lock, that of the `RowDistributor`.
    """

    def __init__(self, handles: Sequence[ProcessHandle], router: Router) -> None:
        self._handles = handles
        self._router = router
        self._moves: dict[int, _Move] = {}
        """By their lanes."""
        self._numbers = count()
        self._immovable: set[int] = set()
        """The lanes with hosts that were held back."""
        self._looks_again: dict[ProcessHandle, float] = {}
        """When the waiting rows of a process are looked at again, of which no lane could move."""

    def __bool__(self) -> bool:
        """Whether a lane is on its way."""
        return bool(self._moves)

    def begin(self, taker: ProcessHandle, now: float) -> bool:
        """Begin to move lanes to this process, so that it has its part of what is left, by its workers.

        Returns False if there are none. `now`: a clock in seconds; `inf` to look at all that wait.
        """
        coming = sum(len(move.rows) for move in self._moves.values() if move.taker is taker)
        # One that has ended, and died, has rows again, but what it gives away could not come back.
        givers = [handle for handle in self._handles if not handle.ended and handle is not taker]
        for giver in sorted(givers, key=lambda handle: -handle.rows.spare):
            theirs, mine = giver.share.workers, taker.share.workers
            even = (mine * giver.rows.left - theirs * (taker.rows.left + coming)) // (mine + theirs)
            most = min(even, giver.rows.spare)
            if most < _LEAST or now < self._looks_again.get(giver, 0.0):
                continue
            if self._move(giver, taker, most):
                return True
            self._looks_again[giver] = now + _PAUSE * max(1.0, giver.rows.waiting / _PAUSE_ROWS)
        return False

    def _move(self, giver: ProcessHandle, taker: ProcessHandle, most: int) -> bool:
        """Begin to move lanes with so many waiting rows at most. Returns False if there are none."""

        def choose(counts: Counter[int]) -> set[int]:
            chosen, left = set(), most
            for lane, rows in counts.most_common():
                if rows <= left and lane not in self._immovable:
                    chosen.add(lane)
                    left -= rows
            return chosen if most - left >= _LEAST else set()

        waiting, unfinished = giver.rows.withdraw(self._router.lane_of, choose)
        for lane, row in waiting:
            if lane not in self._moves:
                self._moves[lane] = _Move(next(self._numbers), lane, giver, taker)
            self._moves[lane].rows.append(row)
        for lane, row in unfinished:
            self._moves[lane].awaited.add(row.index)
        self._ask()
        return bool(waiting)

    def _ask(self) -> None:
        """Ask for the lanes whose rows are finished, each process for all of its own in one message."""
        lanes: defaultdict[ProcessHandle, list[tuple[int, int]]] = defaultdict(list)
        for move in self._moves.values():
            if not move.awaited and not move.asked:
                move.asked = True
                lanes[move.giver].append((move.number, move.lane))
        for giver, asked in lanes.items():
            giver.tell(Kind.RELEASE, asked)

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
            move.awaited -= indexes
        self._ask()

    def answered(self, answers: Iterable[tuple[int, int, Released]]) -> None:
        """Note what a process has answered: of each move and its lane, whether the lane was released."""
        for number, lane, released in answers:
            move = self._moves.get(lane)
            if move is None or move.number != number:  # it was undone meanwhile
                continue
            if released is Released.YES:
                del self._moves[lane]
                self._router.move(lane, self._handles.index(move.taker), len(move.rows))
                move.taker.rows.give(move.rows)
            elif released is Released.LATER:
                move.asked = False
            else:
                self._immovable.add(lane)
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
