"""Reads a netrc file: the logins and passwords of hosts, as curl reads it.

Python's own netrc module forgets all entries of a host but the last, and makes an empty login of one that is missing.
Unlike curl, this module refuses a word that netrc does not have: the words after it might belong to another host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Netrc", "NetrcError"]

_WORD = re.compile(r'[ \t\r]*(?:"((?:[^"\\]|\\.)*)"|([^\s"]\S*))', re.DOTALL)
_END = re.compile(r"\s*+(?:\Z|(#))")
"""The end of a line, or a comment, for which there is a group."""
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class NetrcError(ValueError):
    """A netrc file is not valid. The message names the line, but no word of it, which may be a password."""


class _Word(NamedTuple):
    text: str
    line: int
    """Its number, from 1."""
    plain: bool
    """Whether it stands without quotes."""

    def __repr__(self) -> str:  # without the text, which may be a password
        return f"_Word(line={self.line})"


class _Entry:
    """The login and the password for a host, which is None for the default entry."""

    def __init__(self, host: str | None) -> None:
        self.host = host
        self.login: str | None = None
        self.password: str | None = None


class Netrc:
    """The entries of a netrc file. Raises `NetrcError`."""

    def __init__(self, text: str) -> None:
        self._entries: list[_Entry] = []
        words = _words(text)
        for word in words:
            self._read(word, words)

    def find(self, host: str, login: str | None = None, *, default: bool = True) -> tuple[str, str] | None:
        """The login and password for a host, or None: from the first entry that has one, as in curl.

        With a `login`, only an entry with this one counts, or with none. `default`: whether the default entry counts.
        """
        for entry in self._entries:
            if entry.host != host.lower().rstrip(".") and (entry.host is not None or not default):
                continue
            if login is None and (entry.login is not None or entry.password is not None):
                return entry.login or "", entry.password or ""
            if login is not None and entry.password is not None and entry.login in (None, login):
                return login, entry.password
        return None

    def _read(self, word: _Word, words: Iterator[_Word]) -> None:
        name = word.text.lower() if word.plain else ""
        if name == "machine":
            self._entries.append(_Entry(_after(word, words).lower().rstrip(".")))
        elif name == "default":
            self._entries.append(_Entry(None))
        elif name in ("login", "password", "account") and self._entries:
            value = _after(word, words)
            if name != "account":
                setattr(self._entries[-1], name, value)
        elif name != "macdef":
            raise NetrcError(f"line {word.line}: not a word that belongs there, such as machine, login or password")


def _after(word: _Word, words: Iterator[_Word]) -> str:
    if (value := next(words, None)) is None:
        raise NetrcError(f"line {word.line}: there is nothing after {word.text}")
    return value.text


def _words(text: str) -> Iterator[_Word]:
    """The words of the file, without comments, and without the macros, each of which ends at an empty line."""
    macro = False
    value = False
    for number, line in enumerate(text.split("\n"), 1):
        if macro:
            macro = bool(line.strip())
            continue
        at = 0
        while (end := _END.match(line, at)) is None or (value and end[1]):
            found = _WORD.match(line, at)
            if found is None:
                raise NetrcError(f"line {number}: a quote is not closed")
            at = found.end()
            quoted, plain = found.groups()
            word = _Word(re.sub(r"\\(.)", _unescaped, quoted) if plain is None else plain, number, plain is not None)
            macro = not value and word.plain and word.text.lower() == "macdef"
            value = not value and word.plain and word.text.lower() in ("machine", "login", "password", "account")
            yield word
            if macro:
                break


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1], found[1])
