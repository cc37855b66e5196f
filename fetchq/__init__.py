"""fetchq fetches a list of URLs: fast, safely, and it shows where the time went.

    from fetchq import fetch_all_sync

    for result in fetch_all_sync(["https://example.org/"], workers=20):
        print(result.status, result.elapsed, result.cause, result.url)

## Architecture

Each row of the list becomes a `Request`. A worker asks an engine to try it, and again if the attempt failed and may
succeed next time. The final attempt becomes the row's one `Result`. The package has twelve folders, called rooms; the
docstring of each `__init__.py` has a diagram: `fetchq.inputs`, `fetchq.scheduling`, `fetchq.workers`, `fetchq.engines`,
`fetchq.store`, `fetchq.reports`, `fetchq.processes`, `fetchq.comparison`, `fetchq.cluster`, `fetchq.cli`, `fetchq.http`
and `fetchq.core`.

    inputs/        reads the list lazily: files, pipes, arguments, iterables
       |
       |  Request
       v
    scheduling/    decides which request may go now: order of hosts, limits, rate, robots.txt
       |  ^
       |  |  Job: a waiting Request, with what its attempts have cost; back here for a retry, with a delay
       v  |
    workers/   <->   engines/      an engine makes one Attempt, over aiohttp or requests;
       |                           http/ has the rules by which a response is good or bad
       |  Result
       v
    pipeline.py    passes Results to the writer in batches, and the written ones to the summary
       |
       v
    store/         writes bodies first, then records, then the ledger (SQLite). A row counts as done only when the
       |           ledger has it, so that an interrupted run can go on
       v
    reports/       counts the summary, compares runs, formats both
       |
       |           processes/ lets several processes share the rows of a run, in place of one pool of workers
       |           comparison/ runs such pipelines in processes of their own, and finds out which is faster
       |           cluster/ divides a list into shards, and runs a pipeline for each, also on many machines
       v
    cli/, api.py,  what people call
    client/

`core/` has what travels (Request, Result), the settings, and small helpers. Each layer may import those to its right;
those that are joined by | do not import each other. `tests/test_layering.py` checks it, and prints the table:

    cli -> cluster | comparison | api -> pipeline -> processes -> reports -> store | workers
        -> inputs | engines | scheduling -> http -> core

What always holds:

- Each input row gets exactly one Result.
- "ok" means that the status is accepted, and that the body is whole, decoded and within the limits.
- A request that must wait holds no worker, and every queue is bounded.
- A body appears under its final name only when it is whole.
- A row that was cancelled is not done: the next process that resumes the run fetches it.
- An unexpected exception in fetchq ends the run with a traceback; what was done stays done.

## What to change for what

| you want | the files to change |
|---|---|
| another field of the record | `core/model.py`, filled in `workers/settle.py`; `FORMAT` in `store/schema.py` |
| to measure it, if no part knows it yet | `http/attempt.py`, and the engines that set it |
| another setting | `core/settings_fields.py` or `settings_pace.py`; its type in `core/settings_kwargs.py` |
| who may set it | its `origin`, see `core/option.py` |
| settings that contradict each other | `core/settings.py` |
| another key of a row | `inputs/columns.py`; `core/request_parts.py`, if it becomes part of its URL, headers or body |
| another format of lists | a parser in `inputs/`, chosen in `inputs/opening.py` |
| another kind of page with links | the same, chosen in `inputs/pages.py` |
| another format of records | a module in `store/sinks/`, and a line in its `__init__.py` |
| another way to store bodies | the same, and its name in `SAVES` in `core/parsers.py` |
| another field for names of files | its name in `core/name_template.py`, its value in `store/sinks/body_fields.py` |
| another status to retry | `--retry-on`; its default is in `core/settings_pace.py` |
| another rule when to retry | `http/retry.py` |
| another cause of failures | `core/cause.py`, raised where it is found; `http/retry.py` says whether it is retried |
| another order of hosts | `scheduling/host_order.py` |
| another limit of a host, or of the run | `scheduling/host_queue.py`, or `scheduling/rate_limit.py` |
| another rule for a request or a response | start at `http/attempt.py`; the page of `http/` lists the rules |
| the verdict to name another limit | a rule in `reports/diagnosis.py`, its sentence in a `diagnosis_...` beside it |
| another HTTP library | a package in `engines/`, and its place in `engines/__init__.py` |
| another file that shows a run | a view, and its name in `VIEWS` in `reports/view.py` |
| another figure of a comparison | `reports/measurements.py`, `comparison/child.py`, `reports/compare_cells.py` |
| another table or chart in the report | `reports/html/run_report.py`; another kind: `blocks.py` and `assets/` there |
| something else to run the shards of a job | a `ShardExecutor` in `cluster/`, and its place in `cli/cluster_run.py` |
| an option among those that the help lists first | `MOST_USED` in `cli/sectioned_help.py` |
| another command | a module in `cli/`, and a line in `COMMANDS` in its `__init__.py` |
"""

from __future__ import annotations

from fetchq._version import __version__

TYPE_CHECKING = False  # not typing's: importing that takes time, in which Ctrl-C would show a traceback

__all__ = [
    "Attribution",
    "Cause",
    "Client",
    "Comparison",
    "Complete",
    "ConditionError",
    "FetchError",
    "FetchRun",
    "FolderError",
    "LedgerError",
    "Request",
    "Result",
    "Results",
    "RunFailedError",
    "Settings",
    "SettingsError",
    "StorageError",
    "Summary",
    "Timing",
    "Verdict",
    "__version__",
    "compare",
    "fetch_all",
    "fetch_all_sync",
    "fetch_iter",
    "fetch_map",
    "open_run",
]

if TYPE_CHECKING:
    from fetchq.api import FetchRun, fetch_all, fetch_all_sync, fetch_iter
    from fetchq.client.client import Client
    from fetchq.client.fetch_map import fetch_map
    from fetchq.comparison.compare import compare
    from fetchq.comparison.process import RunFailedError
    from fetchq.core.disk import StorageError
    from fetchq.core.model import Cause, Complete, FetchError, Request, Result, Timing
    from fetchq.core.settings import Settings, SettingsError
    from fetchq.reports.attribution import Attribution
    from fetchq.reports.comparison import Comparison
    from fetchq.reports.results import Results
    from fetchq.reports.summary import Summary
    from fetchq.reports.verdict import Verdict
    from fetchq.store.folder import FolderError
    from fetchq.store.ledger_connection import ConditionError, LedgerError
    from fetchq.store.stored_run import open_run

# A public name is imported when it is first asked for: `fetchq --help` needs no HTTP library.
_HOME = {
    "fetch_all": "fetchq.api",
    "fetch_all_sync": "fetchq.api",
    "fetch_iter": "fetchq.api",
    "FetchRun": "fetchq.api",
    "Client": "fetchq.client.client",
    "fetch_map": "fetchq.client.fetch_map",
    "compare": "fetchq.comparison.compare",
    "RunFailedError": "fetchq.comparison.process",
    "Comparison": "fetchq.reports.comparison",
    "Attribution": "fetchq.reports.attribution",
    "Results": "fetchq.reports.results",
    "Summary": "fetchq.reports.summary",
    "Verdict": "fetchq.reports.verdict",
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
