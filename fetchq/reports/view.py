"""Shows a run in files: each is a view, which sees every Result, and at the end the Summary."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from fetchq.core.atomic_file import check_writable
from fetchq.core.disk import StorageError
from fetchq.core.option import SettingsError
from fetchq.store.folder import RESERVED_NAMES

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.core.settings import Settings
    from fetchq.reports.summary import Summary

__all__ = ["VIEWS", "View", "Views", "check_files"]


class View(Protocol):
    """Shows a run in a file. Its methods block, so in an event loop they are called in a thread.

    One that has raised is not called again. It has deleted its temporary file.
    """

    def add(self, results: Sequence[Result]) -> None:
        """Show these Results, which are done. Raises OSError."""

    def close(self, summary: Summary) -> None:
        """Show the end of the run, and complete the file. Called once, however the run ended. Raises OSError."""


def _report(settings: Settings) -> View:
    from fetchq.reports.html.view import ReportView

    return ReportView(settings)


def _har(settings: Settings) -> View:
    from fetchq.reports.har import HarView

    return HarView(settings)


def _trace(settings: Settings) -> View:
    from fetchq.reports.trace import TraceView

    return TraceView(settings)


VIEWS: dict[str, Callable[[Settings], View]] = {"report": _report, "har": _har, "trace": _trace}
"""Makes each view, by the name of the setting that asks for it, which is the path of its file. May raise OSError."""

_OTHERS = ("cookie_jar", "cacert", "cert", "key")
"""The other settings that name a file."""


class Views:
    """The views that the settings ask for. False if there are none.

    All methods raise `StorageError` if a file cannot be written, but the run's other files are completed.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsError` if a file cannot be written. No file is open before `open` is called."""
        check_files(settings)
        self._settings = settings
        self._open: dict[str, View] = {}
        """The views by the paths of their files."""
        self._lost: list[str] = []
        """Why files could not be written; an error that comes later hides an earlier one."""

    def __bool__(self) -> bool:
        return bool(_paths(self._settings))

    def open(self) -> None:
        """Open the files, all or none."""
        for name, path in _paths(self._settings).items():
            try:
                self._open[path] = VIEWS[name](self._settings)
            except OSError as problem:
                self._open = {}  # the temporary files of these views go with them
                raise _unwritable(path, problem) from problem

    def add(self, results: Sequence[Result]) -> None:
        """Show these Results, which are done."""
        self._each(lambda view: view.add(results))

    def close(self, summary: Summary) -> None:
        """Show the end of the run, and complete the files."""
        try:
            self._each(lambda view: view.close(summary))
        finally:
            self._open = {}

    def _each(self, work: Callable[[View], None]) -> None:
        lost = len(self._lost)
        for path, view in list(self._open.items()):
            del self._open[path]
            try:
                work(view)
            except OSError as problem:
                self._lost.append(str(_unwritable(path, problem)))
            else:
                self._open[path] = view
        if len(self._lost) > lost:
            raise StorageError("; ".join(self._lost))


def check_files(settings: Settings, lists: Iterable[str] = ()) -> None:
    """Raise `SettingsError` if the file of a view cannot be written, or the run needs that file for something else.

    `lists`: the files of the list; other arguments of a command line, such as URLs, are no harm.
    """
    used = {os.path.realpath(path): "a list of URLs" for path in lists if "\0" not in path}
    used |= {os.path.realpath(path): f"the file of {name}, too" for name, path in _paths(settings, _OTHERS).items()}
    run = None if settings.output is None else os.path.realpath(settings.output)
    for name, path in _paths(settings).items():
        real = os.path.realpath(path)
        if real in used:
            raise SettingsError(name, f"{path!r} is {used[real]}")
        used[real] = f"the file of {name}, too"
        folder, file = os.path.split(real)
        if folder == run:
            if file in RESERVED_NAMES:
                raise SettingsError(name, f"{path!r} is the run's own; name another file")
            if not os.path.exists(folder):
                continue  # the run makes it
        try:
            check_writable(path)
        except OSError as problem:
            raise SettingsError(name, f"{path!r} cannot be written: {problem.strerror or problem}") from None


def _paths(settings: Settings, names: Iterable[str] | None = None) -> dict[str, str]:
    """The files of these settings, by the names of the settings; those of the views if none are named."""
    return {name: path for name in names or VIEWS if (path := getattr(settings, name)) is not None}


def _unwritable(path: str, problem: OSError) -> StorageError:
    return StorageError(f"{path!r} cannot be written: {problem.strerror or problem}")
