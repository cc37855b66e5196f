"""Makes the records of Results that include their bodies. A large body is read while its record is written."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from fetchq.core.charset import decoded_pieces
from fetchq.core.disk import StorageError
from fetchq.core.gil_turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fetchq.core.model import Result

__all__ = ["TextPieces", "record_maker"]

_BODIES = ("text", "base64")


class TextPieces:
    """The value of the field `body` of a large body: its text, in pieces, to be iterated once.

    Raises `StorageError` where the body cannot be read any more.
    """

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[str]:
        try:
            yield from in_turns(self._pieces)
        except OSError as problem:
            raise StorageError(f"a body cannot be read: {problem.strerror or problem}") from problem


def record_maker(include: Sequence[str]) -> Callable[[Result], dict[str, Any]]:
    """The function that makes the record of a Result, with what is included (`Result.to_record`)."""
    what = next((one for one in include if one in _BODIES), None)
    if what is None:
        return lambda result: result._record(include)
    others = [one for one in include if one not in _BODIES]

    def with_body(result: Result) -> dict[str, Any]:
        if result._spool is None or (result.body and result.size == len(result.body)):
            return result._record(include)
        record = result._record(others)
        pieces = result._spool.pieces()
        record["body"] = TextPieces(decoded_pieces(pieces, result.charset) if what == "text" else _base64(pieces))
        return record

    return with_body


def _base64(pieces: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        data = rest + piece
        whole = len(data) - len(data) % 3
        rest = data[whole:]
        yield b64encode(data[:whole]).decode("ascii")
    yield b64encode(rest).decode("ascii")
