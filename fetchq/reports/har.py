"""Writes a HAR file (HTTP Archive 1.2), which the developer tools of browsers open: an entry for each request.

A row has an entry for each hop of each attempt, in the order in which rows finish. A row for which no request was made
has none: an invalid URL, say, or a copy of an equal row (`dedupe`); nor has a robots.txt. Bodies are not in the file,
nor values of header fields and cookies that may be secret.

`time` is the sum of `timings`, in milliseconds:

| HAR | the phases of fetchq |
|---|---|
| blocked | `queued`, `held` and `lag`, which is a part of no other phase |
| dns, connect | `dns`; `connect` and `tls`, of which `tls` is also shown as ssl. -1 on a reused connection |
| send | 0, since `wait` begins when there is a connection |
| wait | `wait` |
| receive | `receive`, `decode` and `store`, which alternate while a body arrives |

What HAR has no name for is also there by its own name, after an underscore. What comes after the worker is done with a
row, such as writing a web archive, is not in the file.
"""

from __future__ import annotations

from datetime import UTC, datetime
from time import perf_counter, time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from fetchq._version import __version__
from fetchq.http.masked_fields import MASK, masked_response
from fetchq.reports.json_file import JsonFile
from fetchq.store.sinks.records_jsonl import json_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fetchq.core.exchange import Exchange
    from fetchq.core.model import Result
    from fetchq.core.settings import Settings
    from fetchq.reports.summary import Summary

__all__ = ["HarView"]

_CREATOR = {"name": "fetchq", "version": __version__}
_LEGAL = "!#$%&'()*+,/:;=?@[]~"
"""The characters of a URL that are written as they are, beside letters and digits."""
_NO_TYPE = "x-unknown"
"""What Chromium writes for content without a type."""
_UNKNOWN = -1
"""What HAR writes for a size that is not known, and for a phase that there was not."""


class HarView:
    """Writes an entry for each request."""

    def __init__(self, settings: Settings) -> None:
        assert settings.har is not None
        self._epoch = time() - perf_counter()
        """Wall-clock seconds at the zero of `time.perf_counter`, so that no step of the clock shows."""
        creator = json_line(_CREATOR)[:-1]
        self._file = JsonFile(settings.har, b'{"log": {"version": "1.2", "creator": ' + creator + b', "entries": [')

    def add(self, results: Sequence[Result]) -> None:
        self._file.add(entry for result in results for entry in self._entries(result))

    def close(self, summary: Summary) -> None:
        self._file.close(b"\n]}}\n")

    def _entries(self, result: Result) -> Iterator[dict[str, Any]]:
        exchanges = result._exchanges
        for number, exchange in enumerate(exchanges, 1):
            failure = result if number == len(exchanges) else exchange  # the Result may know more: storing has failed
            timings = _timings(exchange)
            milliseconds = _total(timings)
            began = self._epoch + exchange.ended - milliseconds / 1000
            yield {
                "startedDateTime": datetime.fromtimestamp(began, UTC),
                "time": milliseconds,
                "request": _request(exchange),
                "response": _response(exchange, failure),
                "cache": {},
                "timings": timings,
                **_address(exchange.remote),
                "_row": result.index,
                "_label": result.label,
                "_attempt": exchange.attempt,
                "_worker": exchange.worker,
                "_cause": None if failure.cause is None else failure.cause.value,
            }


def _address(remote: str | None) -> dict[str, str]:
    if remote is None:
        return {}
    address, _, port = remote.rpartition(":")
    return {"serverIPAddress": address.strip("[]"), "connection": port}


def _request(exchange: Exchange) -> dict[str, Any]:
    # What a URL may not have (RFC 3986, 2), such as | or a letter that is not ASCII, may have been sent as it is.
    url = quote(exchange.url, safe=_LEGAL, errors="backslashreplace")
    headers = exchange.request_headers
    cookie = next((value for name, value in headers.items() if name.lower() == "cookie"), "")
    names = [pair.partition("=")[0].strip() for pair in cookie.split(";") if "=" in pair]
    return {
        "method": exchange.method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [{"name": name, "value": MASK} for name in names],
        "headers": _pairs(headers.items()),
        "queryString": _pairs(parse_qsl(url.partition("?")[2], keep_blank_values=True)),
        "headersSize": _UNKNOWN,
        "bodySize": exchange.request_size or 0,
    }


def _response(exchange: Exchange, failure: Result | Exchange) -> dict[str, Any]:
    """The response; where none came, one with the status 0, as Chromium writes it."""
    headers = masked_response(exchange.headers)
    first = dict(reversed([(name.lower(), value) for name, value in headers]))
    wire_size = exchange.wire_size
    content: dict[str, Any] = {"size": exchange.size, "mimeType": first.get("content-type", _NO_TYPE)}
    if wire_size is not None and "content-encoding" in first:
        content["compression"] = exchange.size - wire_size
    return {
        "status": exchange.status or 0,
        "statusText": exchange.reason or "",
        "httpVersion": "" if exchange.http_version is None else f"HTTP/{exchange.http_version}",
        "cookies": [_cookie(value) for name, value in headers if name.lower() == "set-cookie"],
        "headers": _pairs(headers),
        "content": content,
        "redirectURL": first.get("location", ""),
        "headersSize": _UNKNOWN,
        "bodySize": _UNKNOWN if wire_size is None else wire_size,
        "_transferSize": wire_size,  # else Chromium adds up headersSize and bodySize, and shows one byte too few
        "_error": failure.error,
    }


def _cookie(field: str) -> dict[str, Any]:
    """A cookie from a masked Set-Cookie field."""
    pair, *attributes = [part.strip() for part in field.split(";")]
    given = {key.strip().lower(): value.strip() for key, _, value in (part.partition("=") for part in attributes)}
    kept = {key: given[key] for key in ("path", "domain") if key in given}
    name = pair.partition("=")[0] if "=" in pair else ""
    return {"name": name, "value": MASK, "httpOnly": "httponly" in given, "secure": "secure" in given} | kept


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _timings(exchange: Exchange) -> dict[str, float]:
    """The phases in milliseconds, by HAR's names and after an underscore by ours. `ssl` is a part of `connect`."""
    timing, tls = exchange.timing, exchange.timing.tls or 0.0
    waited = exchange.queued + exchange.held
    connecting = (timing.dns, timing.connect + tls, tls)
    dns, connect, ssl = (_UNKNOWN if exchange.reused or not one else _ms(one) for one in connecting)
    return {
        "blocked": _ms(waited + timing.lag + (timing.dns + timing.connect + tls if exchange.reused else 0.0)),
        "dns": dns,
        "connect": connect,
        "ssl": ssl,
        "send": 0,
        "wait": _ms(timing.wait),
        "receive": _ms(timing.receive + exchange.decode + exchange.store),
        "_blocked_queueing": _ms(waited),  # Chromium shows it as a phase of its own
        "_queued": _ms(exchange.queued),
        "_held": _ms(exchange.held),
        "_lag": _ms(timing.lag),
        "_decode": _ms(exchange.decode),
        "_store": _ms(exchange.store),
    }


def _total(timings: dict[str, float]) -> float:
    """The milliseconds of all phases that there were."""
    names = ("blocked", "dns", "connect", "send", "wait", "receive")
    return round(sum(max(0.0, timings[name]) for name in names), 3)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
