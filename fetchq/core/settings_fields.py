"""Defines every setting of a run: its default, parser, bounds, command-line option and help text.

The command line's options, the environment variables and the keys of the config file are derived from these fields.
All of them, and `Settings(...)` in Python, take either the value itself or the text that a person would type, such as
"2m" or "100M".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from fetchq.core.dns_servers import read_dns_servers
from fetchq.core.option import ValidatedSettings, setting
from fetchq.core.parsers import (
    HOST_KEYS,
    SAVES,
    choice_of,
    read_data,
    read_file_name,
    read_flag,
    read_folder,
    read_headers,
    read_method,
    read_path,
    read_per_host_by,
    read_proxy,
    read_resolve,
    read_robots,
    read_run,
    read_save,
    read_text,
    read_user,
)
from fetchq.core.quantities import read_byte_rate, read_int, read_rate, read_seconds, read_size, read_statuses

__all__ = ["DURABLE_GROUP", "MODES", "REPORTS_GROUP", "SettingsFields"]

DURABLE_GROUP = "Durable run"
"""The heading of the settings that only a durable run has, such as its folder."""
REPORTS_GROUP = "Reports"
"""The heading of the settings that name a file which shows one run, or one session of a durable run."""
MODES = ("async", "threads", "sync")

# One function for each heading of the help text, which makes the fields that are listed under it.
_mode = partial(setting, group="Mode")
_time = partial(setting, group="Time")
_politeness = partial(setting, group="Politeness")
_retries = partial(setting, group="Retries")
_request = partial(setting, group="Request")
_limits = partial(setting, group="Limits and success")
_network = partial(setting, group="Network")
_durable_run = partial(setting, group=DURABLE_GROUP)
_reports = partial(setting, group=REPORTS_GROUP)
_library = partial(setting, group="Library")

_SUCCESS = frozenset(range(200, 300))
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFields(ValidatedSettings):
    """The fields of `Settings`."""

    mode: str = _mode(
        "async", "--mode", choice_of(*MODES), "Event loop, threads, or one at a time.", metavar="|".join(MODES)
    )
    workers: int = _mode(
        10, "-w --workers", read_int, "How many fetch at a time.", metavar="N", minimum=1, maximum=100_000
    )

    timeout: float = _time(
        300.0, "-t --timeout", read_seconds, "For one attempt, redirects included.", metavar="S", above=0
    )
    connect_timeout: float = _time(
        10.0, "--connect-timeout", read_seconds, "Until connected, DNS and TLS included.", metavar="S", above=0
    )
    read_timeout: float = _time(
        30.0,
        "--read-timeout",
        read_seconds,
        "Without a byte from the server; at least --timeout if only that is given.",
        metavar="S",
        above=0,
    )
    deadline: float | None = _time(
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
        None, "--per-host", read_int, "How many fetch from one host at a time.", metavar="N", minimum=1
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
        None, "--rate", read_rate, "How many start, such as 50/s or 10/m.", metavar="N/s", above=0
    )
    limit_rate: int | None = _politeness(
        None, "--limit-rate", read_byte_rate, "Bytes of bodies per second, all together.", metavar="BYTES/s", minimum=1
    )
    adapt: bool = _politeness(
        True,
        "--adapt",
        read_flag,
        "Do not slow down where a host fails or grows slow; 429 and Retry-After hold all the same.",
        python_help="Slow down where a host fails or grows slow; 429 and Retry-After hold in any case.",
    )
    robots: bool = _politeness(
        False, "--robots", read_robots, "Fetch only what robots.txt allows; Crawl-delay is kept."
    )
    lookahead: int = _politeness(
        100_000,
        "--lookahead",
        read_int,
        "Rows read ahead, while those before them must wait.",
        metavar="N",
        minimum=1,
        maximum=10_000_000,
    )

    retries: int = _retries(2, "--retries", read_int, "More attempts after a failed one.", metavar="N", minimum=0)
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

    method: str | None = _request(
        None, "-X --method", read_method, "GET, or POST when there is --data.", metavar="METHOD"
    )
    headers: tuple[tuple[str, str], ...] = _request(
        (),
        "-H --header",
        read_headers,
        "'Name: value', repeatable.",
        python_help="A mapping, (name, value) pairs, or 'Name: value' texts.",
        metavar="HEADER",
        repeatable=True,
        secret=True,
    )
    data: bytes | None = _request(
        None,
        "-d --data",
        read_data,
        "Body to send; @FILE reads it from a file.",
        python_help="Body to send: bytes, or a text to be sent as UTF-8.",
        metavar="DATA",
        secret=True,
    )
    user_agent: str | None = _request(None, "-A --user-agent", read_text, "User-Agent header.", metavar="TEXT")
    user: str | None = _request(
        None, "-u --user", read_user, "Basic authentication, NAME:PASSWORD.", metavar="USER", secret=True
    )
    cookie: str | None = _request(
        None, "-b --cookie", read_text, "Cookie header, 'a=1; b=2'.", metavar="TEXT", secret=True
    )
    cookie_jar: str | None = _request(
        None,
        "--cookie-jar",
        read_file_name,
        "Netscape cookie file: read first, shared by all rows, written at the end of the run.",
        metavar="FILE",
    )

    max_redirects: int = _limits(
        10, "--max-redirects", read_int, "Hops followed; 0: do not follow.", metavar="N", minimum=0
    )
    location_trusted: bool = _limits(
        False,
        "--location-trusted",
        read_flag,
        "Send passwords, cookies and all other headers to other origins, too, after a redirect.",
    )
    max_filesize: int = _limits(
        100_000_000,
        "--max-filesize",
        read_size,
        "Largest body, decoded.",
        metavar="BYTES",
        minimum=1,
        default_text="100M",
    )
    max_ratio: int = _limits(1000, "--max-ratio", read_int, "Largest decoded to wire ratio.", metavar="N", minimum=1)
    accept: frozenset[int] = _limits(
        _SUCCESS,
        "--accept",
        partial(read_statuses, default=_SUCCESS),
        "Statuses that are ok, '200..=299,404'; +404 adds to the default.",
        metavar="STATUS,..",
        default_text="200..=299",
    )
    accept_encoded: bool = _limits(
        False, "--accept-encoded", read_flag, "A body that cannot be decoded is ok, and is kept as received."
    )

    proxy: str | None = _network(
        None,
        "-x --proxy",
        read_proxy,
        "http or socks5h://[user:password@]host:port",
        metavar="URL",
        secret=True,
    )
    cacert: str | None = _network(
        None, "--cacert", read_path, "Trust these CAs instead of the system's.", metavar="FILE"
    )
    cert: str | None = _network(None, "--cert", read_path, "Client certificate (PEM).", metavar="FILE")
    key: str | None = _network(None, "--key", read_path, "Its private key, when not in --cert.", metavar="FILE")
    insecure: bool = _network(False, "-k --insecure", read_flag, "Do not verify TLS certificates.")
    ipv4: bool = _network(False, "-4 --ipv4", read_flag, "IPv4 addresses only.")
    ipv6: bool = _network(False, "-6 --ipv6", read_flag, "IPv6 addresses only.")
    resolve: tuple[tuple[str, int, str], ...] = _network(
        (),
        "--resolve",
        read_resolve,
        "HOST:PORT:ADDRESS, dial this address; repeatable.",
        python_help="'HOST:PORT:ADDRESS' texts or (host, port, address) triples: dial this address.",
        metavar="H:P:A",
        repeatable=True,
    )
    dns_servers: tuple[str, ...] = _network(
        (), "--dns-servers", read_dns_servers, "Ask these DNS servers, in mode async.", metavar="ADDRESS[:PORT],.."
    )
    trust_env: bool = _network(False, "--trust-env", read_flag, "Use the proxy variables and ~/.netrc.")

    output: str | None = _durable_run(
        None,
        "-o --output",
        read_folder,
        "Make the run durable: its ledger and the bodies go into this folder.",
        metavar="DIR",
    )
    save: str = _durable_run(
        "files", "--save", read_save, "How bodies are kept in the folder.", metavar="|".join(SAVES)
    )
    resume: bool = _durable_run(False, "--resume", read_flag, "Go on with the run in the folder, if there is one.")
    overwrite: bool = _durable_run(False, "--overwrite", read_flag, "Throw away the run in the folder.")
    dedupe: bool = _durable_run(False, "--dedupe", read_flag, "Fetch rows that ask the same once; each has its record.")
    refresh: str | None = _durable_run(
        None, "--refresh", read_run, "Keep what has not changed since this run.", metavar="DIR"
    )

    report: str | None = _reports(
        None, "--report", read_file_name, "A page with charts of where the time went.", metavar="FILE.html"
    )
    har: str | None = _reports(None, "--har", read_file_name, "All requests as HAR 1.2, for browsers.", metavar="FILE")
    trace: str | None = _reports(None, "--trace", read_file_name, "The workers' time, for Perfetto.", metavar="FILE")

    keep_body: bool = _library(True, "", read_flag, "Keep the decoded body in Result.body.")
