"""Defines the settings of when requests go: mode and workers, time limits, politeness and retries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from fetchq.core.option import ValidatedSettings, setting
from fetchq.core.parsers import HOST_KEYS, choice_of, read_flag, read_per_host_by
from fetchq.core.quantities import (
    read_byte_rate,
    read_int,
    read_processes,
    read_rate,
    read_seconds,
    read_size,
    read_statuses,
)

__all__ = ["MODES", "READ_TIMEOUT", "PaceFields", "read_timeout_beside"]

MODES = ("async", "threads", "sync")

_mode = partial(setting, group="Mode")
_time = partial(setting, group="Time")
_limit = partial(setting, group="Time", is_limit=True)
_politeness = partial(setting, group="Politeness")
_retries = partial(setting, group="Retries")

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


READ_TIMEOUT = 30.0


def read_timeout_beside(timeout: float | None) -> float | None:
    """The read timeout where only `timeout` is given, in seconds.

    Whoever allows an attempt two minutes does not expect it to end after 30 silent seconds.
    """
    return None if timeout is None else max(READ_TIMEOUT, timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceFields(ValidatedSettings):
    """The fields of `Settings` that come first: how many requests go at a time, how long they may take, and when."""

    mode: str = _mode(
        "async", "--mode", choice_of(*MODES), "Event loop, threads, or one at a time.", metavar="|".join(MODES)
    )
    workers: int = _mode(
        10,
        "-w --workers",
        read_int,
        "How many fetch at a time.",
        metavar="N",
        minimum=1,
        maximum=100_000,
        folder_maximum=1000,
    )
    processes: int = _mode(
        1,
        "--processes",
        read_processes,
        "How many share the list, its hosts divided among them; auto: one for each core.",
        python_help="How many share the list, its hosts divided among them; 'auto': one for each core.",
        metavar="N|auto",
        minimum=1,
        maximum=1000,
        folder_maximum=64,
        choices=("auto",),
    )

    timeout: float | None = _limit(
        300.0,
        "-t --timeout",
        read_seconds,
        "For an attempt with redirects; none: no limit.",
        python_help="For an attempt with redirects; None: no limit.",
        metavar="S",
        above=0,
    )
    connect_timeout: float | None = _limit(
        10.0, "--connect-timeout", read_seconds, "Until connected, DNS and TLS included.", metavar="S", above=0
    )
    read_timeout: float | None = _limit(
        READ_TIMEOUT,
        "--read-timeout",
        read_seconds,
        "Without a byte from the server; at least --timeout if only that is given.",
        metavar="S",
        above=0,
    )
    deadline: float | None = _limit(
        None,
        "--deadline",
        read_seconds,
        "For the whole run; what is unfinished then is cancelled.",
        metavar="S",
        above=0,
    )
    min_speed: int = _time(
        100,
        "--min-speed",
        read_size,
        "Bytes/s a body must come at; 0: any.",
        python_help="A body must come at so many a second; 0: any.",
        metavar="BYTES",
        minimum=0,
    )
    min_speed_time: float = _time(
        30.0, "--min-speed-time", read_seconds, "Over how long --min-speed is measured.", metavar="S", above=0
    )

    per_host: int | None = _politeness(
        None, "--per-host", read_int, "How many fetch from one host at a time.", metavar="N", minimum=1, is_limit=True
    )
    per_host_by: str = _politeness(
        "host",
        "--per-host-by",
        read_per_host_by,
        "What one host is: with its port, all of a domain, or all at an address.",
        metavar="|".join(HOST_KEYS),
    )
    host_interval: float = _politeness(
        0.0, "--host-interval", read_seconds, "Between two starts at one host.", metavar="S", minimum=0
    )
    rate: float | None = _politeness(
        None, "--rate", read_rate, "How many start, such as 50/s or 10/m.", metavar="N/s", above=0, is_limit=True
    )
    limit_rate: int | None = _politeness(
        None,
        "--limit-rate",
        read_byte_rate,
        "Bytes of bodies per second, all together.",
        metavar="BYTES/s",
        minimum=1,
        is_limit=True,
    )
    adapt: bool = _politeness(
        True,
        "--adapt",
        read_flag,
        "Do not slow down where a host fails or grows slow; 429 and Retry-After hold all the same.",
        python_help="Slow down where a host fails or grows slow; 429 and Retry-After hold in any case.",
    )
    robots: bool = _politeness(False, "--robots", read_flag, "Fetch only what robots.txt allows; Crawl-delay is kept.")
    lookahead: int = _politeness(
        100_000,
        "--lookahead",
        read_int,
        "Rows read ahead, while those before them must wait.",
        metavar="N",
        minimum=1,
        maximum=10_000_000,
        folder_maximum=1_000_000,
    )

    retries: int = _retries(
        2, "--retries", read_int, "More attempts after a failed one.", metavar="N", minimum=0, folder_maximum=100
    )
    retry_wait: float = _retries(
        0.5,
        "--retry-wait",
        read_seconds,
        "Before the first retry; doubled each time, full jitter, at most 30.",
        metavar="S",
        minimum=0,
    )
    retry_on: frozenset[int] = _retries(
        _RETRIED,
        "--retry-on",
        partial(read_statuses, default=_RETRIED),
        "Statuses to retry; +403 adds to the default, -500 removes from it.",
        metavar="STATUS,..",
        default_text="408,425,429,500,502,503,504",
    )
    max_retry_after: float = _retries(
        120.0,
        "--max-retry-after",
        read_seconds,
        "Longest Retry-After to wait for; a longer one ends the row.",
        metavar="S",
        minimum=0,
    )
