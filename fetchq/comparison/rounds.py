"""Runs all variants of a comparison, in rounds: each once in every round, in a random order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from random import Random, randrange
from typing import TYPE_CHECKING, Any

from fetchq.comparison.outcomes import OutcomeCheck
from fetchq.comparison.process import Task, run_in_process
from fetchq.http.cookie_file import load_cookies
from fetchq.pipeline import BlockingPipeline
from fetchq.reports.comparison import Comparison
from fetchq.reports.measurements import MeasuredRun, Variant, pairs_of
from fetchq.workers.run import Feed

if TYPE_CHECKING:
    from fetchq.comparison.options import ComparisonOptions
    from fetchq.comparison.row_file import RowFile
    from fetchq.comparison.variants import Plan
    from fetchq.core.settings import Settings
    from fetchq.http.cookies import Cookie

__all__ = ["run_rounds"]

_SEEDS = 1_000_000


class _Starts:
    """Starts the runs of each variant, every one with the same list and the same cookies."""

    def __init__(self, plans: Sequence[Plan], rows: RowFile, options: ComparisonOptions) -> None:
        """Raises `SettingsError` for what would keep a variant from running, as far as it can be told beforehand."""
        self._plans = plans
        self._rows = rows
        self.cold = options.cold or any(plan.settings.deadline is not None for plan in plans)
        """Whether no run opens its connections before its clock starts: a deadline would include that time."""
        self._cookies = [_cookies(plan.settings) for plan in plans]
        for plan in plans:
            _check(plan.settings)
        self._outcomes = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`

    def run(self, variant: int, round: int) -> tuple[MeasuredRun, bytes]:
        """Run the variant with this number in this round, which is 0 for the one that does not count."""
        task = Task(
            settings=_values(self._plans[variant].settings),
            cookies=self._cookies[variant],
            round=round,
            rows=self._rows.count,
            row_file=self._rows.file.fileno(),
            outcome_file=self._outcomes.fileno(),
            warm_up=not self.cold and round > 0,
        )
        return run_in_process(task, self._outcomes)

    def close(self) -> None:
        self._outcomes.close()


def run_rounds(
    plans: Sequence[Plan],
    rows: RowFile,
    options: ComparisonOptions,
    on_run: Callable[[int, str, MeasuredRun], None] = lambda *_: None,
) -> Comparison:
    """Run each variant in each round. `on_run` is called with the round, from 0 or 1, the variant's name and its run.

    Raises `SettingsError` and `RunFailedError`.
    """
    seed = randrange(_SEEDS) if options.seed is None else options.seed  # noqa: S311  # no secret
    random = Random(seed)  # noqa: S311  # as above
    check = OutcomeCheck(rows.count)
    runs: list[list[MeasuredRun]] = [[] for _ in plans]
    starts = _Starts(plans, rows, options)
    try:
        for turn in range(options.first_round, options.rounds + 1):
            for number in random.sample(range(len(plans)), len(plans)):
                run, outcomes = starts.run(number, turn)
                if turn:
                    runs[number].append(run)
                    check.add(number, outcomes)
                on_run(turn, plans[number].name, run)
    finally:
        starts.close()
    variants = tuple(
        Variant(name=plan.name, settings=plan.shown, runs=tuple(found)) for plan, found in zip(plans, runs, strict=True)
    )
    found = check.rows(rows.urls)
    pairs = pairs_of(variants, found.incomparable)
    return Comparison(variants=variants, pairs=pairs, rows=found, rounds=options.rounds, cold=starts.cold, seed=seed)


def _check(settings: Settings) -> None:
    """Raise `SettingsError` for proxy variables or certificates that a run would refuse, by a run without a row."""
    refusable = replace(settings, mode="sync", workers=1, processes=1, dns_servers=(), cookie_jar=None)
    for _ in BlockingPipeline(refusable, Feed((), threaded=False, finite=True)).batches():
        pass


def _values(settings: Settings) -> dict[str, Any]:
    """The settings for the process of a run: one that keeps no body and writes no file."""
    return {one.name: getattr(settings, one.name) for one in fields(settings)} | {"cookie_jar": None}


def _cookies(settings: Settings) -> tuple[Cookie, ...] | None:
    return None if settings.cookie_jar is None else tuple(load_cookies(settings.cookie_jar))
