"""Makes tables of Results for data analysis: with pyarrow, and of its table a data frame of pandas or polars."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fetchq.core.model import Result

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["DataFrames"]


class DataFrames:
    """Gives an iterable of Results the methods that make a table of them, which need packages of their own."""

    __slots__ = ()

    def to_arrow(self: Iterable[Result], include: Iterable[str] = ()) -> pyarrow.Table:
        """The records as a table of pyarrow (`pip install "fetchq[parquet]"`), with the columns of a Parquet file.

        `timing` is `timing_wait` and so on; a column of the list that was passed on is `passed_sku`, for sku. `include`
        adds the columns "headers" (and trailers), "hops", "body" (bytes) or "text" (the body as text). Raises
        ImportError if a package is missing, and ValueError for another word in `include`, or a body that is not in
        memory (see `StoredRun.body`).
        """
        try:
            from fetchq.store.sinks.record_table import record_table
        except ModuleNotFoundError as missing:
            raise _how_to_install(missing, "fetchq[parquet]") from None
        return record_table(self, include)

    def to_pandas(self: Iterable[Result], include: Iterable[str] = ()) -> pandas.DataFrame:
        """The table of `to_arrow` as a DataFrame of pandas, whose columns keep their types (`pandas.ArrowDtype`)."""
        table = DataFrames.to_arrow(self, include)
        try:
            from pandas import ArrowDtype
        except ModuleNotFoundError as missing:
            raise _how_to_install(missing, "pandas") from None
        return table.to_pandas(types_mapper=ArrowDtype)

    def to_polars(self: Iterable[Result], include: Iterable[str] = ()) -> polars.DataFrame:
        """The table of `to_arrow` as a DataFrame of polars."""
        table = DataFrames.to_arrow(self, include)
        try:
            from polars import DataFrame
        except ModuleNotFoundError as missing:
            raise _how_to_install(missing, "polars") from None
        return DataFrame(table)


def _how_to_install(missing: ModuleNotFoundError, package: str) -> ImportError:
    return ImportError(f'{missing.name} is not installed: pip install "{package}"', name=missing.name)
