"""From what a person types to the value it means: times, sizes, statuses, headers.

Each reader takes the text or a value that already has the right type, and raises ValueError with a message for people.
This module imports nothing else of fetchq's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# Not compiled here: `fetchq --help` needs none of them, and re keeps what it has compiled.
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110, 5.6.2
_SECONDS = r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h)?"
_SIZE = r"(\d+(?:\.\d*)?|\.\d+)\s*([kKmMgG]?)(?:i?B)?"
_RATE = r"(\d+(?:\.\d*)?|\.\d+)\s*(?:/\s*([smh]))?"
_PROXY = r"https?://(?:[^\s/?#@]*@)?(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?"
_OWN_HEADERS = ("content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect")
"""What frames the message or belongs to the connection is not for the user to say."""
_STATUS = r"(\d{3})(?:\.\.(=?)(\d{3}))?"
_FORBIDDEN = r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]"
_WHOLE = r"[+-]?[0-9]+(?:\.0*)?"
SAVES = ("files", "warc", "parquet", "none")
HOST_KEYS = ("host", "domain", "ip")
_PACKAGES = {"warc": "warcio", "parquet": "pyarrow", "robots": "protego", "domain": "publicsuffixlist"}
"""What some of SAVES, robots.txt and domains take, and an ordinary installation lacks, by the name of the extra."""


MOST_RATE = 1e6
"""Per second. No machine gets there."""
MOST_PRIORITY = 1_000_000
"""What a priority is at most, and its opposite at least: SQLite and every other program can hold it."""
A_YEAR = 366 * 86400.0
"""Seconds. Longer times overflow in places, and mean nothing."""


def read_int(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise ValueError(f"{given!r} is not a whole number")
    try:
        return int(given)
    except ValueError:
        raise ValueError(f"{given!r} is not a whole number") from None


def read_priority(given: object) -> int:
    """5.0 is a whole number, too: JSON has only one kind (RFC 8259, 6), and tables with gaps are written so."""
    if isinstance(given, str) and len(given) < 30 and re.fullmatch(_WHOLE, given.strip()):
        given = float(given)
    if isinstance(given, int | float) and not isinstance(given, bool) and abs(given) <= MOST_PRIORITY:
        whole = int(given)
        if whole == given:
            return whole
    raise ValueError(f"the priority is not a whole number from -{MOST_PRIORITY:,} to {MOST_PRIORITY:,}")


def read_seconds(given: object) -> float:
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
    if not abs(seconds) <= A_YEAR:  # neither infinite nor NaN
        raise ValueError("that is not a time, or more than a year")
    return seconds


def read_size(given: object) -> int:
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    if isinstance(given, str) and len(given) < 30 and (match := re.fullmatch(_SIZE, given.strip())):
        return int(float(match[1]) * {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}.get(match[2].lower(), 1))
    raise ValueError(f"{given!r} is not a size, such as 4096, 64k or 100M")


def read_rate(given: object) -> float:
    """Per second."""
    rate = math.nan
    if isinstance(given, int | float) and not isinstance(given, bool):
        rate = _as_float(given)
    elif isinstance(given, str) and len(given) < 30 and (match := re.fullmatch(_RATE, given.strip())):
        rate = float(match[1]) / {"m": 60.0, "h": 3600.0}.get(match[2], 1.0)
    if not abs(rate) <= MOST_RATE:
        raise ValueError(f"{given!r} is not a rate, such as 50/s or 10/m")
    return rate


def read_byte_rate(given: object) -> int:
    """Bytes per second."""
    return read_size(given.strip().removesuffix("/s") if isinstance(given, str) else given)


def read_text(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError("that is not a text")
    if re.search(_FORBIDDEN, given):
        raise ValueError("there is a character in it that cannot be sent")
    return given


def read_path(given: object) -> str:
    """A file that is there."""
    import os

    if not isinstance(given, str | os.PathLike):
        raise ValueError(f"{given!r} is not a path")
    if not os.path.isfile(given):
        raise ValueError(f"there is no file {os.fspath(given)!r}")
    return os.path.abspath(given)  # a run may be gone on with from anywhere


def read_folder(given: object) -> str:
    import os

    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise ValueError(f"{given!r} is not a path")
    path = os.fspath(given)
    if not isinstance(path, str) or "\0" in path:
        raise ValueError("that is not a path")
    return path


def read_run(given: object) -> str:
    """The folder of a run, to be found again from anywhere."""
    import os

    return os.path.abspath(read_folder(given))


def read_flag(given: object) -> bool:
    if isinstance(given, bool):
        return given
    if isinstance(given, str) and given.strip().lower() in ("1", "true", "yes", "on"):
        return True
    if isinstance(given, str) and given.strip().lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(f"{given!r} is neither true nor false")


def read_method(given: object) -> str:
    if not isinstance(given, str) or not re.fullmatch(_NAME, given):
        raise ValueError(f"{given!r} is not an HTTP method")
    if given.upper() in ("CONNECT", "TRACE"):
        raise ValueError(f"{given.upper()} cannot be fetched")
    return given.upper()


def read_data(given: object) -> bytes:
    if isinstance(given, bytes):
        return given
    if isinstance(given, str):
        return given.encode("utf-8", "surrogateescape")
    raise ValueError("that is neither text nor bytes")


def read_headers(given: object) -> tuple[tuple[str, str], ...]:
    """From "Name: value" texts, (name, value) pairs or a mapping."""
    if isinstance(given, Mapping):
        given = given.items()
    if isinstance(given, str):
        given = given.splitlines()
    if not isinstance(given, Iterable):
        raise ValueError("that is not a list of headers")
    return tuple(_read_header(one) for one in given)


def pairs_of(given: object) -> tuple[tuple[str, str], ...]:
    """(name, value) pairs, or a mapping, as pairs of texts; whether they can be sent is not looked at.

    The ValueError does not show them: a header may be a secret.
    """
    pairs = given.items() if isinstance(given, Mapping) else given
    found = []
    for pair in pairs if isinstance(pairs, Iterable) and not isinstance(pairs, str | bytes) else (None,):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise ValueError("headers are pairs of a name and a value, both texts")
        found.append((str(pair[0]), str(pair[1])))
    return tuple(found)


def _read_header(given: object) -> tuple[str, str]:
    if isinstance(given, str):
        name, colon, value = given.partition(":")
        if not colon:
            raise ValueError("a header is given as 'Name: value'")  # without the text: it may be a secret
    else:
        try:
            pair: Any = given
            name, value = pair
        except (TypeError, ValueError):
            raise ValueError("a header is a name and a value") from None
    if not isinstance(name, str) or not isinstance(value, str) or not re.fullmatch(_NAME, name):
        raise ValueError("that is not a header name")
    if name.lower() in _OWN_HEADERS:
        raise ValueError(f"the header {name} is fetchq's own to send")
    if re.search(_FORBIDDEN, value):
        raise ValueError(f"the header {name} has a control character in its value")
    return name, value.strip(" \t")


def read_statuses(given: object) -> frozenset[int]:
    """From "200..=299,404" (`..=` includes the end, `..` does not), a status or several of them."""
    if isinstance(given, int) and not isinstance(given, bool):
        given = (given,)
    if isinstance(given, str):
        given = _statuses_in(given)
    if not isinstance(given, Iterable):
        raise ValueError(f"{given!r} is not a list of statuses")
    found: list[int] = []
    for status in given:
        if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 999:
            raise ValueError(f"{status!r} is not a status: 100 to 999")
        found.append(status)
    return frozenset(found)


def _statuses_in(text: str) -> list[int]:
    found: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if (match := re.fullmatch(_STATUS, part)) is None:
            raise ValueError(f"{part!r} is not a status or a range, such as 404 or 200..=299")
        first = int(match[1])
        last = first + 1 if match[3] is None else int(match[3]) + bool(match[2])
        if last <= first:
            raise ValueError(f"the range {part!r} is empty")
        found.extend(range(first, last))
    return found


def read_proxy(given: object) -> str:
    text = read_text(given)
    if "://" not in text and re.search(r":[0-9]+/?$", text):
        text = "http://" + text
    match = re.fullmatch(_PROXY, text)
    if match is None or not 0 < int(match[1] or 80) < 65536:
        begins = "SOCKS is not supported; " if text.lower().startswith("socks") else ""
        raise ValueError(f"{begins}a proxy is given as http://host:port or https://host:port")
    return text


def read_user(given: object) -> str:
    text = read_text(given)
    if ":" not in text:
        raise ValueError("a user is given as NAME:PASSWORD")
    return text


def read_resolve(given: object) -> tuple[tuple[str, int, str], ...]:
    """From "HOST:PORT:ADDRESS" texts, as curl has them, or (host, port, address) triples."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{given!r} is not a list of HOST:PORT:ADDRESS")
    return tuple(_read_resolve(one) for one in given)


