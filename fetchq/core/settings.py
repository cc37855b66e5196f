"""Every setting once: its default, unit, bounds and help.

The command line's options, the environment variables and the config file are derived from these fields, and all of
them, like `Settings(...)` in Python, accept either the value itself or the text a person would type ("2m", "100M").
"""

from __future__ import annotations

from dataclasses import dataclass

from fetchq.core.dns_servers import read_dns_servers
from fetchq.core.option import SettingsError, ValidatedSettings, setting
from fetchq.core.parsers import (
    HOST_KEYS,
    SAVES,
    choice_of,
    read_byte_rate,
    read_data,
    read_flag,
    read_folder,
    read_headers,
    read_int,
    read_method,
    read_path,
    read_per_host_by,
    read_proxy,
    read_rate,
    read_resolve,
    read_robots,
    read_run,
    read_save,
    read_seconds,
    read_size,
    read_statuses,
    read_text,
    read_user,
)

__all__ = ["Settings", "SettingsError"]

MOST_THREADS = 1000
MODES = ("async", "threads", "sync")


_SUCCESS = frozenset(range(200, 300))
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ValidatedSettings):
    """How a run fetches. Times are in seconds, sizes in bytes. Raises `SettingsError` (a ValueError)."""

    mode: str = setting(
        "async",
        "--mode",
        choice_of(*MODES),
        "Event loop, threads, or one at a time.",
        group="Mode",
        metavar="|".join(MODES),
    )
    workers: int = setting(
        10, "-w --workers", read_int, "How many fetch at a time.", group="Mode", metavar="N", minimum=1, maximum=100_000
    )

    timeout: float = setting(
        60.0, "-t --timeout", read_seconds, "For one attempt, redirects included.", group="Time", metavar="S", above=0
    )
    connect_timeout: float = setting(
        10.0,
        "--connect-timeout",
        read_seconds,
        "Until connected, DNS and TLS included.",
        group="Time",
        metavar="S",
        above=0,
    )
    read_timeout: float = setting(
        30.0, "--read-timeout", read_seconds, "Without a byte from the server.", group="Time", metavar="S", above=0
    )
    deadline: float | None = setting(
        None,
        "--deadline",
        read_seconds,
        "For the whole run; what is unfinished then is cancelled.",
        group="Time",
        metavar="S",
        above=0,
    )
    min_speed: int = setting(
        100, "--min-speed", read_size, "Bytes/s a body must come at; 0: any.", group="Time", metavar="BYTES", minimum=0
    )
    min_speed_time: float = setting(
        30.0,
        "--min-speed-time",
        read_seconds,
        "Over how long --min-speed is measured.",
        group="Time",
        metavar="S",
        above=0,
    )

    per_host: int | None = setting(
        None,
        "--per-host",
        read_int,
        "How many fetch from one host at a time.",
        group="Politeness",
        metavar="N",
        minimum=1,
    )
    per_host_by: str = setting(
        "host",
        "--per-host-by",
        read_per_host_by,
        "What one host is: with its port, all of a domain, or all at an address.",
        group="Politeness",
        metavar="|".join(HOST_KEYS),
    )
    host_interval: float = setting(
        0.0,
        "--host-interval",
        read_seconds,
        "Between two starts at one host.",
        group="Politeness",
        metavar="S",
        minimum=0,
    )
    rate: float | None = setting(
        None, "--rate", read_rate, "How many start, such as 50/s or 10/m.", group="Politeness", metavar="N/s", above=0
    )
    limit_rate: int | None = setting(
        None,
        "--limit-rate",
        read_byte_rate,
        "Bytes of bodies per second, all together.",
        group="Politeness",
        metavar="BYTES/s",
        minimum=1,
    )
    adapt: bool = setting(
        True,
        "--adapt",
        read_flag,
        "Do not slow down where a host fails or grows slow; 429 and Retry-After hold all the same.",
        group="Politeness",
    )
    robots: bool = setting(
        False, "--robots", read_robots, "Fetch only what robots.txt allows; Crawl-delay is kept.", group="Politeness"
    )
    lookahead: int = setting(
        100_000,
        "--lookahead",
        read_int,
        "Rows read ahead, while those before them must wait.",
        group="Politeness",
        metavar="N",
        minimum=1,
        maximum=10_000_000,
    )

    retries: int = setting(
        2, "--retries", read_int, "More attempts after a failed one.", group="Retries", metavar="N", minimum=0
    )
    retry_wait: float = setting(
        0.5,
        "--retry-wait",
        read_seconds,
        "Before the first retry; doubled each time, full jitter, at most 30.",
        group="Retries",
        metavar="S",
        minimum=0,
    )
    retry_on: frozenset[int] = setting(
        _RETRIED,
        "--retry-on",
        read_statuses,
        "Statuses that are tried again.",
        group="Retries",
        metavar="STATUS,..",
        default_text="408,425,429,500,502,503,504",
    )
    max_retry_after: float = setting(
        120.0, "--max-retry-after", read_seconds, "Longest Retry-After obeyed.", group="Retries", metavar="S", minimum=0
    )

    method: str | None = setting(
        None, "-X --method", read_method, "GET, or POST when there is --data.", group="Request", metavar="METHOD"
    )
    headers: tuple[tuple[str, str], ...] = setting(
        (),
        "-H --header",
        read_headers,
        "'Name: value', repeatable.",
        group="Request",
        metavar="HEADER",
        repeatable=True,
        secret=True,
    )
    data: bytes | None = setting(
        None,
        "-d --data",
        read_data,
        "Body to send; @FILE reads it from a file.",
        group="Request",
        metavar="DATA",
        secret=True,
    )
    user_agent: str | None = setting(
        None, "-A --user-agent", read_text, "User-Agent header.", group="Request", metavar="TEXT"
    )
    user: str | None = setting(
        None,
        "-u --user",
        read_user,
        "Basic authentication, NAME:PASSWORD.",
        group="Request",
        metavar="USER",
        secret=True,
    )
    cookie: str | None = setting(
        None, "-b --cookie", read_text, "Cookie header, 'a=1; b=2'.", group="Request", metavar="TEXT", secret=True
    )

    max_redirects: int = setting(
        10,
        "--max-redirects",
        read_int,
        "Hops followed; 0: do not follow.",
        group="Limits and success",
        metavar="N",
        minimum=0,
    )
    max_filesize: int = setting(
        100_000_000,
        "--max-filesize",
        read_size,
        "Largest body, decoded.",
        group="Limits and success",
        metavar="BYTES",
        minimum=1,
        default_text="100M",
    )
    max_ratio: int = setting(
        1000,
        "--max-ratio",
        read_int,
        "Largest decoded to wire ratio.",
        group="Limits and success",
        metavar="N",
        minimum=1,
    )
    accept: frozenset[int] = setting(
        _SUCCESS,
        "--accept",
        read_statuses,
        "Statuses that are ok, '200..=299,404'.",
        group="Limits and success",
        metavar="STATUS,..",
        default_text="200..=299",
    )
    accept_encoded: bool = setting(
        False,
        "--accept-encoded",
        read_flag,
        "A body in an unknown content coding is ok, kept as it came.",
        group="Limits and success",
    )

    proxy: str | None = setting(
        None, "-x --proxy", read_proxy, "http://[user:password@]host:port", group="Network", metavar="URL", secret=True
    )
    cacert: str | None = setting(
        None, "--cacert", read_path, "Trust these CAs instead of the system's.", group="Network", metavar="FILE"
    )
    cert: str | None = setting(None, "--cert", read_path, "Client certificate (PEM).", group="Network", metavar="FILE")
    key: str | None = setting(
        None, "--key", read_path, "Its private key, when not in --cert.", group="Network", metavar="FILE"
    )
    insecure: bool = setting(False, "-k --insecure", read_flag, "Do not verify TLS certificates.", group="Network")
    ipv4: bool = setting(False, "-4 --ipv4", read_flag, "IPv4 addresses only.", group="Network")
    ipv6: bool = setting(False, "-6 --ipv6", read_flag, "IPv6 addresses only.", group="Network")
    resolve: tuple[tuple[str, int, str], ...] = setting(
        (),
        "--resolve",
        read_resolve,
        "HOST:PORT:ADDRESS, dial this address; repeatable.",
        group="Network",
        metavar="H:P:A",
        repeatable=True,
    )
    dns_servers: tuple[str, ...] = setting(
        (),
        "--dns-servers",
        read_dns_servers,
        "Ask these for names, in mode async.",
        group="Network",
        metavar="ADDRESS[:PORT],..",
    )
    trust_env: bool = setting(False, "--trust-env", read_flag, "Use the proxy variables and ~/.netrc.", group="Network")

    output: str | None = setting(
        None,
        "-o --output",
        read_folder,
        "Make the run durable: its ledger and the bodies go into this folder.",
        group="Durable run",
        metavar="DIR",
    )
    save: str = setting(
        "files",
        "--save",
        read_save,
        "How bodies are kept in the folder.",
        group="Durable run",
        metavar="|".join(SAVES),
    )
    resume: bool = setting(
        False, "--resume", read_flag, "Go on with the run in the folder, if there is one.", group="Durable run"
    )
    overwrite: bool = setting(False, "--overwrite", read_flag, "Throw away the run in the folder.", group="Durable run")
    dedupe: bool = setting(
        False, "--dedupe", read_flag, "Fetch rows that ask the same once; each has its record.", group="Durable run"
    )
    refresh: str | None = setting(
        None, "--refresh", read_run, "Keep what has not changed since this run.", group="Durable run", metavar="DIR"
    )

    keep_body: bool = setting(True, "", read_flag, "Keep the decoded body in Result.body.", group="Library")

    def __post_init__(self) -> None:
        super(Settings, self).__post_init__()  # a bare super() is lost when slots=True makes the class anew
        if self.ipv4 and self.ipv6:
            raise SettingsError("ipv6", "not together with ipv4")
        if self.mode != "async" and self.workers > MOST_THREADS:
            raise SettingsError("workers", f"at most {MOST_THREADS} in mode {self.mode}")
        if self.dns_servers and self.mode != "async":
            raise SettingsError(
                "dns_servers", f"in mode {self.mode} the system looks names up, and asks its own servers"
            )
        if self.per_host_by == "ip" and self.proxy is not None:
            raise SettingsError("per_host_by", "ip does not go with a proxy, which looks the names up by itself")
        if self.key is not None and self.cert is None:
            raise SettingsError("key", "a key needs its cert")
        for name in ("resume", "overwrite", "dedupe", "refresh"):
            if self.output is None and getattr(self, name):
                raise SettingsError(name, "it needs an output folder")
        if self.resume and self.overwrite:
            raise SettingsError("overwrite", "not together with resume")

    @property
    def stores(self) -> bool:
        """Bodies go into the run's folder."""
        return self.output is not None and self.save != "none"

    @property
    def archives(self) -> bool:
        """What was sent is stored, too."""
        return self.stores and self.save == "warc"
