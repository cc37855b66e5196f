"""Durable runs that no network was needed for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from fetchq.core.model import Cause, Result
from fetchq.store.ledger import Ledger
from support.factories import HOSTILE, failed_result, make_result

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0"]
NASTY = [*HOSTILE, HOSTILE, *FORMULAS, "caf\udce9", "a\x00b", "\x1b]0;title\x07", "\ud83d", "𝄞é€", "", 'a"b,c\r\nd']
"""What may come in a URL, a label or a reason, and must do no harm."""


def make_run(folder: Path, results: Iterable[Result], *, finished: bool = True) -> str:
    """A run with these records in a new folder; returns its path."""
    folder.mkdir()
    ledger = Ledger.create(folder / "run.db", {"settings": {"save": "none"}, "finished": "now" if finished else None})
    ledger.commit(list(results))
    ledger.close()
    return str(folder)


def nasty_results() -> list[Result]:
    """Results whose every text is one of `NASTY`, and failed ones of each cause."""
    names = ("url", "final_url", "method", "label", "reason", "error", "content_type", "charset", "path", "remote")
    nasty = [make_result(**dict.fromkeys(names, text), headers=[("ETag", "x")]) for text in NASTY]
    failed = [failed_result(cause, error=NASTY[at], started=None, worker=None) for at, cause in enumerate(Cause)]
    return [renumbered(result, at) for at, result in enumerate([*nasty, *failed])]


def renumbered(result: Result, index: int) -> Result:
    """The same Result for another row."""
    return replace(result, index=index)
