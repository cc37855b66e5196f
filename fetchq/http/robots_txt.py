"""robots.txt: what a host wants to be left alone, and how often it may be asked (RFC 9309).

The only module that imports protego, which knows the rules; here stands what RFC 9309 leaves to whoever fetches them.
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

__all__ = ["LOOKED_AT", "RobotsCache", "RobotsRequest", "Rules", "agent_of", "request_for", "rules_of", "settings_for"]

LOOKED_AT = 500 * 1024
"""Bytes of a robots.txt that count (RFC 9309, 2.5)."""
_HOPS = 5
"""Redirects that are followed at least (RFC 9309, 2.3.1.2)."""
_MOST_TEXT = 64_000_000
"""Characters of rules that are remembered, those of a host counted as this many at least:"""
_LEAST = 256
_MOST_PARSED = 4_000_000
"""Characters of those that are in the parser's hands, where each takes up to forty bytes."""
_US = "us"
"""What we are called in what the parser gets to see."""
_AGENT = re.compile(r"\s*user(?:-|\s*)agent(?:\s*:|\s)\s*(.*)", re.IGNORECASE)
_ASIDE = re.compile(r"\s*(?:$|#|(?:site-?maps?|host)\b)", re.IGNORECASE)
"""A line that belongs to no group, and ends none."""


@dataclass(frozen=True, slots=True)
class RobotsRequest(Request):
    """Asks for a robots.txt. An internal request, and no row: nobody sees a Result of it."""


def request_for(host: str) -> RobotsRequest | None:
    """The request for the robots.txt of a host (`http://example.org:81`); None where it can have none."""
    url = f"{host}/robots.txt"
    try:
        parse_url(url)
    except Refused:
        return None
    return RobotsRequest(url, -1)


def settings_for(settings: Settings) -> Settings:
    """How a robots.txt is fetched: as the run fetches, but for what is meant for its rows.

    Headers, body and passwords may be secret, and are for the pages that were asked for: only the User-Agent is sent.
    """
    return replace(
        settings,
        method=None,
        headers=tuple((name, value) for name, value in settings.headers if name.lower() == "user-agent"),
        data=None,
        user=None,
        cookie=None,
        trust_env=False,  # ~/.netrc; which proxy to take has been read before
        max_redirects=max(_HOPS, settings.max_redirects),
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
    """Of one host."""

    __slots__ = ("_parsed", "interval", "text", "until", "why_not")

    def __init__(self, text: str = "", *, why_not: str | None = None) -> None:
        """`text`: the lines that are meant for us. `why_not`: they cannot be had, and nothing is allowed."""
        self.text = text
        self.why_not = why_not
        self.until = inf
        """When they are no longer to be trusted."""
        self._parsed: Any = None
        self.interval = (self._parser().crawl_delay(_US) or 0.0) if text else 0.0
        """Seconds from start to start that the host asks for."""

    def refusal(self, host: str, url: str) -> Refused | None:
        """Why this URL of the host may not be fetched; None where it may."""
        if self.why_not is not None:
            why = f"robots.txt of {host} cannot be had, which disallows everything: {self.why_not}"
            return Refused(Cause.BLOCKED, why)
        if not self.text or self._parser().can_fetch(url, _US):
            return None
        return Refused(Cause.BLOCKED, f"robots.txt of {host} disallows it")

    @property
    def weight(self) -> int:
        return max(_LEAST, len(self.text))

    def _parser(self) -> Any:
        if self._parsed is None:
            from protego import Protego

            self._parsed = Protego.parse(self.text)
        return self._parsed

    def shrink(self) -> None:
        """Give back what the parser takes, until it is needed again."""
        self._parsed = None


class Answer(Protocol):
    """What became of the request for a robots.txt."""

    @property
    def cause(self) -> Cause | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def status(self) -> int | None: ...
    @property
    def body(self) -> bytes: ...


def rules_of(answer: Answer, agent: str) -> Rules:
    """The rules for `agent` that the last attempt at a robots.txt has brought (RFC 9309, 2.3.1).

    Where there is none (4xx, or redirects that lead nowhere) all is allowed; where it cannot be had (5xx, 429, or the
    network fails), nothing is.
    """
    if answer.cause is None:
        return Rules(_meant_for(agent, answer.body))
    status = answer.status or 0
    unavailable = answer.cause is Cause.STATUS and 300 <= status < 500 and status != 429
    if unavailable or answer.cause in (Cause.REDIRECT, Cause.BLOCKED):
        return Rules()
    return Rules(why_not=answer.error or "it failed")


def _meant_for(agent: str, body: bytes) -> str:
    """The lines of the groups for `agent` and for everybody.

    The others would take memory for nothing: as many rules as there are lines, for each of as many agents. Besides,
    protego takes "fetch" for a group of "fetchq", where RFC 9309 wants the whole word.
    """
    if len(body) >= LOOKED_AT:
        body = body[:LOOKED_AT].rpartition(b"\n")[0]  # half a line may say something else
    kept: list[str] = []
    ours = heading = False
    for line in body.decode("utf-8-sig", "replace").splitlines():
        if _ASIDE.match(line):
            continue
        found = _AGENT.match(line)
        if found is None:
            heading = False
            if ours:
                kept.append(line)
            continue
        name = found[1].partition("#")[0].strip()
        everybody = name == "*"
        mine = everybody or (agent != "" and _token(name) == agent)
        ours = mine or (heading and ours)
        heading = True
        if mine:
            kept.append("User-agent: *" if everybody else f"User-agent: {_US}")
    return "\n".join(kept)


class RobotsCache:
    """The rules of the hosts of a run, those that were used last; what it takes is bounded. For any number of threads.

    A host whose rules had to go is asked again when its turn comes again.
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
        """From now on these are the rules there. Their interval is held to what the run allows."""
        rules.interval = min(max(rules.interval, self._least_interval), self._longest_interval)
        with self._lock:
            self._forget(host)
            self._rules[host] = rules
            self._text += rules.weight
            self._note_parsed(host, rules)
            while self._text > _MOST_TEXT and len(self._rules) > 1:
                self._forget(next(iter(self._rules)))

    def rules_for(self, host: str) -> Rules | None:
        """None where they are not, or no longer, known."""
        with self._lock:
            rules = self._rules.get(host)
            if rules is not None:
                self._rules.move_to_end(host)
            return rules

    def refusal(self, host: str, url: str) -> Refused | None:
        """Why `url`, which is of that host, may not be fetched; None where it may, or nobody knows."""
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
        while self._parsed_text > _MOST_PARSED and len(self._parsed) > 1:
            self._shrink(next(iter(self._parsed)))

    def _shrink(self, host: str) -> None:
        rules = self._parsed.pop(host, None)
        if rules is not None:
            self._parsed_text -= len(rules.text)
            rules.shrink()

    def _forget(self, host: str) -> None:
        self._shrink(host)
        rules = self._rules.pop(host, None)
        if rules is not None:
            self._text -= rules.weight
