"""fetchq fetches a list of URLs: fast, safely, and it shows where the time went."""

from __future__ import annotations

from fetchq._version import __version__

TYPE_CHECKING = False  # typing's own would have to be imported, and Ctrl-C shows a traceback until that is done

__all__ = [
    "Cause",
    "Complete",
    "ConditionError",
    "FetchError",
    "FolderError",
    "LedgerError",
    "Request",
    "Result",
    "Settings",
    "SettingsError",
    "StorageError",
    "Timing",
    "__version__",
    "fetch_all",
    "fetch_all_sync",
    "fetch_iter",
    "open_run",
]

if TYPE_CHECKING:
    from fetchq.api import fetch_all, fetch_all_sync, fetch_iter
    from fetchq.core.disk import StorageError
    from fetchq.core.model import Cause, Complete, FetchError, Request, Result, Timing
    from fetchq.core.settings import Settings, SettingsError
    from fetchq.store.folder import FolderError
    from fetchq.store.ledger_connection import ConditionError, LedgerError
    from fetchq.store.stored_run import open_run

# The public names are imported when they are first asked for: `fetchq --help` needs no HTTP library.
_HOME = {
    "fetch_all": "fetchq.api",
    "fetch_all_sync": "fetchq.api",
    "fetch_iter": "fetchq.api",
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
