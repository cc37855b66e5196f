"""Parses quantities: whole numbers, times, sizes, rates and HTTP statuses.

Each parser takes a text, or a value that already has the right type, and raises ValueError with a message for people.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from fetchq.core.cores import usable_cores

# Not compiled at import, since `fetchq --help` needs none of these; re caches what it has compiled.
_INTEGER = r"[+-]?[0-9]+(?:\.0*)?"
_SECONDS = r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h)?"
_SIZE = r"(\d+(?:\.\d*)?|\.\d+)\s*([kKmMgG]?)(?:i?B)?"
_RATE = r"(\d+(?:\.\d*)?|\.\d+)\s*(?:/\s*([smh]))?"
_STATUS = r"([+-]?)(\d{3})(?:\.\.(=?)(\d{3}))?"

__all__ = [
    "NO_LIMIT",
    "read_byte_rate",
    "read_int",
    "read_mode_bits",
    "read_priority",
    "read_processes",
    "read_rate",
    "read_seconds",
    "read_seed",
    "read_size",
    "read_statuses",
]

MAX_PRIORITY = 1_000_000
"""Priorities range from the negative of this number to this number, which every format can store."""
MAX_RATE = 1e6
"""Events per second: more than any machine reaches."""
MAX_SECONDS = 366 * 86400.0
"""One year. Longer times overflow in some system calls."""
NO_LIMIT = MAX_SECONDS
"""Seconds that stand for a timeout that is None."""


def read_int(given: object) -> int:
    """Parse an int, or the decimal text of one."""
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise ValueError(f"{given!r} is not a whole number")
    try:
        return int(given)
    except ValueError:
        raise ValueError(f"{given!r} is not a whole number") from None


def read_processes(given: object) -> int:
    """Parse a number of processes; "auto" is as many as there are CPU cores that this process may use."""
    return usable_cores() if given == "auto" else read_int(given)


def read_seed(given: object) -> int | None:
    """Parse the seed of a random order: a whole number from 0 on; -1 for "random", or True; None for False."""
    if given is False:
        return None
    if given is True or given == "random":
        return -1
    seed = read_int(given)
    if seed < -1:
        raise ValueError(f"{given} is below 0")
    return seed


def read_mode_bits(given: object) -> int:
    """Parse the permissions of files: an octal text such as "644", or an int. Their owner may read and write them."""
    if isinstance(given, str) and re.fullmatch("0?[0-7]{3}", given):
        given = int(given, 8)
    if isinstance(given, bool) or not isinstance(given, int) or given & 0o600 != 0o600 or given & ~0o666:
        raise ValueError("permissions are three octal digits, the first a 6, the others 0, 2, 4 or 6, such as '644'")
    return given


def read_priority(given: object) -> int:
    """Parse a whole number. 5.0 is one, too, since JSON has only one kind of number (RFC 8259, 6)."""
    if isinstance(given, str) and len(given) < 30 and re.fullmatch(_INTEGER, given.strip()):
        given = float(given)
    if isinstance(given, int | float) and not isinstance(given, bool) and abs(given) <= MAX_PRIORITY:
        whole = int(given)
        if whole == given:
            return whole
    raise ValueError(f"the priority is not a whole number from -{MAX_PRIORITY:,} to {MAX_PRIORITY:,}")


def read_seconds(given: object) -> float:
    """Parse a time: a number of seconds, or a text with a unit, such as 30, 500ms, 2m or 1.5h. Returns seconds."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return _bounded(_as_float(given))
    if isinstance(given, str) and len(given) < 30 and (match := re.fullmatch(_SECONDS, given.strip())):
        return _bounded(float(match[1]) * {"ms": 0.001, "m": 60.0, "h": 3600.0}.get(match[2], 1.0))
    raise ValueError(f"{given!r} is not a time, such as 30, 500ms or 2m")


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _bounded(seconds: float) -> float:
    if not abs(seconds) <= MAX_SECONDS:  # neither infinite nor NaN
        raise ValueError("that is not a time, or more than a year")
    return seconds


def read_size(given: object) -> int:
    """Parse a size: an int, or a text with a decimal unit, such as 4096, 64k, 100M or 1.5GB. Returns bytes."""
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    if isinstance(given, str) and len(given) < 30 and (match := re.fullmatch(_SIZE, given.strip())):
        return int(float(match[1]) * {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}.get(match[2].lower(), 1))
    raise ValueError(f"{given!r} is not a size, such as 4096, 64k or 100M")


def read_rate(given: object) -> float:
    """Parse a rate: a number per second, or a text such as 50/s or 10/m. Returns events per second."""
    rate = math.nan
    if isinstance(given, int | float) and not isinstance(given, bool):
        rate = _as_float(given)
    elif isinstance(given, str) and len(given) < 30 and (match := re.fullmatch(_RATE, given.strip())):
        rate = float(match[1]) / {"m": 60.0, "h": 3600.0}.get(match[2], 1.0)
    if not abs(rate) <= MAX_RATE:
        raise ValueError(f"{given!r} is not a rate, such as 50/s or 10/m")
    return rate


def read_byte_rate(given: object) -> int:
    """Parse a size, with or without `/s`. Returns bytes per second."""
    return read_size(given.strip().removesuffix("/s") if isinstance(given, str) else given)


def read_statuses(given: object, default: frozenset[int] = frozenset()) -> frozenset[int]:
    """Parse one or several statuses, or a text such as "200..=299,404" (`..=` includes the end, `..` does not).

    In a text, "+403" adds to the statuses before it, and "-500..=599" takes away from them. A text that begins with
    such a sign begins with `default`.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        given = (given,)
    if isinstance(given, str):
        return _statuses_in(given, default)
    if not isinstance(given, Iterable):
        raise ValueError(f"{given!r} is not a list of statuses")
    found: list[int] = []
    for status in given:
        if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 999:
            raise ValueError(f"{status!r} is not a status: 100 to 999")
        found.append(status)
    return frozenset(found)


def _statuses_in(text: str, default: frozenset[int]) -> frozenset[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    found = set(default) if parts and parts[0][0] in "+-" else set()
    for part in parts:
        if (match := re.fullmatch(_STATUS, part)) is None or int(match[2]) < 100:
            raise ValueError(f"{part!r} is not a status or a range, such as 404, 200..=299 or +403")
        first = int(match[2])
        last = first + 1 if match[4] is None else int(match[4]) + bool(match[3])
        if last <= first:
            raise ValueError(f"the range {part!r} is empty")
        if match[1] == "-":
            found.difference_update(range(first, last))
        else:
            found.update(range(first, last))
    return frozenset(found)
