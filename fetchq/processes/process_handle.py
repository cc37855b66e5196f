"""Defines one of the processes of a run, as the run sees it: its pipes, the rows that it has, and what it says."""

from __future__ import annotations

import os
import pickle
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from fetchq.core.text import one_line
from fetchq.processes.messages import Kind, read_message, write_message
from fetchq.processes.process_rows import ProcessRows
from fetchq.processes.starting import StartedProcess, start_process
from fetchq.processes.transfer import encode_rows
from fetchq.workers.python_process import exit_text, hand_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fetchq.processes.task import Share, Task

__all__ = ["ProcessHandle"]

_MOST_AT_ONCE = 500
"""The most rows in a message."""


class ProcessHandle:
    """One process, and the rows that it has to fetch. A thread of its own sends them, as the process asks for them.

    So nobody else waits for a process that reads nothing, since it has enough rows, or is suspended.
    """

    def __init__(
        self,
        number: int,
        share: Share,
        copy: StartedProcess | None,
        on_sent: Callable[[], None],
        on_problem: Callable[[BaseException], None],
    ) -> None:
        """`number`: its number, from 1, for messages to people.

        `copy`: the process to begin with; None if it is still to be started. `on_sent` is called after it was sent
        rows, and `on_problem` with an exception that has ended the thread that sends.
        """
        self.number = number
        self.share = share
        """Its part of the limits of the run, which a process that follows it begins with."""
        self.is_over = False
        """Whether it has done all that it had to, or died for the last time."""
        self._on_sent = on_sent
        self._on_problem = on_problem
        self._copy = copy
        self._changed = threading.Condition()
        """Guards all that follows, and is notified of every change."""
        self.rows = ProcessRows(self._changed)
        self._wanted = 0
        """How many more messages with rows the process has asked for."""
        self._controls: deque[tuple[Kind, bytes]] = deque()
        self.ended = False
        """Whether no more rows will come."""
        self._end_is_sent = False
        self._closed = False
        self._started: StartedProcess | None = None
        self._threads: list[threading.Thread] = []

    def start(self, make_task: Callable[[int], Task]) -> Iterator[tuple[Kind, bytes]]:
        """Start the process, and a thread that sends to it. Returns what the process says, until it has ended.

        `make_task`: makes its task, with the descriptor for its messages. A process that follows a dead one gets the
        rows that this one had. Raises OSError.
        """
        with self._changed:
            self._end()  # the one before it, which has died
            started, self._copy = self._copy, None
        started = started or start_process()
        with self._changed:
            self._started = started
            if self._closed:  # meanwhile
                self._started = None
                started.discard()
                return iter(())
            self.rows.take_back()
            self._wanted = 0
            self._end_is_sent = False
        name = f"fetchq-to-process-{self.number}"
        thread = threading.Thread(target=self._send, args=(started, make_task(started.output)), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)
        return self._messages(started.messages)

    def _messages(self, reading: int) -> Iterator[tuple[Kind, bytes]]:
        with os.fdopen(reading, "rb", buffering=1 << 18) as stream:
            while (message := read_message(stream)) is not None:
                kind, _ = message
                if kind is Kind.MORE:
                    with self._changed:
                        self._wanted += 1
                        self._changed.notify_all()
                    continue
                yield message

    # --- what it is given ---

    def end(self) -> None:
        """Note that no more rows will come."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def tell(self, kind: Kind, content: Any = None) -> None:
        """Send a message, after those sent before. `content` is pickled, unless it is None."""
        with self._changed:
            self._controls.append((kind, b"" if content is None else pickle.dumps(content)))
            self._changed.notify_all()

    # --- its end ---

    def exit_text(self) -> str:
        """How the process has ended, which it has: one line, with the last line of its standard error."""
        assert self._started is not None
        status, errors = self._started.process.wait(), self._started.errors
        errors.seek(0)
        last = one_line(errors.read().decode(errors="replace").strip().rpartition("\n")[2])
        return f"process {self.number} {exit_text(status)}{f': {last}' if last else ''}"

    def close(self) -> None:
        """End the process, if it has not ended, and everything that belongs to it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._end()
            if self._copy is not None:
                self._copy.discard()
        for thread in self._threads:
            thread.join()

    def _end(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started.end()

    # --- the thread that sends ---

    def _send(self, started: StartedProcess, task: Task) -> None:
        stdin = started.process.stdin
        assert stdin is not None
        try:
            hand_over(stdin, task)
            while (message := self._next(started)) is not None:
                write_message(stdin, *message)
                if message[0] is Kind.ROWS:
                    self._on_sent()
        except Exception as problem:  # noqa: BLE001  # raised in the thread that iterates the run
            with self._changed:
                current = self._started is started
            if current and not isinstance(problem, OSError):  # else the process has ended, or was closed
                self._on_problem(problem)

    def _next(self, started: StartedProcess) -> tuple[Kind, bytes] | None:
        """Wait for the next message to send. Returns None if the process is not the current one any more."""
        with self._changed:
            while True:
                if self._closed or self._started is not started:
                    return None
                if self._controls:
                    return self._controls.popleft()
                if self.rows.waiting and self._wanted:
                    self._wanted -= 1
                    rows = self.rows.take(_MOST_AT_ONCE)
                    break
                if self.ended and not self.rows.waiting and not self._end_is_sent:
                    self._end_is_sent = True
                    return Kind.END, b""
                self._changed.wait()
        return Kind.ROWS, encode_rows(rows)
