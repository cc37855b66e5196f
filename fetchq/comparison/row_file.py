"""Keeps the list of a comparison in a file without a name, which the processes of its runs read."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from fetchq.core.disk import close_on_error
from fetchq.core.model import Request

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["RowFile", "TooManyRowsError", "read_rows"]

_BATCH = 1000
"""The most rows that are read at a time."""


class TooManyRowsError(ValueError):
    """The list has more rows than may be compared without a limit."""


class RowFile:
    """The rows of a list. The file may hold secrets; it is gone when the last process has closed it."""

    def __init__(self, batches: Iterable[Iterable[Request]], *, limit: int | None, most: int) -> None:
        """Write the first `limit` rows, or all of them if it is None.

        Raises `TooManyRowsError` if there are more than `most`, and whatever the iterables raise.
        """
        self.count = 0
        """How many rows it has."""
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `__exit__`
        with close_on_error(self.file):
            every = (request for batch in batches for request in batch)
            rows = islice(every, most + 1 if limit is None else limit)
            while batch := list(islice(rows, _BATCH)):
                self.count += len(batch)
                if limit is None and self.count > most:
                    raise TooManyRowsError(f"more than {most:,} rows")
                pickle.dump(batch, self.file, pickle.HIGHEST_PROTOCOL)
            self.file.flush()

    def urls(self, indexes: Iterable[int]) -> dict[int, str]:
        """The URLs of these rows."""
        wanted = set(indexes)
        if not wanted:
            return {}
        return {one.index: one.url for batch in read_rows(self.file) for one in batch if one.index in wanted}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        self.file.close()


def read_rows(file: BinaryIO) -> Iterator[list[Request]]:
    """The rows of such a file, in batches, from the beginning."""
    file.seek(0)
    while True:
        try:
            yield pickle.load(file)  # noqa: S301  # the process that compares has written it
        except EOFError:
            return
