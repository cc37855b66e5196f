"""What the tests of the pure parts share: values made with one call, a clock of their own, and text that hurts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fetchq.core.headers import Headers, headers_of
from fetchq.core.model import Cause, Complete, Request, Result, Timing
from fetchq.core.settings import Settings
from fetchq.http.attempt import Attempt
from fetchq.http.hops import HopPlan
from fetchq.http.proxies import ProxyConfig
from fetchq.http.url import parse_url

URL = "http://example.org/"


def examples(count: int) -> settings:
    """A test over so many generated inputs, however slow the machine is."""
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- text ---

INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180f\u2800\u3164\ufe00\ufe0f\uffa0\U000e0100\U000e01ef"
"""Marks and letters that need not show: the first and the last of each range of Default_Ignorable_Code_Point."""
ACTIVE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\xad\U000e0000-\U000e0fff"
    rf"{INVISIBLE}]"
)
"""What acts on a terminal: controls, line separators, BiDi marks, lone surrogates; and what may be invisible."""
HOSTILE = f"\x00\t\n\r\x1b[31m\x7f\x85\x9b\u061c\u200b\u2028\u202e\u2066\ufeff\ud800\udcff\xad\U000e0041{INVISIBLE}"
"""One of each kind of them."""

any_text = st.text(st.characters(exclude_categories=()) | st.sampled_from(HOSTILE + "=+-@\"',;\\/:?#é€𝄞"))
"""Any text at all, lone surrogates included, and the characters that matter here more often than others."""

any_object = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [10**400, -(10**400), float("inf"), float("nan"), dict, dict.items, ..., 1j, "9" * 400, "9" * 5000]
    )
    | st.floats()
    | st.binary()
    | any_text
    | st.lists(any_text | st.integers() | st.none() | st.tuples(any_text, any_text) | st.lists(st.floats()), max_size=4)
    | st.lists(st.tuples(any_text, st.floats() | st.integers() | any_text, any_text), max_size=2)
    | st.lists(st.dictionaries(st.integers(0, 2), any_text, max_size=3), max_size=2)
    | st.dictionaries(any_text, any_text | st.integers(), max_size=3)
)
"""What somebody might pass for a setting."""


# --- values ---


def header_map(pairs: Iterable[tuple[str, str]] = ()) -> Headers:
    return headers_of(pairs)


def raw_headers(pairs: Iterable[tuple[str, str]] = ()) -> list[tuple[bytes, bytes]]:
    """Header fields as they come from a server."""
    return [
        (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")) for name, value in pairs
    ]


def make_result(*, headers: Iterable[tuple[str, str]] = (), **changes: Any) -> Result:
    """An ok Result, with these changes; `cause` alone makes it a failed one."""
    failed = changes.get("cause") is not None
    fields: dict[str, Any] = {
        "index": 0,
        "url": URL,
        "final_url": URL,
        "method": "GET",
        "label": None,
        "ok": not failed,
        "status": 200,
        "reason": "OK",
        "cause": None,
        "error": "it failed" if failed else None,
        "attempts": 1,
        "redirects": 0,
        "size": 0,
        "wire_size": 0,
        "sha256": None,
        "content_type": None,
        "charset": None,
        "content_encoding": None,
        "complete": Complete.YES,
        "path": None,
        "worker": 1,
        "mode": "async",
        "http_version": "1.1",
        "remote": "192.0.2.1:80",
        "started": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
        "elapsed": 0.5,
        "timing": Timing(wait=0.5),
        "body": b"",
        "_spool": None,
        "_duplicate_of": None,
        "hops": (),
        "passed": None,
        "trailers": None,
    }
    assert changes.keys() <= fields.keys()
    return Result(**(fields | changes), headers=header_map(headers))


def failed_result(cause: Cause, **changes: Any) -> Result:
    return make_result(**({"cause": cause, "status": None, "complete": None} | changes))


# --- one attempt, driven by hand ---


class Clock:
    """Stands in for `time.perf_counter`; time passes when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Outcome:
    """A finished attempt, as far as the queue looks at it."""

    def __init__(
        self,
        cause: Cause | None = None,
        status: int | None = 200,
        *,
        after: str | None = None,
        sent: bool = True,
        permanent: bool = False,
        redirects: int = 0,
    ) -> None:
        """`after`: its Retry-After."""
        self.cause = cause
        self.status = status
        self.sent = sent
        self.permanent = permanent
        self.redirects = redirects
        self.local_limit = False
        self.held = 0.0
        self.phases = [0.0] * 8
        self.method = "GET"
        self.error = "it failed"
        self.headers = header_map([] if after is None else [("Retry-After", after)])


def make_plan(settings: Settings) -> HopPlan:
    return HopPlan(settings, ProxyConfig(settings))


def make_attempt(
    settings: Settings | None = None, *, url: str = URL, method: str | None = None, **fields: Any
) -> Attempt:
    """An attempt at `url`, not yet begun. `fields`: of the Request."""
    settings = settings or Settings()
    request = Request(url, method=method, **fields)
    return Attempt(make_plan(settings), request, parse_url(url))


def connect(attempt: Attempt) -> None:
    attempt.begin_exchange()
    attempt.connected(reused=False)


def respond(
    attempt: Attempt,
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    *,
    reason: str | None = "OK",
    version: tuple[int, int] = (1, 1),
) -> bool:
    """The head of a response is in; the attempt is connected first. Whether its body is to be read."""
    connect(attempt)
    return attempt.on_response(status, reason, raw_headers(headers), version)
