"""Shows a Result in a notebook, as a table of its most important fields."""

from __future__ import annotations

from typing import Any

from fetchq.core.html_table import html_table

__all__ = ["result_table"]


def result_table(record: dict[str, Any]) -> str:
    """The most important fields of a record (`Result.to_record`), in HTML."""
    rows = [
        ("URL", record["url"]),
        ("final URL", record["final_url"] if record["redirects"] else None),
        ("label", record["label"]),
        ("status", None if record["status"] is None else f"{record['status']} {record['reason'] or ''}"),
        ("failed", None if record["cause"] is None else f"{record['cause']}: {record['error']}"),
        ("body", None if record["status"] is None else _body(record)),
        ("elapsed", _times(record)),
        ("attempts", record["attempts"] if record["attempts"] > 1 else None),
    ]
    return html_table([row for row in rows if row[1] is not None])


def _body(record: dict[str, Any]) -> str:
    return ", ".join(filter(None, [f"{record['size']:,} bytes", record["content_type"], record["path"]]))


def _times(record: dict[str, Any]) -> str:
    """The time of the row, and the phases that took at least 1 % of it, in milliseconds."""
    elapsed, phases = record["elapsed"], record["timing"]
    spent = [f"{name} {1000 * seconds:.1f}" for name, seconds in phases.items() if seconds and seconds >= elapsed / 100]
    return f"{1000 * elapsed:.1f} ms" + (f" ({', '.join(spent)})" if spent else "")
