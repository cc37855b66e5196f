"""Defines the verdict on a run: what limited it, in one sentence, and what would make it faster.

`fetchq.reports.diagnosis` computes it, by the rules that its docstring lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Bottleneck", "Verdict"]


class Bottleneck(StrEnum):
    """What can limit a run."""

    NONE = "none"
    """Nothing: every row was begun at once."""
    WORKERS = "workers"
    """The workers waited for servers, and there were not more of them."""
    SLOW_HOST = "slow_host"
    """One host took most of the workers' time, since it is much slower than the others."""
    SLOW_URL = "slow_url"
    """One row took nearly as long as the run."""
    SYNC = "sync"
    """Mode `sync` makes one request at a time."""
    PER_HOST = "per_host"
    RATE = "rate"
    HOST_INTERVAL = "host_interval"
    """`Settings.host_interval`, or the Crawl-delay of a robots.txt."""
    LIMIT_RATE = "limit_rate"
    BACK_OFF = "back_off"
    """A host refused requests, failed or grew slow, and got fewer, or asked for a pause."""
    OUTAGE = "outage"
    """A host could not be connected to."""
    RETRIES = "retries"
    """Rows failed, and waited for their next attempt or for timeouts."""
    ROBOTS = "robots"
    """Lookups of robots.txt."""
    CONNECTIONS = "connections"
    """This machine's limit of open files."""
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    BANDWIDTH = "bandwidth"
    """Receiving the bodies: the network, or servers that send slowly."""
    CPU = "cpu"
    STORE = "store"
    """Writing the durable run."""
    OUTPUT = "output"
    """The reader of the Results."""
    INPUT = "input"
    """The list came slowly."""
    CALLBACK = "callback"
    """The program's own code blocked the event loop, or `on_start` took long."""
    UNKNOWN = "unknown"
    """The data do not tell."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What limited a run."""

    bottleneck: Bottleneck
    text: str
    """The sentence that is shown: one line of printable text, without secrets."""
    share: float = 0.0
    """The share of the workers' time that the bottleneck took, from 0 to 1."""
    subject: str | None = None
    """The host, the function or the setting that it is about. Not escaped; `text` is."""
    advice: dict[str, str] | None = None
    """Settings, by name, with the values that would help; None where no setting would."""
    predicted: float | None = None
    """Seconds that the run would take with `advice`, or as `text` says; None where that cannot be told."""

    def to_json(self) -> dict[str, Any]:
        """The verdict as a JSON object, with these fields."""
        return {
            "bottleneck": self.bottleneck.value,
            "text": self.text,
            "share": self.share,
            "subject": self.subject,
            "advice": self.advice,
            "predicted": self.predicted,
        }

    @classmethod
    def from_json(cls, value: object) -> Verdict:
        """The verdict of a JSON object that `to_json` made. A bottleneck that a later version knows is `unknown`.

        Raises ValueError if it is something else.
        """
        if not isinstance(value, dict):
            raise ValueError(f"a verdict is a JSON object, not {type(value).__name__}")
        name, text, subject = value.get("bottleneck"), value.get("text"), value.get("subject")
        share, advice, predicted = value.get("share"), value.get("advice"), value.get("predicted")
        if (
            not (isinstance(name, str) and isinstance(text, str) and isinstance(share, int | float))
            or not (subject is None or isinstance(subject, str))
            or not (advice is None or (isinstance(advice, dict) and all(isinstance(v, str) for v in advice.values())))
            or not (predicted is None or isinstance(predicted, int | float))
        ):
            raise ValueError("these are not the fields of a verdict")
        try:
            bottleneck = Bottleneck(name)
        except ValueError:
            bottleneck = Bottleneck.UNKNOWN
        return cls(bottleneck, text, share, subject, advice, predicted)
