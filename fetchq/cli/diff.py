"""Runs `fetchq diff OLD NEW`: prints what has changed between two durable runs."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from fetchq.cli.completable import by_metavar
from fetchq.reports.diff import FACTOR, LEAST, differences

if TYPE_CHECKING:
    from fetchq.reports.diff import Difference

__all__ = ["command"]


class _Factor(click.ParamType[float]):
    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 1 <= number < math.inf:
            self.fail(f"{value!r} is not a number from 1 on", param, ctx)
        return number


class _Seconds(click.ParamType[float]):
    name = "S"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from fetchq.core.quantities import read_seconds

        try:
            return read_seconds(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


@click.command("diff", context_settings={"max_content_width": 110})
@click.argument("old", metavar="OLD", shell_complete=by_metavar)
@click.argument("new", metavar="NEW", shell_complete=by_metavar)
@click.option("--json", is_flag=True, help="One JSON object for each difference.")
@click.option(
    "--factor", type=_Factor(), default=FACTOR, help=f"Times as long counts as slower, or faster.  [{FACTOR:g}]"
)
@click.option("--least", type=_Seconds(), default=LEAST, help=f"And by at least so many seconds.  [{LEAST:g}]")
def command(old: str, new: str, json: bool, factor: float, least: float) -> int:
    """Compare two durable runs by URL and method: what is new, gone, or has another status, content or speed.

    A URL that is in a run more than once is compared in the order of the input. Exit status: 0 no difference, 1 some,
    2 wrong usage.
    """
    from fetchq.cli.stored import read_errors, stored_run
    from fetchq.reports.diff_text import write_differences

    with stored_run(old) as before, stored_run(new) as after, read_errors():
        found = differences(before, after, factor=factor, least=least)
        return 1 if (_write_json if json else write_differences)(found, sys.stdout.buffer) else 0


def _write_json(found: Iterable[Difference], stream: BinaryIO) -> bool:
    from fetchq.store.sinks.records_jsonl import json_line

    found_any = False
    for difference in found:
        stream.write(json_line(difference.to_record()))
        found_any = True
    stream.flush()
    return found_any
