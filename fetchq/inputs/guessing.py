"""Chooses the parser of a list by its first characters, by which JSON is recognized."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto

from fetchq.core.model import Request
from fetchq.inputs.lines import RowParser
from fetchq.inputs.splitting import MAX_ROW

__all__ = ["Form", "GuessingParser"]

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_UNDECIDED = re.compile(rb"[ \t\r\n]*(?:[\[{][ \t\r\n]*)?")
_ARRAY = re.compile(rb"\s*\[\s*[\"{\[\]]")
_OBJECT = re.compile(rb"\s*\{\s*[\"}]")


class Form(Enum):
    """What the beginning of a list looks like."""

    ARRAY = auto()
    """A JSON array of texts, objects or arrays."""
    OBJECT = auto()
    """A JSON object."""
    OTHER = auto()


class GuessingParser(RowParser):
    """Reads a list with the parser that `choose` returns for its form."""

    format_known = False

    def __init__(self, index: int, choose: Callable[[Form], RowParser]) -> None:
        super().__init__(index)
        self._choose = choose
        self._parser: RowParser | None = None
        self._begun = bytearray()
        self._undecided = False
        """Whether only blanks, and perhaps a bracket, have arrived so far."""

    def feed(self, chunk: bytes) -> list[Request]:
        if self._parser is not None:
            return self._feed(self._parser, chunk)
        self._begun += chunk
        if self._undecided and len(self._begun) <= MAX_ROW and not chunk.strip(_BLANKS):
            return []
        begun = bytes(self._begun).removeprefix(_BOM)
        self._undecided = _UNDECIDED.fullmatch(begun) is not None
        if len(begun) <= MAX_ROW and (self._undecided or _BOM.startswith(begun)):
            return []
        return self._begin(begun)

    def finish(self) -> list[Request]:
        if self._parser is not None:
            return self._parser.finish()
        found = self._begin(bytes(self._begun).removeprefix(_BOM))
        return found + self.finish()

    def _begin(self, begun: bytes) -> list[Request]:
        """Choose the parser, and feed it what has arrived so far."""
        self._parser = parser = self._choose(_form_of(begun))
        self._begun = bytearray()
        return [row for at in range(0, len(begun), MAX_ROW) for row in self._feed(parser, begun[at : at + MAX_ROW])]

    def _feed(self, parser: RowParser, chunk: bytes) -> list[Request]:
        try:
            return parser.feed(chunk)
        finally:
            self.number, self.unit, self.format_known = parser.number, parser.unit, parser.format_known


def _form_of(begun: bytes) -> Form:
    if _ARRAY.match(begun):
        return Form.ARRAY
    return Form.OBJECT if _OBJECT.match(begun) else Form.OTHER
