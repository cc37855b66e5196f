"""Builds the report of a durable run from its ledger: of all its sessions, without the times between them.

Each session that ends adds itself to the list `sessions` in the ledger's meta; one that was killed is missing there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import MAXYEAR, datetime
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any

from fetchq.core.model import phase_values
from fetchq.core.text import printable, shortened
from fetchq.reports.attribution import Attribution, Blocked, Held
from fetchq.reports.html.blocks import Column, Table
from fetchq.reports.html.run_report import RunReport
from fetchq.reports.summary import Summary
from fetchq.reports.text import count_text
from fetchq.reports.verdict import Verdict
from fetchq.store.ledger_connection import LedgerError
from fetchq.store.schema import COLUMNS, MAX_INDEX

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.scheduling.limit import Limit
    from fetchq.store.stored_run import StoredRun

__all__ = ["stored_report"]

_LONGEST_GAP = 300.0
"""Seconds without any attempt after which the run counts as interrupted, where no session is known to begin."""
_SHORTEST_GAP = 1.0
"""The same where one is."""
_LONGEST = 1e9
"""No row takes so many seconds."""
_BATCH = 1000
_MOST_SESSIONS = 300
"""The most sessions that are listed."""
_LONGEST_TEXT = 300
"""Characters of a text of theirs that are shown."""


@dataclass(frozen=True, slots=True)
class _Session:
    """What a ledger keeps of a session that has ended."""

    started: datetime
    duration: float
    workers: int
    mode: str
    attribution: Attribution | None
    verdict: Verdict | None


def stored_report(run: StoredRun) -> bytes:
    """The page about a durable run, which may still be going on. Raises `StorageError`."""
    sessions = _sessions(run.ledger.meta("sessions"))
    report, summary, clock = RunReport(), Summary(), _Clock([one.started for one in sessions])
    results = _results(run)
    while batch := list(islice(results, _BATCH)):
        summary.add(batch)
        for result in batch:
            report.add(result, None if result.started is None else clock.moment(result.started, result.elapsed))
    summary.not_tried = _left(run, summary.total)
    summary.total += summary.not_tried
    summary.duration = max(sum(one.duration for one in sessions), clock.end)
    summary.attribution = _together([one.attribution for one in sessions if one.attribution is not None])
    judged = [one for one in sessions if one.verdict is not None]
    summary.verdict = max(judged, key=lambda one: one.duration).verdict if judged else None
    workers = max([one.workers for one in sessions] or [_workers(run)])
    return report.page(
        summary,
        subtitle=_subtitle(run, clock, len(sessions)),
        workers=workers,
        unknown="no session of this run has ended by itself, and only then the time of its workers is kept.",
        breaks=clock.breaks,
        sessions=_session_table(sessions) if len(sessions) > 1 else None,
    )


def _left(run: StoredRun, done: int) -> int:
    """How many rows were not tried yet, as far as the last session has read the list."""
    rows = run.ledger.meta("rows")
    return max(0, rows - done) if isinstance(rows, int) and rows <= MAX_INDEX else 0


def _workers(run: StoredRun) -> int:
    """How many workers the run began with. Raises `StorageError`."""
    settings = run.ledger.required_meta("settings")
    workers = settings.get("workers") if isinstance(settings, dict) else None
    if not isinstance(workers, int):
        raise LedgerError(f"the ledger {str(run.ledger.path)!r} is damaged: its settings have no number of workers")
    return workers


class _Clock:
    """Turns times of day, in ascending order, into seconds since the run began, without those between its sessions."""

    def __init__(self, begun: Sequence[datetime]) -> None:
        """`begun`: when sessions are known to have begun, in ascending order."""
        self._begun = [one.timestamp() for one in begun]
        self._skipped: float | None = None
        """The time of day at which the run began, moved by the times that are left out."""
        self._busy_until = 0.0
        self.first: datetime | None = None
        self.breaks: list[float] = []
        """When a later session began."""
        self.end = 0.0

    def moment(self, started: datetime, elapsed: float) -> float:
        """The seconds at which a row started, that took so long."""
        now = started.timestamp()
        if self._skipped is None:
            self.first, self._skipped, self._busy_until = started, now, now
        begins = False
        while self._begun and self._begun[0] <= now:
            begins = self._begun.pop(0) > self._busy_until or begins
        gap = now - self._busy_until
        if gap > (_SHORTEST_GAP if begins else _LONGEST_GAP):
            self._skipped += gap
            self.breaks.append(now - self._skipped)
        self._busy_until = max(self._busy_until, now + elapsed)
        self.end = max(self.end, now + elapsed - self._skipped)
        return now - self._skipped


def _results(run: StoredRun) -> Iterator[Result]:
    """The Results by the time at which they started. Raises `StorageError`."""
    before: Result | None = None
    for values in run.ledger.rows(COLUMNS, order=("started", "worker", "index")):
        row = dict(zip(COLUMNS, values, strict=True))
        result = run.result_of(row)
        timing = result.timing
        phases = phase_values(timing)
        if phases.count(None) > (timing.tls is None):
            raise run.damage(row["index"], "a time is missing")
        seconds = [result.elapsed, *(one or 0.0 for one in phases)]
        if not (min(seconds) >= 0 and sum(seconds) < _LONGEST):
            raise run.damage(row["index"], "a time is not one")
        if result.worker is not None and result.worker < 1:
            raise run.damage(row["index"], "a worker has a number below 1")
        if before is not None and _measured(result) == _measured(before) and result.attempts:
            yield replace(result, _duplicate_of=before.index)  # a copy (`dedupe`), whose time is that of the first
        else:
            before = result
            yield result


def _measured(result: Result) -> tuple[object, ...]:
    return result.started, result.worker, result.elapsed, result.timing


def _sessions(found: Any) -> list[_Session]:
    """The sessions in a ledger's meta, by their time. What is not as expected is left out."""
    sessions = []
    for one in found if isinstance(found, list) else []:
        try:
            attribution = None if one["attribution"] is None else Attribution.from_json(one["attribution"])
            verdict = None if one["verdict"] is None else Verdict.from_json(one["verdict"])
            started = datetime.fromisoformat(one["started"])
            session = _Session(
                started, float(one["duration"]), int(one["workers"]), str(one["mode"]), attribution, verdict
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        finite = attribution is None or isfinite(sum(attribution.parts().values()))
        if finite and 0 <= session.duration < _LONGEST and session.workers >= 1 and 1 < started.year < MAXYEAR:
            sessions.append(session)
    return sorted(sessions, key=lambda session: session.started.timestamp())


def _together(found: Sequence[Attribution]) -> Attribution | None:
    """The sum of several attributions; None if there are none."""
    if not found:
        return None
    held: dict[tuple[Limit, str | None], float] = defaultdict(float)
    blocked: dict[str, float] = defaultdict(float)
    numbers: dict[str, Any] = defaultdict(float)
    for attribution in found:
        for one in attribution.held:
            held[one.limit, one.host] += one.seconds
        for function in attribution.blocked:
            blocked[function.where] += function.seconds
        for field in fields(attribution):
            if field.type == "float":
                numbers[field.name] += getattr(attribution, field.name)
    return Attribution(
        workers=max(one.workers for one in found),
        held=tuple(Held(*key, seconds) for key, seconds in sorted(held.items(), key=_seconds_of)),
        blocked=tuple(Blocked(where, seconds) for where, seconds in sorted(blocked.items(), key=_seconds_of)),
        **numbers,
    )


def _seconds_of(item: tuple[object, float]) -> float:
    return -item[1]


def _session_table(sessions: Sequence[_Session]) -> Table:
    columns = (
        Column("Begun"),
        Column("Took", "seconds"),
        Column("Workers", "count"),
        Column("Mode"),
        Column("What limited it"),
    )
    rows = [
        (
            f"{one.started:%Y-%m-%d %H:%M:%S}",
            one.duration,
            one.workers,
            _text(one.mode),
            "not known" if one.verdict is None else _text(one.verdict.text),
        )
        for one in sessions[-_MOST_SESSIONS:]
    ]
    note = "A session that was killed is missing here; its URLs are in the report."
    if len(rows) < len(sessions):
        note = f"The last {len(rows)} of {len(sessions):,}. {note}"
    return Table("Sessions", columns, rows, note)


def _text(text: str) -> str:
    return shortened(printable(text), _LONGEST_TEXT)


def _subtitle(run: StoredRun, clock: _Clock, sessions: int) -> str:
    parts = [f"the run in {run.path.absolute()}"]
    if clock.first is not None:
        parts.append(f"begun {clock.first:%Y-%m-%d %H:%M:%S} UTC")
    if sessions:
        parts.append(count_text(sessions, "session"))
    return ", ".join(parts if run.finished else [*parts, "not all rows are done"])
