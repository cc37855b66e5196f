"""Sends the messages of a process to its run, from any thread."""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress

from fetchq.processes.messages import Kind, write_message

__all__ = ["MessageSender"]


class MessageSender:
    """The pipe to the run, which may be full. Any thread may call the methods."""

    def __init__(self, output: int) -> None:
        """`output`: the descriptor of the pipe."""
        self._stream = os.fdopen(output, "wb")
        self._sending = threading.Lock()
        self._notices: deque[tuple[Kind, bytes]] = deque()
        self._noticed = threading.Event()
        self._thread: threading.Thread | None = None

    def send(self, kind: Kind, content: bytes = b"") -> None:
        """Send a message after those before it; it waits while the pipe is full. Raises OSError."""
        with self._sending:
            self._send_notices()
            write_message(self._stream, kind, content)

    def notice(self, kind: Kind, content: bytes = b"") -> None:
        """Have a thread send a message, before those that are sent later. It does not wait."""
        self._notices.append((kind, content))
        self._noticed.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="fetchq-notices", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        with suppress(OSError):  # the run has ended
            while self._noticed.wait():
                self._noticed.clear()
                with self._sending:
                    self._send_notices()

    def _send_notices(self) -> None:
        while self._notices:
            write_message(self._stream, *self._notices.popleft())
