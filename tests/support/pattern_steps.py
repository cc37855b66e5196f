"""Counts the steps of regular expressions, so that a test can tell linear time from quadratic without a clock.

`steps` runs a pattern as Python does: by backtracking, without memory of what it has tried. `growing` looks for a text
on which a pattern takes more than linear time, by repeating what each of its repetitions may match.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from itertools import permutations, product
from typing import Any

_parser: Any = import_module("re._parser")  # it has no public name

_MOST = 4
"""A bounded repetition such as {1,63} counts as at most this many, so that it looks as constant as it is."""
_CANDIDATES = "a1 \t\"';:,./\\@#?=%-[]({<&\r\n\x01é_\ud800\xff\x85"
_ENOUGH = 40_000
"""As many steps as are counted."""


class _Limit(Exception):
    """More steps than are worth counting."""


class Pattern:
    """A pattern, and whether it is tried at every place of a text (`search`, `sub`, `findall`) or at its beginning."""

    def __init__(self, pattern: re.Pattern[Any], *, anywhere: bool, whole: bool) -> None:
        source = pattern.pattern
        self.source = source.decode("latin-1") if isinstance(source, bytes) else source
        self._flags = pattern.flags & ~re.UNICODE if isinstance(source, bytes) else pattern.flags
        self.tree = list(_parser.parse(source, pattern.flags & ~re.DEBUG))
        self._anywhere, self._whole = anywhere, whole
        self._steps = 0

    def steps(self, text: str, most: int) -> int:
        """The steps for `text`; `most` if they are more."""
        self._steps, self._most, self._text = 0, most, text
        at = 0
        try:
            while at <= len(text):
                ends = self._match(self.tree, 0, at)
                end = next((one for one in ends if not self._whole or one == len(text)), None)
                if not self._anywhere:
                    break
                at = at + 1 if end is None or end == at else end
        except _Limit:
            return most
        return self._steps

    def _match(self, items: list[Any], index: int, at: int) -> Iterator[int]:
        """Yield the ends of all ways in which `items[index:]` match from `at` on, in the order of Python."""
        while index < len(items):
            self._steps += 1
            if self._steps >= self._most:
                raise _Limit
            op, value = str(items[index][0]), items[index][1]
            if op in _ONE:
                if at >= len(self._text) or not self.fits(op, value, self._text[at]):
                    return
                at, index = at + 1, index + 1
                continue
            for end in self._ends(op, value, at):
                yield from self._match(items, index + 1, end)
            return
        yield at

    def _ends(self, op: str, value: Any, at: int) -> Iterator[int]:
        if op == "SUBPATTERN":
            yield from self._match(list(value[3]), 0, at)
        elif op == "BRANCH":
            for way in value[1]:
                yield from self._match(list(way), 0, at)
        elif op == "ATOMIC_GROUP":
            yield from _first(self._match(list(value), 0, at))
        elif op in ("ASSERT", "ASSERT_NOT"):
            start = at - value[1].getwidth()[0] if value[0] < 0 else at
            found = start >= 0 and next(self._match(list(value[1]), 0, start), None) is not None
            if found is (op == "ASSERT"):
                yield at
        elif op == "AT":
            if self._is_at(str(value), at):
                yield at
        elif op in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, body = value
            ends = self._repeats(list(body), min(least, _MOST), _capped(most), at, lazy=op == "MIN_REPEAT")
            yield from _first(ends) if op == "POSSESSIVE_REPEAT" else ends
        else:
            raise NotImplementedError(f"{op} in {self.source!r}")

    def _repeats(self, body: list[Any], least: int, most: int, at: int, *, lazy: bool) -> Iterator[int]:
        if len(body) == 1 and str(body[0][0]) in _ONE:  # without recursion
            ends = [at]
            while len(ends) <= most and (end := next(self._match(body, 0, ends[-1]), None)) is not None:
                ends.append(end)
            yield from ends[least:] if lazy else reversed(ends[least:])
            return
        if lazy and not least:
            yield at
        if most:
            for end in self._match(body, 0, at):
                if end > at or least:
                    yield from self._repeats(body, max(0, least - 1), most - 1, end, lazy=lazy)
        if not lazy and not least:
            yield at

    def fits(self, op: str, value: Any, one: str) -> bool:
        """Whether an item matches a character."""
        if op == "ANY":
            return bool(self._flags & re.DOTALL) or one != "\n"
        ways = {one, one.lower(), one.upper()} if self._flags & re.IGNORECASE else {one}
        if op == "IN":
            return any(_in_set(value, way) for way in ways)
        return (chr(value) in ways) is (op == "LITERAL")

    def _is_at(self, place: str, at: int) -> bool:
        text = self._text
        if place in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
            lines = place == "AT_BEGINNING" and self._flags & re.MULTILINE
            return at == 0 or bool(lines and text[at - 1] == "\n")
        if place == "AT_END":
            return at == len(text) or (text[at] == "\n" and bool(self._flags & re.MULTILINE or at == len(text) - 1))
        if place == "AT_END_STRING":
            return at == len(text)
        edge = _is_word(text[at - 1 : at] if at else "") is not _is_word(text[at : at + 1])
        return edge is (place == "AT_BOUNDARY")


_ONE = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN"})


def _capped(most: Any) -> int:
    return most if most <= _MOST else 10**9 if most == _parser.MAXREPEAT else _MOST


def _first(ends: Iterator[int]) -> Iterator[int]:
    for end in ends:
        yield end
        return


def _is_word(one: str) -> bool:
    return bool(one) and (one.isalnum() or one == "_")


def _in_set(items: Any, one: str) -> bool:
    inside, negated = False, False
    for op, value in items:
        name = str(op)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            inside = inside or ord(one) == value
        elif name == "RANGE":
            inside = inside or value[0] <= ord(one) <= value[1]
        else:
            kinds = {"DIGIT": one.isdigit(), "SPACE": one.isspace(), "WORD": _is_word(one)}
            _, *not_, kind = str(value).split("_")
            inside = inside or kinds[kind] is not bool(not_)
    return inside is not negated


def growing(pattern: Pattern, sizes: tuple[int, int, int] = (24, 48, 96)) -> tuple[str, list[int]] | None:
    """The beginning of a text on which the pattern takes more than linear time, and its steps for growing texts."""
    alphabet = _alphabet(pattern)
    ends = ["", *alphabet, *(one + "\x01" for one in alphabet)]
    texts = [*product(alphabet, ends), *product(map("".join, permutations(alphabet, 2)), ("", "\x01"))]
    for before in sorted({before for before, _ in _repetitions(pattern.tree, "")} | {""}):
        for pump, after in texts:
            if pattern.steps(before + pump * sizes[0] + after, 3_000) < 8 * sizes[0] * len(pump):
                continue
            counts = [pattern.steps(before + pump * size + after, _ENOUGH) for size in sizes]
            # Twice as many more where the time is linear, and four times as many where it is quadratic.
            if counts[2] - counts[1] > 2.5 * (counts[1] - counts[0]) or counts[2] == _ENOUGH:
                return before + pump, counts
    return None


def _alphabet(pattern: Pattern) -> list[str]:
    """A character for each combination of the sets that the pattern repeats."""
    sets = [item for _, body in _repetitions(pattern.tree, "") for item in _sets(body)]
    by_sets = {
        tuple(pattern.fits(str(op), value, one) for op, value in sets): one
        for one in reversed([*_CANDIDATES, *_examples(pattern.tree)])
    }
    return list(by_sets.values())


def _sets(items: Any) -> Iterator[tuple[Any, Any]]:
    """What matches a character in the items, at any depth."""
    for op, value in items:
        if str(op) in _ONE:
            yield op, value
        for part in _parts(str(op), value):
            yield from _sets(part)


def _parts(name: str, value: Any) -> list[Any]:
    """The sequences of items that an item consists of."""
    if name == "BRANCH":
        return list(value[1])
    if name == "ATOMIC_GROUP":
        return [value]
    if name.endswith("_REPEAT"):
        return [value[2]]
    return [value[3]] if name == "SUBPATTERN" else [value[1]] if name.startswith("ASSERT") else []


def _repetitions(items: Any, before: str) -> Iterator[tuple[str, Any]]:
    """The texts that lead to each unbounded repetition, and what it repeats."""
    for op, value in items:
        name = str(op)
        if name.endswith("_REPEAT") and value[1] == _parser.MAXREPEAT:
            yield before, value[2]
        for part in _parts(name, value):
            yield from _repetitions(part, before)
        before += _example([(op, value)])


def _example(items: Any) -> str:
    """A short text that the items match, but for what they assert after it."""
    found = ""
    for op, value in items:
        name = str(op)
        if name == "LITERAL":
            found += chr(value)
        elif name in _ONE:
            named = [*_CANDIDATES, *_examples([(op, value)])]
            found += next(one for one in named if name != "IN" or _in_set(value, one))
        elif name.endswith("_REPEAT"):
            found += _example(value[2]) * max(1, min(value[0], _MOST)) if value[1] else ""
        elif not name.startswith("ASSERT") or (name == "ASSERT" and value[0] < 0):
            found += "".join(map(_example, _parts(name, value)[:1]))
    return found


def _examples(items: Any) -> Iterator[str]:
    """The characters that are named in the items: alone, or as the first of a range."""
    for op, value in _sets(items):
        if str(op) in ("LITERAL", "NOT_LITERAL"):
            yield chr(value)
        elif str(op) == "IN":
            for kind, what in value:
                if str(kind) in ("LITERAL", "RANGE"):
                    yield chr(what if str(kind) == "LITERAL" else what[0])
