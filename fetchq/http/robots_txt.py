"""Reads robots.txt: which URLs of a host are disallowed, and how long to wait between two requests (RFC 9309).

protego parses and matches the rules. Here is what RFC 9309 leaves to the crawler: how a robots.txt is fetched, what
follows when it is not available, and which groups are ours.
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

__all__ = ["MAX_SIZE", "RobotsCache", "RobotsRequest", "Rules", "agent_of", "request_for", "rules_of", "settings_for"]

MAX_SIZE = 500 * 1024
"""Bytes at the beginning of a robots.txt that are read; the rest is ignored (RFC 9309, 2.5)."""
_MIN_REDIRECTS = 5
"""Redirects that are followed even if the run follows fewer (RFC 9309, 2.3.1.2)."""
_MAX_TEXT = 64_000_000
"""Characters of rules that are cached; each host counts as `_MIN_TEXT` characters at least."""
_MIN_TEXT = 256
_MAX_PARSED = 4_000_000
"""Characters of rules that are cached as parsed, where each takes up to forty bytes."""
_OUR_AGENT = "us"
"""Our product token in the text that is given to protego."""
_AGENT = re.compile(r"\s*user(?:-|\s*)agent(?:\s*:|\s)\s*(.*)", re.IGNORECASE)
_IGNORED = re.compile(r"\s*(?:$|#|(?:site-?maps?|host)\b)", re.IGNORECASE)
"""A line that belongs to no group, and ends none."""


@dataclass(frozen=True, slots=True)
class RobotsRequest(Request):
    """Asks for a robots.txt: an internal request, which has no row and no Result."""


def request_for(host: str) -> RobotsRequest | None:
    """The request for the robots.txt of a host (`http://example.org:81`); None where its URL would not be valid."""
    url = f"{host}/robots.txt"
    try:
        parse_url(url)
    except Refused:
        return None
    return RobotsRequest(url, -1)


def settings_for(settings: Settings) -> Settings:
    """The settings for fetching a robots.txt: those of the run, without what is meant for its rows alone.

    Headers, body and passwords may be secret, and are meant for the pages: only the User-Agent is sent.
    """
    return replace(
        settings,
        method=None,
        headers=tuple((name, value) for name, value in settings.headers if name.lower() == "user-agent"),
        data=None,
        user=None,
        cookie=None,
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
    """The product token of the run's User-Agent, in lower case (RFC 9309, 2.2.1): "us" of "Us/1.0 (+http://h)"."""
    given = [value for name, value in settings.headers if name.lower() == "user-agent"]
    text = given[-1] if given else settings.user_agent
    return "fetchq" if text is None else _token(text)


def _token(text: str) -> str:
    return re.split(r"[\s/*]", text.strip(), maxsplit=1)[0].lower()


class Rules:
    """The rules of one host."""

    __slots__ = ("_parsed", "interval", "text", "unavailable", "until")

    def __init__(self, text: str = "", *, unavailable: str | None = None) -> None:
        """`text`: the groups that apply to us. `unavailable`: why they could not be fetched; all is disallowed then."""
        self.text = text
        self.unavailable = unavailable
        self.until = inf
        """When they expire."""
        self._parsed: Any = None
        self.interval = (self._parser().crawl_delay(_OUR_AGENT) or 0.0) if text else 0.0
        """Seconds that the host wants between the starts of two requests (Crawl-delay)."""

    def refusal(self, host: str, url: str) -> Refused | None:
        """Why this URL of the host may not be fetched; None where it may."""
        if self.unavailable is not None:
            why = f"robots.txt of {host} cannot be had, which disallows everything: {self.unavailable}"
            return Refused(Cause.BLOCKED, why)
        if not self.text or self._parser().can_fetch(url, _OUR_AGENT):
            return None
        return Refused(Cause.BLOCKED, f"robots.txt of {host} disallows it")

    @property
    def cost(self) -> int:
        """The characters as which the rules count in the cache."""
        return max(_MIN_TEXT, len(self.text))

    def _parser(self) -> Any:
        if self._parsed is None:
            from protego import Protego

            self._parsed = Protego.parse(self.text)
        return self._parsed

    def shrink(self) -> None:
        """Free the parsed rules, until they are needed again."""
        self._parsed = None


class Answer(Protocol):
    """What a finished attempt at a robots.txt has that matters here."""

    @property
    def cause(self) -> Cause | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def status(self) -> int | None: ...
    @property
    def body(self) -> ReceivedBody: ...


def rules_of(answer: Answer, agent: str) -> Rules:
    """The rules for `agent` by the last attempt at a robots.txt (RFC 9309, 2.3.1).

    Where there is no robots.txt (4xx, or a redirect that cannot be followed), all is allowed; where it is unreachable
    (5xx, 429, or a failure of the network), nothing is.
    """
    if answer.cause is None:
        return Rules(_groups_for(agent, answer.body.content))
    status = answer.status or 0
    missing = answer.cause is Cause.STATUS and 300 <= status < 500 and status != 429
    if missing or answer.cause in (Cause.REDIRECT, Cause.BLOCKED):
        return Rules()
    return Rules(unavailable=answer.error or "it failed")


def _groups_for(agent: str, body: bytes) -> str:
    """The lines of the groups for `agent` and for everybody (`*`).

    The other groups would only take memory: as many rules as there are lines, for each of as many agents. Besides,
    protego applies a group of "fetch" to "fetchq", where RFC 9309 wants the whole token to be the same.
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
    """The rules of the hosts of a run that were used last, in bounded memory. Any thread may use it.

    The robots.txt of a host whose rules were dropped is fetched again when its next row is due.
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
        """Store the rules of a host. Their interval is limited by the settings of the run."""
        rules.interval = min(max(rules.interval, self._least_interval), self._longest_interval)
        with self._lock:
            self._drop(host)
            self._rules[host] = rules
            self._text += rules.cost
            self._note_parsed(host, rules)
            while self._text > _MAX_TEXT and len(self._rules) > 1:
                self._drop(next(iter(self._rules)))

    def rules_for(self, host: str) -> Rules | None:
        """The rules of a host; None where they are not, or no longer, cached."""
        with self._lock:
            rules = self._rules.get(host)
            if rules is not None:
                self._rules.move_to_end(host)
            return rules

    def refusal(self, host: str, url: str) -> Refused | None:
        """Why `url`, which is of that host, may not be fetched; None where it may, or the rules are not cached."""
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
