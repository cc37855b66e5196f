"""Formats an attribution as one line, with the words that the verdict shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.core.text import one_line
from fetchq.reports.text import percent_text
from fetchq.scheduling.limit import Limit

if TYPE_CHECKING:
    from fetchq.reports.attribution import Attribution, Held

__all__ = ["LIMIT_TEXT", "HeldBy", "attribution_text", "host_text"]

LIMIT_TEXT = {
    Limit.PER_HOST: "--per-host",
    Limit.RATE: "--rate",
    Limit.HOST_INTERVAL: "--host-interval",
    Limit.LIMIT_RATE: "--limit-rate",
    Limit.BACK_OFF: "back-off",
    Limit.RETRY_AFTER: "Retry-After",
    Limit.OUTAGE: "outage",
    Limit.RETRY_WAIT: "--retry-wait",
    Limit.ROBOTS: "robots.txt",
    Limit.ADDRESS: "address lookup",
    Limit.FIRST_ANSWER: "first answer",
    Limit.CONNECTIONS: "open files",
}
"""Each limit in a few words, as the option that sets it if there is one."""

_LEAST_SHARE = 0.01
"""The smallest share of the workers' time that the line shows."""
_MOST_OF_A_NAME = 60
"""The most characters of a host's name that are shown."""


class HeldBy:
    """The limit that held the workers longest, all hosts together."""

    def __init__(self, held: tuple[Held, ...]) -> None:
        """`held`: at least one entry."""
        seconds: dict[Limit, float] = {}
        for one in held:
            seconds[one.limit] = seconds.get(one.limit, 0.0) + one.seconds
        self.limit = max(seconds, key=lambda limit: seconds[limit])
        self.seconds = seconds[self.limit]
        """Seconds at all hosts."""
        at_hosts = [one for one in held if one.limit is self.limit and one.host is not None]
        self.host = max(at_hosts, key=lambda one: one.seconds).host if at_hosts else None
        """The host at which it held them longest; None for a limit of the whole run."""
        self.hosts = len({one.host for one in at_hosts})

    @property
    def of_host(self) -> str:
        """The hosts in words: `example.org`, `example.org and 2 others`."""
        if self.host is None:
            return "hosts"
        others = self.hosts - 1
        return host_text(self.host) + (f" and {others} other{'s'[: others - 1]}" if others else "")


def attribution_text(attribution: Attribution) -> str:
    """What the workers did with their time, as a line: `where the workers' time went: wait 71 %, own 29 %`."""
    shares = []
    for name, seconds in sorted(attribution.parts().items(), key=lambda part: -part[1]):
        if (share := seconds / (attribution.total or 1.0)) >= _LEAST_SHARE:
            why = f" ({_held_text(HeldBy(attribution.held))})" if name == "held" else ""
            shares.append(f"{name} {percent_text(share)}{why}")
    return f"where the workers' time went: {', '.join(shares)}"


def _held_text(held: HeldBy) -> str:
    return LIMIT_TEXT[held.limit] + (f" on {held.of_host}" if held.host is not None else "")


def host_text(host: str) -> str:
    """The key of a host as a sentence has it: without the scheme, and not too long."""
    name = one_line(host.partition("://")[2] or host)
    return name if len(name) <= _MOST_OF_A_NAME else f"{name[:_MOST_OF_A_NAME]}..."
