"""Applies robots.txt: which URLs of a host are disallowed, and how long to wait between two requests (RFC 9309).

`fetchq.http.robots_rules` reads and matches the rules. This module does what RFC 9309 leaves to the crawler: with which
settings a robots.txt is fetched, what is allowed if it is not available, and for how many hosts rules are kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Protocol

from fetchq.core.model import Cause, Request
from fetchq.http.robots_rules import TooManyPatterns, path_of, read_rules, token_of
from fetchq.http.url import Refused, parse_url

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.http.body import ReceivedBody

__all__ = [
    "MAX_SIZE",
    "RobotsCache",
    "RobotsRequest",
    "Rules",
    "agent_of",
    "request_for",
    "rules_if_refused",
    "rules_of",
    "settings_for",
]

MAX_SIZE = 500 * 1024
"""Only this many bytes of a robots.txt are read; the rest is ignored (RFC 9309, 2.5)."""
_MIN_REDIRECTS = 5
"""At least this many redirects are followed, even if the run follows fewer (RFC 9309, 2.3.1.2)."""
_MAX_COST = 64_000_000
"""Bytes of rules that are cached; each host counts as at least `_MIN_COST`."""
_MIN_COST = 512


class RobotsRequest(Request):
    """The internal request for a robots.txt, which has no row and no Result."""

    __slots__ = ()


def request_for(host: str) -> RobotsRequest | None:
    """The request for the robots.txt of a host, such as `http://example.org:81`; None if its URL would be invalid."""
    url = f"{host}/robots.txt"
    try:
        parse_url(url)
    except Refused:
        return None
    return RobotsRequest(url, -1)


def settings_for(settings: Settings) -> Settings:
    """The settings for fetching a robots.txt: those of the run, without those that are meant for its rows alone.

    Of the headers, only the User-Agent is sent: the others, the body and the passwords are meant for the pages, and may
    be secret.
    """
    return replace(
        settings,
        method=None,
        head=False,
        headers=tuple((name, value) for name, value in settings.headers if name.lower() == "user-agent"),
        data=None,
        user=None,
        cookie=None,
        cookie_jar=None,
        trust_env=False,  # no ~/.netrc; the proxies of the environment have been read before
        max_redirects=max(_MIN_REDIRECTS, settings.max_redirects),
        max_filesize=100_000_000,
        max_ratio=1000,
        accept=frozenset(range(200, 300)),
        accept_encoded=False,
        output=None,
        resume=False,
        overwrite=False,
        dedupe=False,
        refresh=None,
        keep_body=True,
        record_bodies=False,
    )


def agent_of(settings: Settings) -> str:
    """The product token of the run's User-Agent in lower case, such as "us" for "Us/1.0" (RFC 9309, 2.2.1)."""
    given = [value for name, value in settings.headers if name.lower() == "user-agent"]
    text = given[-1] if given else settings.user_agent
    return "fetchq" if text is None else token_of(text)


class Rules:
    """The rules of one host."""

    __slots__ = ("_paths", "cost", "interval", "unavailable", "until")

    def __init__(self, text: str = "", agent: str = "", *, unavailable: str | None = None) -> None:
        """`text`: a robots.txt. `agent`: see `agent_of`. `unavailable`: why there is none; it disallows everything."""
        found = read_rules(text, agent) if text else None
        self._paths = None if found is None else found.paths
        self.interval = 0.0 if found is None else found.crawl_delay
        """Seconds between the starts of two requests that the host asks for (Crawl-delay)."""
        self.unavailable = unavailable
        self.until = inf
        """When the rules expire, by the clock of the schedule."""
        self.cost = _MIN_COST if found is None else max(_MIN_COST, found.paths.cost)
        """How many bytes the rules count as in the cache."""

    def refusal(self, host: str, url: str) -> Refused | None:
        """Why this URL of the host may not be fetched; None if it may."""
        if self.unavailable is not None:
            why = f"robots.txt of {host} cannot be had, which disallows everything: {self.unavailable}"
            return Refused(Cause.BLOCKED, why)
        if self._paths is None:
            return None
        path = path_of(url)
        try:
            if path == "/robots.txt" or self._paths.allows(path):
                return None
        except TooManyPatterns:
            return Refused(Cause.BLOCKED, f"robots.txt of {host} has too many patterns to compare this URL with")
        return Refused(Cause.BLOCKED, f"robots.txt of {host} disallows it")


class Answer(Protocol):
    """The attributes of a finished attempt that this module uses."""

    @property
    def cause(self) -> Cause | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def status(self) -> int | None: ...
    @property
    def body(self) -> ReceivedBody: ...


def rules_of(answer: Answer, agent: str) -> Rules:
    """The rules for `agent`, from the last attempt to fetch a robots.txt (RFC 9309, 2.3.1).

    If there is no robots.txt (4xx, or a redirect that cannot be followed), everything is allowed; if it is unreachable
    (5xx, 429, or a network failure), nothing is.
    """
    if answer.cause is None:
        content = answer.body.content
        if len(content) >= MAX_SIZE:
            content = content[:MAX_SIZE].rpartition(b"\n")[0]  # half a line may mean something else
        return Rules(content.decode("utf-8-sig", "replace"), agent)
    status = answer.status or 0
    missing = answer.cause is Cause.STATUS and 300 <= status < 500 and status != 429
    if missing or answer.cause in (Cause.REDIRECT, Cause.BLOCKED):
        return Rules()
    return Rules(unavailable=answer.error or "it failed")


def rules_if_refused(refused: Refused) -> Rules:
    """The rules of a host whose robots.txt is not asked for. A host that is blocked needs none: its rows are, too."""
    return Rules() if refused.cause is Cause.BLOCKED else Rules(unavailable=refused.message)


class RobotsCache:
    """The most recently used rules of a run's hosts, in bounded memory. Any thread may use it.

    If the rules of a host were dropped, its robots.txt is fetched again when its next row is due.
    """

    def __init__(self, settings: Settings) -> None:
        self._least_interval = settings.host_interval
        self._longest_interval = max(settings.max_retry_after, settings.host_interval)
        self._lock = threading.Lock()
        self._rules: OrderedDict[str, Rules] = OrderedDict()
        self._cost = 0

    def learn(self, host: str, rules: Rules) -> None:
        """Store the rules of a host, after limiting their interval by the run's settings."""
        rules.interval = min(max(rules.interval, self._least_interval), self._longest_interval)
        with self._lock:
            self._drop(host)
            self._rules[host] = rules
            self._cost += rules.cost
            while self._cost > _MAX_COST and len(self._rules) > 1:
                self._drop(next(iter(self._rules)))

    def rules_for(self, host: str) -> Rules | None:
        """The rules of a host; None if they are not, or no longer, cached."""
        with self._lock:
            rules = self._rules.get(host)
            if rules is not None:
                self._rules.move_to_end(host)
            return rules

    def refusal(self, host: str, url: str) -> Refused | None:
        """Why `url`, a URL of that host, may not be fetched; None if it may, or if the rules are not cached."""
        with self._lock:
            rules = self._rules.get(host)
        return None if rules is None else rules.refusal(host, url)

    def _drop(self, host: str) -> None:
        rules = self._rules.pop(host, None)
        if rules is not None:
            self._cost -= rules.cost
