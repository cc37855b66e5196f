"""`fetchq diff OLD NEW`: what has changed between two runs."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable
from shutil import copyfileobj
from typing import TYPE_CHECKING, Any

import click

from fetchq.reports.diff import FACTOR, LEAST, differences

if TYPE_CHECKING:
    from fetchq.reports.diff import Difference

__all__ = ["command"]

_IN_MEMORY = 1_000_000
"""Bytes of a group of lines beyond which it waits in a temporary file."""


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
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
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
    from fetchq.cli.stored import reading, stored_run

    with stored_run(old) as before, stored_run(new) as after, reading():
        found = differences(before, after, factor=factor, least=least)
        return 1 if (_write_json if json else _write_text)(found) else 0


def _write_json(found: Iterable[Difference]) -> bool:
    from fetchq.store.sinks.records_jsonl import json_line

    some = False
    for difference in found:
        sys.stdout.buffer.write(json_line(difference.to_record()))
        some = True
    sys.stdout.buffer.flush()
    return some


def _write_text(found: Iterable[Difference]) -> bool:
    """The counts come first, so that the lines have to wait."""
    from contextlib import ExitStack
    from tempfile import SpooledTemporaryFile

    from fetchq.reports.diff_text import TITLES, counts_line, difference_line

    counts = Counter[Any]()
    with ExitStack() as files:
        groups = {change: files.enter_context(SpooledTemporaryFile(_IN_MEMORY)) for change in TITLES}
        for difference in found:
            counts[difference.change] += 1
            groups[difference.change].write(f"{difference_line(difference)}\n".encode())
        out = sys.stdout.buffer
        out.write(f"{counts_line(counts) or 'no difference'}\n".encode())
        for change, title in TITLES.items():
            if counts[change]:
                out.write(f"\n{title}:\n".encode())
                groups[change].seek(0)
                copyfileobj(groups[change], out)
        out.flush()
    return bool(counts)
