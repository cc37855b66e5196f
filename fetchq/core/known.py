"""Remembers what a function has found out about texts that strangers choose, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from hashlib import sha256
from typing import TypeVar

__all__ = ["Known", "RecentSet", "bounded"]

K = TypeVar("K", str, bytes, str | None)
T = TypeVar("T")


class Known(dict[K, T]):
    """A dictionary of the results of a function, each computed when it is first looked up.

    Unlike `functools.lru_cache`, it keeps no key of more than `longest` characters or bytes, and its results take no
    more than their keys; so a server or a list decides neither how much it takes, nor for how long. A lookup of what is
    known costs no call. It is emptied when it is full. Any thread may use it.
    """

    __slots__ = ("_function", "_longest", "_most")

    def __init__(self, function: Callable[[K], T], *, most: int = 1000, longest: int = 1000) -> None:
        super().__init__()
        self._function: Callable[[K], T] = function
        self._most = most
        self._longest = longest

    def __missing__(self, key: K) -> T:
        value: T = self._function(key)
        if key is None or len(key) <= self._longest:
            if len(self) >= self._most:
                self.clear()
            self[key] = value
        return value


class RecentSet(dict[Hashable, None]):
    """A set of the last things that were added, such as hosts about which something is remembered, for any thread.

    The items should be short. When it is full, the oldest tenth is forgotten.
    """

    __slots__ = ()
    _MOST = 10_000

    def add(self, item: Hashable) -> None:
        self[item] = None
        if len(self) > self._MOST:
            for oldest in list(self)[: self._MOST // 10]:
                self.pop(oldest, None)  # another thread may have done so


def bounded(text: str, most: int) -> str:
    """A text of at most `most` characters that stands for this one alone: itself, unless it is longer."""
    if len(text) <= most:
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[: most - len(digest) - 1]}#{digest}"
