"""Defines the settings of a run, each with its default, parser, bounds, command-line option and help text.

Those of when requests go are in `fetchq.core.settings_pace`. The command line's options, the environment variables and
the keys of the config file are derived from these fields. All of them, and `Settings(...)` in Python, take either the
value itself or the text that a person would type, such as "2m" or "100M".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from fetchq.core.dns_servers import read_dns_servers
from fetchq.core.host_patterns import read_host_patterns
from fetchq.core.option import Origin, setting
from fetchq.core.parsers import (
    SAVES,
    choice_of,
    read_data,
    read_file_name,
    read_flag,
    read_folder,
    read_headers,
    read_method,
    read_name_template,
    read_path,
    read_proxy,
    read_resolve,
    read_run,
    read_save,
    read_text,
    read_user,
)
from fetchq.core.quantities import read_int, read_mode_bits, read_size, read_statuses
from fetchq.core.request_parts import cookie_text, json_body, query_text, read_token, user_text
from fetchq.core.settings_pace import PaceFields

__all__ = ["DURABLE_GROUP", "REPORTS_GROUP", "SettingsFields"]

DURABLE_GROUP = "Durable run"
"""The heading of the settings that only a durable run has, such as its folder."""
REPORTS_GROUP = "Reports"
"""The heading of the settings that name a file which shows one run, or one session of a durable run."""

# One function for each heading of the help text, which makes the fields that are listed under it.
_request = partial(setting, group="Request", origin=Origin.USER)
_limits = partial(setting, group="Limits and success")
_network = partial(setting, group="Network", origin=Origin.USER)
_safety = partial(setting, group="Safety", origin=Origin.USER)
_durable_run = partial(setting, group=DURABLE_GROUP)
_user_durable = partial(_durable_run, origin=Origin.USER)
_reports = partial(setting, group=REPORTS_GROUP, origin=Origin.USER)
_library = partial(setting, group="Library")

_SUCCESS = frozenset(range(200, 300))


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFields(PaceFields):
    """The fields of `Settings`: those of `PaceFields`, and all others."""

    method: str | None = _request(
        None,
        "-X --method",
        read_method,
        "GET, or POST when there is --data.",
        metavar="METHOD",
        origin=Origin.LEDGER,
    )
    head: bool = _request(
        False,
        "--head",
        read_flag,
        "Only look whether URLs answer: HEAD, and GET where that is refused; no body is kept.",
        origin=Origin.LEDGER,
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
    data_type: str = _request(
        "form",
        "--data-type",
        choice_of("form", "json"),
        "What a body is that does not say it itself: that of --data, or of a row.",
        python_help="What a body is that does not say it itself: a form, or JSON.",
        metavar="form|json",
        origin=Origin.LEDGER,
    )
    user_agent: str | None = _request(
        None, "-A --user-agent", read_text, "User-Agent header.", metavar="TEXT", origin=Origin.ANYWHERE
    )
    user: str | None = _request(
        None, "-u --user", read_user, "Basic authentication, NAME:PASSWORD.", metavar="USER", secret=True
    )
    bearer: str | None = _request(
        None, "--bearer", read_token, "Send 'Authorization: Bearer TOKEN'.", metavar="TOKEN", secret=True
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
        origin=Origin.USER,
    )
    max_filesize: int = _limits(
        100_000_000,
        "--max-filesize",
        read_size,
        "Largest body, decoded; received: twice that.",
        metavar="BYTES",
        minimum=1,
        default_text="100M",
        folder_maximum=10_000_000_000,
    )
    max_ratio: int = _limits(
        1000,
        "--max-ratio",
        read_int,
        "Largest decoded to wire ratio.",
        metavar="N",
        minimum=1,
        folder_maximum=100_000,
    )
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

    max_failures: int | None = _limits(
        None, "--max-failures", read_int, "End the run after N failed rows.", metavar="N", minimum=1
    )
    fail_fast: bool = _limits(False, "--fail-fast", read_flag, "End the run after the first failed row.")

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
    ipv4: bool = _network(False, "-4 --ipv4", read_flag, "IPv4 addresses only.", origin=Origin.ANYWHERE)
    ipv6: bool = _network(False, "-6 --ipv6", read_flag, "IPv6 addresses only.", origin=Origin.ANYWHERE)
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

    block_private: bool = _safety(
        False, "--block-private", read_flag, "Connect to public addresses only, at redirects, too."
    )
    allow_host: tuple[str, ...] = _safety(
        (),
        "--allow-host",
        read_host_patterns,
        "Only these hosts: NAME, *.NAME, an address or a network; repeatable.",
        metavar="HOST",
        repeatable=True,
    )
    deny_host: tuple[str, ...] = _safety(
        (), "--deny-host", read_host_patterns, "Not these hosts, likewise; repeatable.", metavar="HOST", repeatable=True
    )

    output: str | None = _user_durable(
        None,
        "-o --output",
        read_folder,
        "Make the run durable: its ledger and the bodies go into this folder.",
        metavar="DIR",
    )
    save: str = _durable_run(
        "files", "--save", read_save, "How bodies are kept in the folder.", metavar="|".join(SAVES)
    )
    name: str | None = _durable_run(
        None,
        "--name",
        read_name_template,
        "Names of the files of rows that are ok: '{filename}', '{host}/{path}', '{index:06}{ext}'.",
        metavar="TEMPLATE",
    )
    output_flat: bool = _durable_run(
        False, "--output-flat", read_flag, "These files lie straight in the folder, named as by wget, or by --name."
    )
    save_headers: bool = _durable_run(
        False, "--save-headers", read_flag, "Keep the headers of responses, for fetchq export --include headers."
    )
    mode_bits: int | None = _durable_run(
        None,
        "--mode-bits",
        read_mode_bits,
        "Permissions of bodies, such as 644; else only you may read them.",
        metavar="MODE",
        origin=Origin.LEDGER,
    )
    resume: bool = _durable_run(False, "--resume", read_flag, "Go on with the run in the folder, if there is one.")
    overwrite: bool = _user_durable(False, "--overwrite", read_flag, "Throw away the run in the folder.")
    dedupe: bool = _durable_run(False, "--dedupe", read_flag, "Fetch rows that ask the same once; each has its record.")
    refresh: str | None = _user_durable(
        None, "--refresh", read_run, "Keep what has not changed since this run.", metavar="DIR"
    )

    report: str | None = _reports(
        None, "--report", read_file_name, "A page with charts of where the time went.", metavar="FILE.html"
    )
    har: str | None = _reports(None, "--har", read_file_name, "All requests as HAR 1.2, for browsers.", metavar="FILE")
    trace: str | None = _reports(None, "--trace", read_file_name, "The workers' time, for Perfetto.", metavar="FILE")

    auth: str | None = _library(
        None,
        "",
        user_text,
        'Basic authentication: "user:password", or the two. It becomes user.',
        secret=True,
    )
    cookies: str | None = _library(
        None, "", cookie_text, "Cookies: a mapping, or pairs. They become cookie.", secret=True
    )
    json: bytes | None = _library(
        None,
        "",
        json_body,
        "Body to send, of any JSON values. It becomes data, with data_type json.",
        secret=True,
    )
    params: str | None = _library(
        None, "", query_text, "Added to the query of each URL: a mapping, pairs, or a text such as 'a=1&b=2'."
    )
    keep_body: bool = _library(True, "", read_flag, "Keep the decoded body in Result.body.")
    record_bodies: bool = _library(
        False, "", read_flag, "Keep bodies where records that include them read them; the command line sets it."
    )
