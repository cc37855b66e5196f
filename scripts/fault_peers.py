"""What other programs make of an entry of the fault corpus."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from faults.base import Entry, Fault, Place
from faults.server import FaultServer
from faults.site import Site

LIMIT = 60
"""Seconds after which a program that has been told to wait 2 s for a server never ends."""
_KNOWN = {"headers", "max_filesize", "timeout", "connect_timeout", "read_timeout", "min_speed", "min_speed_time"}
"""Settings that every program has, or that change nothing in what is right."""


class Verdict(StrEnum):
    """What a program made of an entry."""

    TOOK = "took it"
    """It ended with success, and with the right bytes, where there are any."""
    NOTHING = "took, no file"
    """It ended with success, and wrote no file."""
    OTHER = "other bytes"
    """It ended with success, and with other bytes than those that are right."""
    REFUSED = "refused"
    PART = "part"
    """It failed, and left bytes under the final name."""
    ENDLESS = "never ended"
    SIGNAL = "signal"
    NOT_ASKED = "-"
    """The entry is not `comparable`."""


NOT_NAMED = (Verdict.ENDLESS, Verdict.SIGNAL)
"""Verdicts that are only counted: what makes a program hang or crash is not shown."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another program."""

    name: str
    command: Callable[[str, Path, str, Mapping[str, Any]], list[str]]
    """Its command, from the URL, the file to write, the file of authorities to trust, and the settings of the entry."""

    def version(self) -> str | None:
        """As it says itself; None where it is not installed."""
        if shutil.which(self.name) is None:
            return None
        said = subprocess.run([self.name, "--version"], capture_output=True, text=True, check=False).stdout
        return next(word for word in said.split() if word[0].isdigit())


def _headers(settings: Mapping[str, Any], option: str) -> list[str]:
    return [f"{option}{line}" for line in settings.get("headers", [])]


def _curl(url: str, file: Path, cacert: str, settings: Mapping[str, Any]) -> list[str]:
    patience = ["--connect-timeout", "2", "--speed-limit", "100", "--speed-time", "2"]
    limits = ["--max-redirs", "10", "--max-filesize", str(settings.get("max_filesize", 100_000_000))]
    headers = [word for line in settings.get("headers", []) for word in ("-H", line)]
    command = ["curl", "-q", "-sSL", "--fail", "--compressed", "--cacert", cacert, "-o", str(file)]
    return [*command, *patience, *limits, *headers, url]


def _wget2(url: str, file: Path, cacert: str, settings: Mapping[str, Any]) -> list[str]:
    command = ["wget2", "--no-config", "-q", "--tries=1", "--timeout=2", "--max-redirect=10", "--no-hsts"]
    return [*command, f"--ca-certificate={cacert}", *_headers(settings, "--header="), "-O", str(file), url]


def _aria2c(url: str, file: Path, cacert: str, settings: Mapping[str, Any]) -> list[str]:
    command = ["aria2c", "--no-conf", "-q", "--http-accept-gzip", "--max-tries=1", "--timeout=2", "--connect-timeout=2"]
    more = ["--lowest-speed-limit=100", f"--ca-certificate={cacert}"]
    return [*command, *more, *_headers(settings, "--header="), "-d", str(file.parent), "-o", file.name, url]


PEERS = (Peer("curl", _curl), Peer("wget2", _wget2), Peer("aria2c", _aria2c))


def comparable(entry: Entry) -> bool:
    """Whether an entry asks for what every program has, and has an answer that is more than a matter of opinion.

    It does not ask for a method or a name server, and it is not about which statuses are a success.
    """
    asks = isinstance(entry, Fault) and entry.method != "GET"
    return not (asks or entry.theme == "names" or set(entry.settings) - _KNOWN or entry.allowed == {"status"})


def try_out(peer: Peer, entry: Entry, site: Site) -> Verdict:
    """Have a program fetch an entry from a server of its own."""
    if not comparable(entry):
        return Verdict.NOT_ASKED
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fetchq-peer-")))
        if isinstance(entry, Place):
            url = stack.enter_context(entry.opens(site))
        else:
            url = stack.enter_context(FaultServer()).url_of(entry.name)
        file = folder / "file"
        return _run(peer.command(url, file, site.authority.cacert, entry.settings), file, entry)


def _run(command: list[str], file: Path, entry: Entry) -> Verdict:
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    home = {"PATH": os.environ["PATH"], "HOME": str(file.parent), "LC_ALL": "C"}
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        status = subprocess.run(command, env=home, timeout=LIMIT, check=False, **silent).returncode
    except subprocess.TimeoutExpired:
        return Verdict.ENDLESS
    if status < 0:
        return Verdict.SIGNAL
    if status > 0:
        return Verdict.PART if file.exists() and file.stat().st_size else Verdict.REFUSED
    if not file.exists() and entry.body != b"":
        return Verdict.NOTHING
    if entry.expect is None and entry.body is not None and (file.read_bytes() if file.exists() else b"") != entry.body:
        return Verdict.OTHER
    return Verdict.TOOK
