"""Makes the sink that writes the records of a run to stdout, in the format and the selection that were asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fetchq.core.cause import Cause
from fetchq.reports.text_sink import TextSink
from fetchq.store.sinks import sink_for

if TYPE_CHECKING:
    from fetchq.cli.display import Display
    from fetchq.core.model import Result
    from fetchq.reports.text import Paint
    from fetchq.store.sinks.base import Sink

__all__ = ["one_device", "stdout_sink"]

_MOST_HELD = 1_000_000
"""Bytes of lines that are written at a time to a stdout that is also stderr."""


def stdout_sink(display: Display, write_out: Callable[[bytes], None] | None, paint: Paint | None) -> Sink | None:
    """The sink for the records; None if none are to be written.

    `write_out`: writes to stdout where stderr is the same terminal or file. `paint`: colours lines of text.
    """
    stdout: Any = sys.stdout.buffer if write_out is None else _SharedStdout(write_out)
    if display.records == "none":
        return None
    if display.records != "text":
        sink = sink_for(display.records, stdout, display.include, display.passed, display.fields)
    elif display.writes_text:
        sink = TextSink(stdout, paint)
    else:
        return None
    return sink if display.only in (None, "all") else _ChosenRows(sink, failed=display.only == "failed")


class _ChosenRows:
    """Passes the Results of rows that have failed, or of those that are ok, to another sink.

    Rows that were not tried, or cut off, are neither.
    """

    def __init__(self, sink: Sink, *, failed: bool) -> None:
        self._sink = sink
        self._failed = failed

    def write(self, results: Sequence[Result]) -> None:
        if self._failed:
            self._sink.write([one for one in results if not one.ok and one.cause is not Cause.CANCELLED])
        else:
            self._sink.write([one for one in results if one.ok])

    def flush(self) -> None:
        self._sink.flush()


class _SharedStdout:
    """Stands for stdout if it is the same terminal or file as stderr. The progress display writes its lines."""

    def __init__(self, write_out: Callable[[bytes], None]) -> None:
        self._write_out = write_out
        self._held = bytearray()

    def write(self, text: bytes) -> None:
        self._held += text
        if len(self._held) >= _MOST_HELD:
            self.flush()

    def flush(self) -> None:
        held, self._held = self._held, bytearray()
        if held:
            self._write_out(bytes(held))


def one_device() -> bool:
    """Whether stdout and stderr are the same terminal or file."""
    try:
        out, err = os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):  # one of them has no file descriptor
        return False
    return (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino)
