"""A terminal, as far as a progress bar needs one."""

from __future__ import annotations

import re

ACTIVE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Every character that acts on a terminal, except the newline."""


_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Terminal:
    """What a person sees, all that scrolled away included. Knows only what a progress bar needs: else ValueError."""

    def __init__(self, data: bytes, columns: int = 200) -> None:
        self._columns = columns
        self._rows: list[list[str]] = [[]]
        self._continues: set[int] = set()
        """Rows that a long line went on in."""
        self._y = self._x = 0
        self.drawn = 0
        """How often a row was cleared to be drawn again: what a bar does."""
        self._feed(data.decode())

    @property
    def lines(self) -> list[str]:
        lines: list[str] = []
        for y, row in enumerate(self._rows):
            text = "".join(row)
            if y in self._continues:
                lines[-1] += text
            else:
                lines.append(text)
        return [line.rstrip() for line in lines]

    def _feed(self, text: str) -> None:
        at = 0
        while at < len(text):
            if match := _SEQUENCE.match(text, at):
                self._act(match[1], match[2])
                at = match.end()
                continue
            self._put(text[at])
            at += 1

    def _act(self, what: str, how: str) -> None:
        if how == "A":
            self._y = max(0, self._y - int(what or 1))
        elif (what, how) == ("2", "K"):
            self._rows[self._y] = []
            self.drawn += 1
        elif how != "m" and (what, how) not in (("?25", "l"), ("?25", "h")):
            raise ValueError(f"an escape sequence of somebody else's: {what}{how}")

    def _put(self, character: str) -> None:
        if character == "\r":
            self._x = 0
        elif character == "\n":
            self._down()
        elif ACTIVE.match(character):
            raise ValueError(f"a raw {character!r}")
        else:
            if self._x == self._columns:
                self._x = 0
                self._down()
                self._continues.add(self._y)
            row = self._rows[self._y]
            row += [" "] * (self._x + 1 - len(row))
            row[self._x] = character
            self._x += 1

    def _down(self) -> None:
        self._y += 1
        if self._y == len(self._rows):
            self._rows.append([])
