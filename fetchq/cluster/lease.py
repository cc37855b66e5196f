"""Holds a lane while a shard of it runs, so that the limits of its hosts hold even if a killed driver's workers go on.

The holder renews the file of its lease every few seconds. Whoever wants the lane waits until the file is gone, or has
not changed for three times as long: by the clock of the one who waits, since those of two machines may differ. The
lease of a process that has ended on the same machine is taken at once. A lease protects the limits, and not the data:
the data of an attempt counts only if its marker was the first.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any, Self

from fetchq.cluster.storage import JobStorage
from fetchq.core.disk import StorageError

__all__ = ["HEARTBEAT", "Lease", "is_held", "process_identity"]

HEARTBEAT = 3.0
"""Seconds between two renewals."""
_LOST_AFTER = 3
"""How many renewals must be missing before another one takes the lease."""
_POLL = 0.25
"""Seconds between two looks at the lease of another one."""
_SETTLE = 0.5
"""Seconds after which the one who has taken a lease looks whether another one took it at the same time."""


@dataclass(frozen=True, slots=True)
class _Process:
    """What tells a process apart from all others, on any machine; `namespace` is empty where the system does not say.

    Within a namespace, a process with another `pid` can be seen to live."""

    namespace: str
    pid: int


class Lease:
    """The lease of a lane. As a context manager it is acquired, renewed by a thread of its own, and released."""

    def __init__(
        self,
        storage: JobStorage,
        name: str,
        holder: str,
        run: str,
        *,
        on_wait: Callable[[], None] = lambda: None,
        on_beat: Callable[[], None] = lambda: None,
        on_lost: Callable[[], None] = lambda: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """`holder`: who acquires it, for which `run`, that is call of a command.

        `on_wait` is called once if another one has it. `on_beat` is called after each renewal, and `on_lost` if another
        one has taken the lease; both in the thread. `stopped`: whether to give up waiting, with InterruptedError.
        """
        self._storage = storage
        self._name = name
        self._holder = holder
        self._run = run
        self._on_wait, self._on_beat, self._on_lost = on_wait, on_beat, on_lost
        self._is_stopped = stopped
        self._beat = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="fetchq-lease", daemon=True)

    def __enter__(self) -> Self:
        self._acquire()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        try:
            if self._is_mine():
                self._storage.delete(self._name)
        except StorageError:
            pass  # others see soon that it is not renewed any more

    def _acquire(self) -> None:
        waiting = False
        while not self._storage.create(self._name, self._content()):
            seen = _read(self._storage, self._name)
            if seen is None:
                continue  # it was released just now
            if not waiting and not _has_ended(seen):
                waiting = True
                self._on_wait()
            if self._is_given_up(seen):
                self._storage.write(self._name, self._content())
                self._pause(_SETTLE)
                if self._is_mine():
                    return

    def _is_given_up(self, seen: dict[str, Any]) -> bool:
        """Wait until the lease has changed (False), or its holder has not renewed it for too long (True)."""
        until = monotonic() + _LOST_AFTER * HEARTBEAT
        while not _has_ended(seen) and monotonic() < until:
            self._pause(_POLL)
            if _read(self._storage, self._name) != seen:
                return False
        return True

    def _pause(self, seconds: float) -> None:
        if self._is_stopped():
            raise InterruptedError
        self._ended.wait(seconds)

    def _renew(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            try:
                if not self._is_mine():
                    self._on_lost()
                    return
                self._beat += 1
                self._storage.write(self._name, self._content())
            except StorageError:
                continue  # the next beat may succeed; if none does, another one takes the lease
            self._on_beat()

    def _is_mine(self) -> bool:
        found = _read(self._storage, self._name)
        return found is not None and found.get("holder") == self._holder

    def _content(self) -> bytes:
        me = process_identity()
        found = {"holder": self._holder, "run": self._run, "host": socket.gethostname(), "beat": self._beat}
        return json.dumps(found | {"namespace": me.namespace, "pid": me.pid}).encode()


def is_held(storage: JobStorage, name: str) -> dict[str, Any] | None:
    """What the lease says of its holder, who may have been killed since; None if nobody has it.

    Raises `StorageError`.
    """
    found = _read(storage, name)
    return None if found is None or _has_ended(found) else found


def _read(storage: JobStorage, name: str) -> dict[str, Any] | None:
    try:
        found = json.loads(storage.read(name))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}  # it is there, but nobody renews it
    return found if isinstance(found, dict) else {}


def _has_ended(lease: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine, which has ended."""
    me, pid = process_identity(), lease.get("pid")
    if not me.namespace or lease.get("namespace") != me.namespace or not isinstance(pid, int) or pid <= 0:
        return False
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in ("Z", "X")  # it waits for its parent
    except (FileNotFoundError, ProcessLookupError):
        return True
    except (OSError, IndexError):
        return False


@cache
def _namespace() -> str:
    """The machine, as it was booted, and the namespace of its process numbers; empty where there is no /proc."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def process_identity() -> _Process:
    """This process."""
    return _Process(_namespace(), os.getpid())
