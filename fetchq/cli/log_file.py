"""Appends what happens in a run to a log file (`--log-file`): a line for each row, retry and message, with its time."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fetchq.cli import say
from fetchq.core.atomic_file import refuse_link
from fetchq.core.model import Cause
from fetchq.core.option import SettingsError
from fetchq.core.text import printable, redact_all
from fetchq.http.url import shown_url
from fetchq.reports.summary import never_tried
from fetchq.reports.text import bytes_text, retry_text, seconds_text
from fetchq.store.folder import RESERVED_NAMES

if TYPE_CHECKING:
    from typing import TextIO

    from fetchq.cli.display import Display
    from fetchq.core.model import Request, Result
    from fetchq.core.settings import Settings
    from fetchq.workers.retry_event import RetryEvent

__all__ = ["LogFile", "check_log_file", "opened_log"]


@contextmanager
def opened_log(display: Display, settings: Settings, sources: Sequence[str]) -> Iterator[LogFile | None]:
    """The log of a run that fetches these sources; None if none is asked for. Raises `SettingsError`."""
    if display.log_file is None:
        yield None
        return
    check_log_file(display, settings, sources)
    try:
        stream = open(display.log_file, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115  # closed below
    except OSError as problem:
        raise _unwritable(display.log_file, problem) from None
    with stream:
        log = LogFile(stream, display.log_level)
        shown = ", ".join(shown_url(one) if "://" in one else redact_all(one) for one in sources)
        log.info(f"begins: {shown}; mode {settings.mode}, workers {settings.workers}")
        try:
            yield log
        finally:
            log.write_out()


def check_log_file(display: Display, settings: Settings, sources: Iterable[str]) -> None:
    """Raise `SettingsError` for a log file that cannot be written, or that the run needs for something else."""
    if (path := display.log_file) is None:
        return
    names = (settings.report, settings.har, settings.trace, settings.cookie_jar, settings.cacert, settings.cert)
    used = [*(one for one in (*names, settings.key) if one is not None), *(one for one in sources if "\0" not in one)]
    real = os.path.realpath(path)
    folder, name = os.path.split(real)
    run = None if settings.output is None else os.path.realpath(settings.output)
    if any(_is_same(real, one) for one in used) or (folder == run and name in RESERVED_NAMES):
        raise SettingsError("log_file", f"the run needs {path!r} for something else")
    try:
        refuse_link(path)
        if not os.path.isdir(folder) and folder != run:  # which the run makes
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not os.access(real if os.path.exists(real) else folder, os.W_OK) and folder != run:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as problem:
        raise _unwritable(path, problem) from None


def _is_same(real: str, source: str) -> bool:
    """Whether a file of the run has this real path, or is the same file under another name: a link, or as stdin."""
    if real == os.path.realpath(source):
        return True
    with suppress(OSError):
        found, other = os.stat(real), os.fstat(0) if source == "-" else os.stat(source)
        return stat.S_ISREG(found.st_mode) and os.path.samestat(found, other)
    return False


def _unwritable(path: str, problem: OSError) -> SettingsError:
    return SettingsError("log_file", f"{path!r} cannot be written: {problem.strerror or problem}")


class LogFile:
    """A log file. Any thread may call its methods; all but `write_out` and `done` leave the lines in memory."""

    def __init__(self, stream: TextIO, level: str) -> None:
        """`level`: the least level of the lines: debug, info, warning or error."""
        self._logger = logging.Logger("fetchq", level.upper())
        self._lines = _Lines(stream)
        self._logger.addHandler(self._lines)
        self.starts = self._logger.isEnabledFor(logging.DEBUG)
        """Whether it has the starts of attempts."""

    def info(self, text: str) -> None:
        """Add a line about the run."""
        self._logger.info("%s", printable(text))

    def warn(self, text: str) -> None:
        """Add a line about something unusual."""
        self._logger.warning("%s", printable(text))

    def started(self, request: Request, worker: int) -> None:
        """Add the start of an attempt."""
        if self.starts:
            self._logger.debug("%s: worker %d starts", printable(shown_url(request.url)), worker)

    def retried(self, event: RetryEvent) -> None:
        """Add a failed attempt that is followed by another one, and when."""
        self._logger.warning("%s: %s", printable(shown_url(event.request.url)), retry_text(event))

    def done(self, results: Sequence[Result]) -> None:
        """Add the rows that are done, and write all lines to the file. Rows that were never tried are left out."""
        for result in results:
            url, took = printable(result.url), seconds_text(result.elapsed)
            if result.cause is None:
                self._logger.info("%s: %s, %s in %s", url, result.status, bytes_text(result.size), took)
            elif not never_tried(result):
                tries = f" after {result.attempts} attempts" if result.attempts > 1 else ""
                error = printable(result.error or "failed")
                level = logging.WARNING if result.cause is Cause.CANCELLED else logging.ERROR
                self._logger.log(level, "%s: %s: %s, in %s%s", url, result.cause.value, error, took, tries)
        self.write_out()

    def write_out(self) -> None:
        """Write the lines that are in memory to the file."""
        self._lines.write_out()


class _Lines(logging.Handler):
    """Keeps the lines until they are written: the event loop, which logs retries, must not wait for a disk."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._stream: TextIO | None = stream
        self._kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(self.format(record))

    def write_out(self) -> None:
        self.acquire()  # a worker's thread may be about to add a line
        try:
            kept, self._kept = self._kept, []
        finally:
            self.release()
        if not kept or self._stream is None:
            return
        try:
            self._stream.write("".join([f"{line}\n" for line in kept]))
            self._stream.flush()
        except OSError as problem:  # the run goes on without its log
            with suppress(OSError):  # what could not be written is tried once more
                self._stream.close()
            self._stream = None
            say(f"fetchq: the log cannot be written any more: {problem.strerror}")
