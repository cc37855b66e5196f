"""Finds the processes that a test has started."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from faults.wire import Connection

__all__ = ["children", "peer"]


def children() -> set[int]:
    """The processes that this one has started, whether they have ended or not."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def peer(conn: Connection) -> int:
    """The process, among those that this one has started, that has the other end of a connection."""
    wanted = [address[1] for address in (conn._sock.getpeername(), conn._sock.getsockname())]
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = [row[9] for row in table if [int(end.rpartition(":")[2], 16) for end in row[1:3]] == wanted]
    for pid in children():
        with suppress(OSError):  # a process ends meanwhile
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):  # or closes a file
                    if os.readlink(descriptor) == f"socket:[{inode}]":
                        return pid
    raise AssertionError(f"nobody has the ports {wanted}")
