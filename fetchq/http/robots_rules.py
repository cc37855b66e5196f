"""Reads the rules of a robots.txt for one crawler, and tells in bounded time which paths they allow (RFC 9309, 2.2).

A server may send half a megabyte of rules, and each URL of it must be checked in the event loop. So a path is not
compared with one rule after the other: its prefixes are looked up in a table, and only the patterns with a `*` inside
whose beginning it has are tried. These steps are counted; a host with so many patterns that they are too many for a URL
is not asked for that URL. It only does that to itself.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from fetchq.core.gil_turns import in_turns

__all__ = ["GroupRules", "PathRules", "TooManyPatterns", "path_of", "read_rules", "token_of"]

MAX_STEPS = 10_000
"""The most steps for a path, each of at most a microsecond or so."""
_STEP = 1024
"""How many pairs of characters are compared in a step, at most."""
_AGENT = re.compile(r"\s*user(?:-|\s*)agent(?:\s*:|\s)\s*(.*)", re.IGNORECASE)
_IGNORED = re.compile(r"\s*(?:$|#|(?:site-?maps?|host)\b)", re.IGNORECASE)
"""A line that does not belong to a group, and does not end one."""
_RULE = re.compile(
    r"\s*(?:(allow)|(disallow|dissallow|dissalow|disalow|diasllow|disallaw)|crawl[- ]delay)(?:\s*:|\s)\s*([^#]*)",
    re.IGNORECASE,
)
"""A rule, in the spellings that are common. Groups: allow, disallow, value."""
_CANONICAL_PATH = re.compile(r"[A-Za-z0-9_.~/=-]*")
_CANONICAL_PATTERN = re.compile(r"[A-Za-z0-9_.~/=*-]*\$?")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_KEPT_ESCAPES = b"/%*"
"""Characters that mean something else when they are percent-encoded."""
_PATH = re.compile(r"[/?]")
_AT_ONCE = 64
"""Rules between which no other thread has its turn."""
_ENTRY = 12
_PATTERN_COST = 300
"""Bytes that an entry of the table, and a pattern with a `*` inside, take about."""


class TooManyPatterns(Exception):
    """A path would have to be compared with too many patterns."""


class GroupRules(NamedTuple):
    """The rules of the group that applies to a crawler."""

    paths: PathRules
    crawl_delay: float
    """Seconds between two requests; 0 if the group has none."""


def read_rules(text: str, agent: str) -> GroupRules:
    """The rules of a robots.txt for the product token `agent`, in lower case: those of its own groups, else of `*`.

    RFC 9309 requires the whole token to match. Without a token, the rules for all crawlers apply.
    """
    ours: list[tuple[bool, str]] | None = None
    everybodys: list[tuple[bool, str]] = []
    delays = {True: 0.0, False: 0.0}
    groups: set[bool] = set()  # of these the following rules are: True is ours, False that of all crawlers
    heading = False
    for line in in_turns(text.splitlines(), _AT_ONCE):
        if _IGNORED.match(line):
            continue
        if (found := _AGENT.match(line)) is not None:
            name = found[1].partition("#")[0].strip()
            groups = groups if heading else set()
            heading = True
            if name == "*":
                groups.add(False)
            elif agent and token_of(name) == agent:
                groups.add(True)
                ours = [] if ours is None else ours
            continue
        heading = False
        if not groups or (rule := _RULE.match(line)) is None or not (value := rule[3].strip()):
            continue
        for group in groups:
            if rule[1] is None and rule[2] is None:
                delays[group] = _seconds(value, delays[group])
            else:
                (ours if group and ours is not None else everybodys).append((rule[1] is not None, value))
    if ours is None:
        return GroupRules(PathRules(everybodys), delays[False])
    return GroupRules(PathRules(ours), delays[True])


def token_of(text: str) -> str:
    """The product token that a User-Agent begins with, in lower case, such as "us" for "Us/1.0" (RFC 9309, 2.2.1)."""
    return re.split(r"[\s/*]", text.strip(), maxsplit=1)[0].lower()


def path_of(url: str) -> str:
    """The path and the query of a URL, in the form in which they are compared: percent-encoded in one way (2.2.2)."""
    rest = url.partition("://")[2]
    found = _PATH.search(rest)
    path = "/" if found is None else rest[found.start() :]
    path = path if path.startswith("/") else f"/{path}"
    return path if _CANONICAL_PATH.fullmatch(path) else _canonical(path, safe="/%=")


class _Pattern(NamedTuple):
    """A pattern with a `*` inside."""

    rank: int
    parts: tuple[str, ...]
    """What follows its first `*`, divided by the others."""
    anchored: bool
    """Whether it ends with `$`, the end of the path."""


class PathRules:
    """Tells which paths are allowed. The longest pattern counts; of two, the one that allows.

    The rank of a pattern is twice its length, and one more if it allows.
    """

    __slots__ = ("_beginnings", "_hashes", "_lengths", "_patterns", "_ranks", "cost")

    def __init__(self, rules: Iterable[tuple[bool, str]]) -> None:
        """`rules`: whether each rule allows, and its pattern as it is written."""
        prefixes: dict[str, int] = {}
        patterns: dict[str, list[_Pattern]] = {}
        for allows, pattern in in_turns(_canonical_rules(rules), _AT_ONCE):
            rank = 2 * len(pattern) + allows
            anchored = pattern.endswith("$")
            first, *parts = re.sub(r"\*+", "*", pattern.removesuffix("$")).split("*")
            if not parts or parts == [""]:
                key = pattern if anchored and not parts else first  # no path has a $, so that it marks whole paths
                prefixes[key] = max(rank, prefixes.get(key, 0))
            else:
                patterns.setdefault(first, []).append(_Pattern(rank, tuple(parts), anchored))
        entries = sorted((hash(key), rank) for key, rank in prefixes.items())  # a table of their texts would be larger
        self._hashes = array("q", (key for key, _ in entries))
        self._ranks = array("q", (rank for _, rank in entries))
        self._lengths = sorted({len(key) for key in prefixes if not key.endswith("$")})
        self._patterns = {first: sorted(set(found), reverse=True) for first, found in patterns.items()}
        self._beginnings = sorted({len(first) for first in patterns})
        self.cost = _ENTRY * len(entries) + sum(_PATTERN_COST * len(found) for found in patterns.values())
        """Bytes that they take in memory, about."""

    def allows(self, path: str) -> bool:
        """Whether a path, as `path_of` returns it, is allowed. Raises `TooManyPatterns`."""
        return self.check(path)[0]

    def check(self, path: str) -> tuple[bool, int]:
        """Whether a path is allowed, and how many steps it took to find out. Raises `TooManyPatterns`."""
        best, steps = self._rank_of(path + "$"), 0
        for length in self._lengths:
            if length > len(path):
                break
            steps += 1
            best = max(best, self._rank_of(path[:length]))
        for length in self._beginnings:
            if length > len(path):
                break
            for pattern in self._patterns.get(path[:length], ()):
                if pattern.rank < best:
                    break
                matches, taken = _match(pattern, path, length)
                steps += taken
                if steps > MAX_STEPS:
                    raise TooManyPatterns
                if matches:
                    best = pattern.rank
                    break
        return not best or best % 2 == 1, steps

    def _rank_of(self, key: str) -> int:
        """The rank of the rule that is a prefix, or that with a `$` is a whole path; 0 if there is none."""
        sought = hash(key)
        at = bisect_left(self._hashes, sought)
        return self._ranks[at] if at < len(self._hashes) and self._hashes[at] == sought else 0


def _match(pattern: _Pattern, path: str, at: int) -> tuple[bool, int]:
    """Whether the rest of a path, from `at` on, matches a pattern, and the steps that it took to find out.

    Each part is sought after the one before it, and taken where it comes first: nothing is tried again.
    """
    *parts, last = pattern.parts
    if not pattern.anchored:
        parts.append(last)
    steps = 1
    for part in parts:
        found = path.find(part, at)
        end = len(path) if found < 0 else found + len(part)
        steps += 1 + (end - at) * len(part) // _STEP  # how many characters are compared at most
        if found < 0:
            return False, steps
        at = end
    return not pattern.anchored or (len(path) - len(last) >= at and path.endswith(last)), steps


def _canonical_rules(rules: Iterable[tuple[bool, str]]) -> Iterator[tuple[bool, str]]:
    """The rules with their patterns in one form, each once; and those that follow from them."""
    for allows, pattern in dict.fromkeys(rules):
        whole = _canonical_pattern(pattern)
        yield allows, whole
        if "$" in pattern:  # some mean the character
            yield allows, _canonical_pattern(pattern.replace("$", "%24"))
        if allows and whole.endswith("/index.html"):  # which allows the folder, as in Google's parser
            yield allows, whole.removesuffix("index.html") + "$"


def _canonical_pattern(pattern: str) -> str:
    if _CANONICAL_PATTERN.fullmatch(pattern):
        return pattern
    if pattern.startswith(("http://", "https://")):
        pattern = f"/{pattern}"
    anchor = "$" if pattern.endswith("$") else ""
    return _canonical(pattern.removesuffix("$"), safe="/%=*") + anchor


def _canonical(text: str, *, safe: str) -> str:
    return quote_from_bytes(_ESCAPE.sub(_unescaped, text.encode("utf-8", "replace")), safe=safe)


def _unescaped(escape: re.Match[bytes]) -> bytes:
    octet = bytes.fromhex(escape[1].decode("ascii"))
    return escape[0].upper() if octet in _KEPT_ESCAPES else octet


def _seconds(text: str, otherwise: float) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return otherwise
    return seconds if isfinite(seconds) and seconds >= 0 else otherwise
