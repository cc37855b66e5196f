"""Runs `fetchq demo`: fetches four slow URLs with two workers in each mode."""

from __future__ import annotations

import click

from fetchq.cli.completable import by_metavar

__all__ = ["DELAYS", "command"]

DELAYS = (1.5, 1.0, 0.5, 0.2)
"""Seconds that each of the four URLs takes: 3.2 one after the other, 1.7 two at a time."""


@click.command()
@click.option("-w", "--workers", default="2", show_default=True, metavar="N", help="How many at a time.")
@click.option("--rounds", default="1", show_default=True, metavar="N", help="How often each mode fetches them.")
@click.option("--report", metavar="FILE.html", shell_complete=by_metavar, help="Write a page with charts, too.")
def command(workers: str, rounds: str, report: str | None) -> int:
    """Fetch four URLs that take 1.5, 1.0, 0.5 and 0.2 s from a practice server, in sync, threads and async.

    Shows who fetched what when, the three modes side by side, and what limited each.
    """
    from fetchq.cli.compare import check_report, compare_and_show
    from fetchq.cli.options import build_settings
    from fetchq.cli.practice.server import PracticeServer
    from fetchq.comparison.options import MOST_ROWS, ComparisonOptions
    from fetchq.comparison.row_file import RowFile
    from fetchq.comparison.variants import plan_variants
    from fetchq.core.settings import Settings
    from fetchq.inputs.opening import open_sources

    plans = plan_variants(
        {}, lambda chosen: build_settings(Settings, {"workers": workers, "keep_body": False} | chosen)
    )
    options = build_settings(ComparisonOptions, {"rounds": rounds, "cold": True})
    if report is not None:
        check_report(report, plans)
    with PracticeServer() as server:
        with open_sources([f"{server.url}/delay/{delay}" for delay in DELAYS]) as source:
            rows = RowFile(source, limit=None, most=MOST_ROWS)
        with rows:
            return compare_and_show(plans, rows, options, quiet=False, report=report)
