"""fetchq fetches a list of URLs: fast, safely, and it shows where the time went."""

from __future__ import annotations

from fetchq._version import __version__

TYPE_CHECKING = False  # not typing's: importing that takes time, in which Ctrl-C would show a traceback

__all__ = [
    "Cause",
    "Complete",
    "ConditionError",
    "FetchError",
    "FetchRun",
    "FolderError",
    "LedgerError",
    "Request",
    "Result",
    "Results",
    "Settings",
    "SettingsError",
    "StorageError",
    "Summary",
    "Timing",
    "__version__",
    "fetch_all",
    "fetch_all_sync",
    "fetch_iter",
    "open_run",
]

if TYPE_CHECKING:
    from fetchq.api import FetchRun, Results, fetch_all, fetch_all_sync, fetch_iter
    from fetchq.core.disk import StorageError
    from fetchq.core.model import Cause, Complete, FetchError, Request, Result, Timing
    from fetchq.core.settings import Settings, SettingsError
    from fetchq.reports.summary import Summary
    from fetchq.store.folder import FolderError
    from fetchq.store.ledger_connection import ConditionError, LedgerError
    from fetchq.store.stored_run import open_run

# A public name is imported when it is first asked for: `fetchq --help` needs no HTTP library.
_HOME = {
    "fetch_all": "fetchq.api",
    "fetch_all_sync": "fetchq.api",
    "fetch_iter": "fetchq.api",
    "FetchRun": "fetchq.api",
    "Results": "fetchq.api",
    "Summary": "fetchq.reports.summary",
    "FolderError": "fetchq.store.folder",
    "ConditionError": "fetchq.store.ledger_connection",
    "LedgerError": "fetchq.store.ledger_connection",
    "Cause": "fetchq.core.model",
    "Complete": "fetchq.core.model",
    "FetchError": "fetchq.core.model",
    "Request": "fetchq.core.model",
    "Result": "fetchq.core.model",
    "Timing": "fetchq.core.model",
    "Settings": "fetchq.core.settings",
    "SettingsError": "fetchq.core.settings",
    "StorageError": "fetchq.core.disk",
    "open_run": "fetchq.store.stored_run",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
