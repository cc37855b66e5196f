"""Writes a JSON file that is mostly one long array, item by item."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from fetchq.core.atomic_file import atomic_write
from fetchq.store.sinks.records_jsonl import json_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["JsonFile"]


class JsonFile:
    """A JSON file under a temporary name until it is complete. A method that raises deletes it."""

    def __init__(self, path: str, head: bytes) -> None:
        """`head`: the text before the first item of the array, "[" included. Raises OSError."""
        self._stack = ExitStack()
        self._stream = self._stack.enter_context(atomic_write(path))
        self._separator = b""
        with self._deleted_on_error():
            self._stream.write(head)

    def add(self, items: Iterable[dict[str, Any]]) -> None:
        """Write items of the array, each on a line of its own. Raises OSError, and what the iterable raises."""
        with self._deleted_on_error():
            if lines := [json_line(item)[:-1] for item in items]:
                self._stream.write(self._separator + b"\n" + b",\n".join(lines))
                self._separator = b","

    def close(self, tail: bytes) -> None:
        """Write the text after the last item, "]" included, and complete the file. Raises OSError."""
        with self._deleted_on_error():
            self._stream.write(tail)
        self._stack.close()

    @contextmanager
    def _deleted_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:  # raised again, whatever it is
            self._stack.__exit__(*sys.exc_info())
            raise