def _read_resolve(given: object) -> tuple[str, int, str]:
    import ipaddress

    try:
        parts: Any = given.split(":", 2) if isinstance(given, str) else given
        host, port, address = str(parts[0]).lower(), int(parts[1]), str(ipaddress.ip_address(parts[2].strip("[]")))
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError):
        raise ValueError(f"{given!r} is not HOST:PORT:ADDRESS, such as example.org:443:127.0.0.1") from None
    if not host or not 1 <= port <= 65535:
        raise ValueError(f"{given!r} has no host, or a port that is none")
    return host, port, address


def choice_of(*words: str) -> Callable[[object], str]:
    def read_choice(given: object) -> str:
        if given not in words:
            from difflib import get_close_matches

            near = get_close_matches(str(given), words, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{given!r} is not one of {', '.join(words)}{hint}")
        return str(given)

    return read_choice


def choices_of(*words: str) -> Callable[[object], tuple[str, ...]]:
    read_one = choice_of(*words)

    def read_choices(given: object) -> tuple[str, ...]:
        if not isinstance(given, Iterable):
            raise ValueError(f"{given!r} is not a list")
        given = [given] if isinstance(given, str) else given
        return tuple(dict.fromkeys(read_one(one) for one in given))

    return read_choices


def read_save(given: object) -> str:
    """One of SAVES. Where its package is not installed, the error says how it is."""
    save = choice_of(*SAVES)(given)
    if save in _PACKAGES:
        _need(save)
    return save


def read_per_host_by(given: object) -> str:
    """One of HOST_KEYS. Where its package is not installed, the error says how it is."""
    if (key := choice_of(*HOST_KEYS)(given)) in _PACKAGES:
        _need(key)
    return key


def read_robots(given: object) -> bool:
    """A flag. Where it is set and its package is not installed, the error says how it is."""
    if flag := read_flag(given):
        _need("robots")
    return flag


def _need(extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(package := _PACKAGES[extra]) is None:
        raise ValueError(f"{extra} needs the package {package}; install it with: pip install 'fetchq[{extra}]'")
