"""Makes what a durable run keeps of a session that has ended: when it was, and where its time went."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.reports.summary import Summary

__all__ = ["session_record"]


def session_record(summary: Summary, settings: Settings) -> dict[str, Any] | None:
    """An entry of `sessions` in the ledger's meta, for a session that ends now; None for one that had no row.

    The times are in seconds, except for `started`, which is RFC 3339 in UTC.
    """
    if summary.attribution is None or not summary.total:
        return None
    started = datetime.now(UTC) - timedelta(seconds=summary.duration)
    return {
        "started": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "duration": summary.duration,
        "workers": settings.workers,
        "mode": settings.mode,
        "ok": summary.ok,
        "failed": summary.failed,
        "cut_off": summary.cut_off,
        "not_tried": summary.not_tried,
        "attribution": summary.attribution.to_json(),
        "verdict": None if summary.verdict is None else summary.verdict.to_json(),
    }
