"""Applies robots.txt: which URLs of a host are disallowed, and how long to wait between two requests (RFC 9309).

protego parses and matches the rules. This module does what RFC 9309 leaves to the crawler: with which settings a
robots.txt is fetched, what is allowed if it is not available, and which groups apply.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from fetchq.core.model import Cause, Request
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
_MAX_TEXT = 64_000_000
"""The most characters of rules that are cached; each host counts as at least `_MIN_TEXT` characters."""
_MIN_TEXT = 256
_MAX_PARSED = 4_000_000
"""The most characters of rules that are also cached in parsed form, which takes up to forty bytes for each."""
_OUR_AGENT = "us"
"""The product token that stands for fetchq in the text that protego gets."""
_AGENT = re.compile(r"\s*user(?:-|\s*)agent(?:\s*:|\s)\s*(.*)", re.IGNORECASE)
_IGNORED = re.compile(r"\s*(?:$|#|(?:site-?maps?|host)\b)", re.IGNORECASE)
"""A line that does not belong to a group, and does not end one."""


@dataclass(frozen=True, slots=True)
class RobotsRequest(Request):
    """The internal request for a robots.txt, which has no row and no Result."""


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
    )


def agent_of(settings: Settings) -> str:
    """The product token of the run's User-Agent in lower case, such as "us" for "Us/1.0" (RFC 9309, 2.2.1)."""
    given = [value for name, value in settings.headers if name.lower() == "user-agent"]
    text = given[-1] if given else settings.user_agent
    return "fetchq" if text is None else _token(text)


def _token(text: str) -> str:
    return re.split(r"[\s/*]", text.strip(), maxsplit=1)[0].lower()


class Rules:
    """The rules of one host."""

    __slots__ = ("_parsed", "interval", "text", "unavailable", "until")

    def __init__(self, text: str = "", *, unavailable: str | None = None) -> None:
        """`text`: the groups that apply to fetchq. `unavailable`: why there are none; it disallows everything."""
        self.text = text
        self.unavailable = unavailable
        self.until = inf
        """When the rules expire, by the clock of the schedule."""
        self._parsed: Any = None
        self.interval = (self._parser().crawl_delay(_OUR_AGENT) or 0.0) if text else 0.0
        """Seconds between the starts of two requests that the host asks for (Crawl-delay)."""

    def refusal(self, host: str, url: str) -> Refused | None:
        """Why this URL of the host may not be fetched; None if it may."""
        if self.unavailable is not None:
            why = f"robots.txt of {host} cannot be had, which disallows everything: {self.unavailable}"
            return Refused(Cause.BLOCKED, why)
        if not self.text or self._parser().can_fetch(url, _OUR_AGENT):
            return None
        return Refused(Cause.BLOCKED, f"robots.txt of {host} disallows it")

    @property
    def cost(self) -> int:
        """How many characters the rules count as in the cache."""
        return max(_MIN_TEXT, len(self.text))

    def _parser(self) -> Any:
        if self._parsed is None:
            from protego import Protego

            self._parsed = Protego.parse(self.text)
        return self._parsed

    def shrink(self) -> None:
        """Free the parsed rules; they are parsed again when they are needed."""
        self._parsed = None


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
        return Rules(_groups_for(agent, answer.body.content))
    status = answer.status or 0
    missing = answer.cause is Cause.STATUS and 300 <= status < 500 and status != 429
    if missing or answer.cause in (Cause.REDIRECT, Cause.BLOCKED):
        return Rules()
    return Rules(unavailable=answer.error or "it failed")


def rules_if_refused(refused: Refused) -> Rules:
    """The rules of a host whose robots.txt is not asked for. A host that is blocked needs none: its rows are, too."""
    return Rules() if refused.cause is Cause.BLOCKED else Rules(unavailable=refused.message)


def _groups_for(agent: str, body: bytes) -> str:
    """The lines of the groups for `agent` and for all crawlers (`*`).

    The other groups would only take memory: protego stores the rules of a group once for each of its agents. Besides,
    protego applies a group for "fetch" to "fetchq", whereas RFC 9309 requires the whole token to match.
    """
    if len(body) >= MAX_SIZE:
        body = body[:MAX_SIZE].rpartition(b"\n")[0]  # half a line may mean something else
    lines: list[str] = []
    ours = heading = False
    for line in body.decode("utf-8-sig", "replace").splitlines():
        if _IGNORED.match(line):
            continue
        found = _AGENT.match(line)
        if found is None:
            heading = False
            if ours:
                lines.append(line)
            continue
        name = found[1].partition("#")[0].strip()
        everybody = name == "*"
        mine = everybody or (agent != "" and _token(name) == agent)
        ours = mine or (heading and ours)
        heading = True
        if mine:
            lines.append("User-agent: *" if everybody else f"User-agent: {_OUR_AGENT}")
    return "\n".join(lines)


class RobotsCache:
    """The most recently used rules of a run's hosts, in bounded memory. Any thread may use it.

    If the rules of a host were dropped, its robots.txt is fetched again when its next row is due.
    """

    def __init__(self, settings: Settings) -> None:
        self._least_interval = settings.host_interval
        self._longest_interval = max(settings.max_retry_after, settings.host_interval)
        self._lock = threading.Lock()
        self._rules: OrderedDict[str, Rules] = OrderedDict()
        self._text = 0
        self._parsed: OrderedDict[str, Rules] = OrderedDict()
        self._parsed_text = 0

    def learn(self, host: str, rules: Rules) -> None:
        """Store the rules of a host, after limiting their interval by the run's settings."""
        rules.interval = min(max(rules.interval, self._least_interval), self._longest_interval)
        with self._lock:
            self._drop(host)
            self._rules[host] = rules
            self._text += rules.cost
            self._note_parsed(host, rules)
            while self._text > _MAX_TEXT and len(self._rules) > 1:
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
            if rules is None:
                return None
            self._note_parsed(host, rules)
            return rules.refusal(host, url)

    def _note_parsed(self, host: str, rules: Rules) -> None:
        if host in self._parsed:
            self._parsed.move_to_end(host)
            return
        self._parsed[host] = rules
        self._parsed_text += len(rules.text)
        while self._parsed_text > _MAX_PARSED and len(self._parsed) > 1:
            self._shrink(next(iter(self._parsed)))

    def _shrink(self, host: str) -> None:
        rules = self._parsed.pop(host, None)
        if rules is not None:
            self._parsed_text -= len(rules.text)
            rules.shrink()

    def _drop(self, host: str) -> None:
        self._shrink(host)
        rules = self._rules.pop(host, None)
        if rules is not None:
            self._text -= rules.cost
