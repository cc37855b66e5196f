"""Defines `fetchq.compare`, the comparison for Python callers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Unpack

from fetchq.comparison.options import MOST_ROWS, ComparisonOptions
from fetchq.comparison.rounds import run_rounds
from fetchq.comparison.row_file import RowFile, TooManyRowsError
from fetchq.comparison.variants import OF_ONE_RUN, plan_variants
from fetchq.core.option import HiddenValues, unexpected_keyword
from fetchq.core.settings import Settings, SettingsError, hidden_settings
from fetchq.inputs.iterables import Row, number

if TYPE_CHECKING:
    from fetchq.core.settings_kwargs import OtherSettingsKwargs
    from fetchq.reports.comparison import Comparison

__all__ = ["compare"]


def compare(
    urls: Iterable[Row],
    *,
    modes: str | Iterable[str] | None = None,
    workers: int | str | Iterable[int | str] | None = None,
    vary: Mapping[str, Sequence[object]] | None = None,
    rounds: int = 5,
    cold: bool = False,
    limit: int | None = None,
    seed: int | None = None,
    settings: Settings | None = None,
    **options: Unpack[OtherSettingsKwargs],
) -> Comparison:
    """Fetch `urls` in several ways, again and again, and find out which of them is faster, and by how much.

        comparison = fetchq.compare(urls, modes=("sync", "async"), workers=(2, 20))
        print(comparison)
        comparison.fastest.name, comparison.fastest.median

    Each combination of `modes`, `workers` and the values in `vary`, such as `vary={"per_host": (2, 4)}`, is a variant;
    all three modes if nothing is varied. Other keyword arguments are the fields of `Settings` that all variants share,
    unless `settings` is given. No bodies are kept, and no files written: `output` and the like have no effect.

    Each variant fetches the whole list `rounds` times (1 to 1,000), and once before, which is not counted. Every run is
    a process of its own, one at a time, in a random order that follows from `seed`. Before its clock starts, it fetches
    the first rows, one for each worker, to open the connections, unless `cold` is true; rows with other methods than
    GET, HEAD, OPTIONS and TRACE are not sent for that. With a `deadline`, which is for a whole run, it is always cold.

    `urls`: str, `yarl.URL` or `Request`, from any iterable with an end. A list of more than 100,000 rows needs a
    `limit`, the number of rows that are fetched, the first ones.

    The call blocks until all runs are done; it also works where an event loop is running, and from a notebook. Raises
    `SettingsError`, ValueError for a list that is empty or too long, TypeError, and `RunFailedError` (a RuntimeError)
    if the process of a run ends before its time.
    """
    known = (*(one.name for one in fields(Settings)), "modes", "vary", "rounds", "cold", "limit", "seed", "settings")
    given = HiddenValues.taken_from(options)
    if problem := unexpected_keyword("compare", given, known):
        raise problem
    if settings is not None and given:
        raise TypeError(f"either settings or {', '.join(given)}, not both")
    plans = plan_variants(_given(modes, workers, vary or {}), _maker(settings, given))
    chosen = ComparisonOptions(rounds=rounds, cold=cold, limit=limit, seed=seed)
    with _rows(urls, chosen.limit, plans[0].settings.params) as rows:
        return run_rounds(plans, rows, chosen)


def _maker(settings: Settings | None, options: HiddenValues) -> Callable[[dict[str, object]], Settings]:
    """The function that makes the settings of a variant from its values."""

    def make(values: dict[str, Any]) -> Settings:
        if settings is not None:
            return replace(settings, **values | OF_ONE_RUN)
        return hidden_settings(HiddenValues({**options, **values, **OF_ONE_RUN}))

    return make


def _given(
    modes: str | Iterable[str] | None,
    workers: int | str | Iterable[int | str] | None,
    vary: Mapping[str, Sequence[object]],
) -> dict[str, Sequence[object]]:
    """The values of each setting that may have several."""
    given: dict[str, Sequence[object]] = {}
    if modes is not None:
        given["mode"] = (modes,) if isinstance(modes, str) else tuple(modes)
    if workers is not None:
        given["workers"] = (workers,) if isinstance(workers, int | str) else tuple(workers)
    known = {one.name for one in fields(Settings)} - {*OF_ONE_RUN, "params"}  # which are part of the rows
    for name, values in vary.items():
        if name not in known:
            raise SettingsError(name, "it is no setting of a comparison")
        if name in given:
            raise SettingsError(name, "it is given twice")
        given[name] = (values,) if isinstance(values, str) else tuple(values)
    for name, values in given.items():
        if not values:
            raise SettingsError(name, "a value is needed")
    return given


def _rows(urls: Iterable[Row], limit: int | None, params: str | None) -> RowFile:
    try:
        rows = RowFile([number(urls, params)], limit=limit, most=MOST_ROWS)
    except TooManyRowsError as problem:
        raise ValueError(f"{problem}: a limit is needed") from None
    if not rows.count:
        rows.file.close()
        raise ValueError("there are no URLs")
    return rows
