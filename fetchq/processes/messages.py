"""Defines what a run and the processes that fetch for it say to each other.

A message is its length, its kind and its content. `transfer` encodes the rows and the Results in it.
"""

from __future__ import annotations

from enum import Enum, IntEnum, auto
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import IO

__all__ = ["Kind", "Released", "read_message", "write_message"]


class Kind(IntEnum):
    """The kinds of messages: to a process, and from one."""

    ROWS = 1
    """Rows to fetch."""
    END = 2
    """No more rows will come."""
    STOP = 3
    """Begin no more attempts."""
    ABORT = 4
    """Interrupt those under way, too."""
    RESTART = 5
    """Measure from now on."""
    SHARE = 6
    """The share of the run's limits from now on, pickled."""
    MORE = 7
    """The process has room for another batch of rows."""
    RESULTS = 8
    """Results, and the index of each."""
    PREPARED = 9
    """Results that the process has prepared (`preparing`)."""
    STARTED = 10
    """An attempt begins: the index of the row, and the number of the worker, pickled."""
    RETRIED = 11
    """A pickled `RetryEvent`."""
    RAISED = 12
    """The pickled exception that has ended the process."""
    SHARED = 13
    """The process obeys its new share."""
    REPORT = 14
    """The pickled `ProcessReport`, the last message of a process."""
    LIMIT = 15
    """In this process alone, as many rows have failed as may fail."""
    RELEASE = 16
    """Give up lanes, if nothing is under way in them and no host was held back: pairs of number and lane, pickled."""
    RELEASED = 17
    """Those numbers and lanes, and whether each was given up (`Released`), pickled."""


class Released(Enum):
    """Whether a process has given up a lane."""

    YES = auto()
    LATER = auto()
    """It may, when something has ended that is under way there."""
    NEVER = auto()
    """A host of the lane was held back, which another process would not know."""


_HEAD = Struct("<IB")


def write_message(stream: IO[bytes], kind: Kind, content: bytes = b"") -> None:
    """Write a message, and flush the stream. Raises OSError."""
    stream.write(_HEAD.pack(len(content), kind))
    stream.write(content)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[Kind, bytes] | None:
    """The next message; None if the stream has ended, also in the middle of one. It blocks. Raises OSError."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    size, kind = _HEAD.unpack(head)
    content = stream.read(size)
    return (Kind(kind), content) if len(content) == size else None
