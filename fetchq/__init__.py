"""fetchq fetches a list of URLs: fast, safely, and it shows where the time went.

    from fetchq import fetch_all_sync

    for result in fetch_all_sync(["https://example.org/"], workers=20):
        print(result.status, result.elapsed, result.cause, result.url)

## Architecture

A row of the list becomes a `Request`. A worker has an engine make attempts at it until one of them is final, and that
makes exactly one `Result`. Each folder of the package is a room on that way, and its page draws its part:
`fetchq.inputs`, `fetchq.scheduling`, `fetchq.workers`, `fetchq.engines`, `fetchq.store`, `fetchq.reports` and
`fetchq.cli`.

      list, file, pipe, arguments
                  |
                  v
      inputs/           reads rows lazily, as far ahead as the workers need them
                  |  Request
                  v
      scheduling/       decides which request may go now: the order of hosts, limits,
                  |  ^  rate, robots.txt, retries that are due
             Job  |  |  again, not before a given time
                  v  |
      workers/          takes a job, has an attempt made, and settles what came of it
                  |  ^
          Request |  |  Attempt
                  v  |
      engines/          makes one attempt, over aiohttp or requests; the rules by which a
                        response is good or bad are in http/, once for both
                  |  Result, from the worker
                  v
      pipeline.py       hands Results on in batches, and counts those that are done
                  |
                  v
      store/            writes in one order: body store, sink, ledger; so a run is durable
                  |
                  v
      reports/          counts the summary, compares runs, and puts both into words
                  |
                  v
      cli/, api.py      what people call

Two more rooms hold what travels and what it is judged by: `fetchq.core` (Request, Result, Settings, small helpers) and
`fetchq.http` (the rules of URLs, HTTP and content, without I/O). Imports go one way, which `tests/test_layering.py`
checks:

    cli, api -> reports -> store | workers -> inputs | engines | scheduling -> http -> core

What always holds: each input row gets exactly one Result; "ok" means that the status is accepted, and the body whole,
decoded and within the limits; a request that must wait holds no worker; every queue on the way is bounded; a body
appears under its final name only when it is whole; what was cancelled is not done, and a later session does it; a bug
of fetchq's own ends the run loudly.

## What to change for what

| you want | the file to change |
|---|---|
| another field of the record | `core/model.py` (`Result`); `workers/settle.py` fills it, every format follows |
| another setting | `core/settings.py`; `core/settings_kwargs.py` has its type; option and variable follow |
| another sink, of records or bodies | a module in `store/sinks/`, and a line in its `__init__.py` |
| another reason to retry | `http/retry.py` |
| another order of hosts | `scheduling/host_order.py` |
| another limit of a host, or of the run | `scheduling/host_queue.py`, or `scheduling/rate_limit.py` |
| another rule for a response | `http/attempt.py`, and what it imports |
| another HTTP library | a package in `engines/`, and a line in its `__init__.py` |
| another command | a module in `cli/`, and a line in its `__init__.py` |
"""

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
