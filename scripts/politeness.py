"""Whether hosts are treated as they should be, as a server counts it; `scripts/bench` says what the parts are."""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnsserver import DnsServer
from measuring import FETCHQ

MODES = ("async", "threads", "sync")


@dataclass
class Counted:
    """What the server has counted of one run."""

    port: int
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def peak(self) -> int:
        """The most requests that were under way at a time on one address."""
        return max(host["peak"] for host in self.hosts.values())

    @property
    def starts(self) -> list[float]:
        return sorted(at for host in self.hosts.values() for at in host["starts"])

    @property
    def most_in_a_second(self) -> int:
        starts = self.starts
        most = first = 0
        for last, at in enumerate(starts):
            while starts[first] <= at - 1.0:
                first += 1
            most = max(most, last - first + 1)
        return most

    @property
    def least_gap(self) -> float:
        """Seconds between two requests at one address."""
        gaps = [b - a for host in self.hosts.values() for a, b in zip(host["starts"], host["starts"][1:], strict=False)]
        return min(gaps)


@contextlib.contextmanager
def counting() -> Iterator[Counted]:
    """A server for one run. The counts are there when it has ended."""
    command = [sys.executable, str(Path(__file__).parent / "counting_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        counted = Counted(int(process.stdout.readline()))
        try:
            yield counted
        finally:
            process.stdin.close()
            counted.hosts = json.loads(process.stdout.readline())


@dataclass
class Run:
    """What fetchq said of one run."""

    status: int
    seconds: float
    records: list[dict[str, Any]]


def fetch(urls: Iterable[str], *options: str) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "urls.txt"
        rows.write_text("\n".join(urls) + "\n")
        began = time.perf_counter()
        done = subprocess.run(
            [*FETCHQ, str(rows), "--json", "-q", *options], check=False, capture_output=True, text=True
        )
        seconds = time.perf_counter() - began
    sys.stderr.write(done.stderr)
    return Run(done.returncode, seconds, [json.loads(line) for line in done.stdout.splitlines()])


def report(what: str, good: bool, detail: str) -> bool:
    print(f"{'ok  ' if good else 'MISS'}  {what}: {detail}", flush=True)
    return good


# --- limits ----------------------------------------------------------------------------------------------------------


def limits(modes: Iterable[str] = MODES, size: float = 1.0) -> bool:
    """--per-host, --rate and --host-interval alone and together, 500 workers and ten hosts. `size`: of the lists.

    And the same with four processes, for forty hosts and for one.
    """
    good = True
    for mode in modes:
        few = 0.1 if mode == "sync" else 1.0  # it has one at a time, and takes its time
        good &= _limits(mode, 10, size, few, "--mode", mode)
    for hosts in (40, 1):
        few = 0.25 if hosts > 10 else 1.0
        good &= _limits(f"4 processes, {hosts} hosts,", hosts, size * few, 1.0, "--processes", "4")
    return good


def _limits(name: str, hosts: int, size: float, few: float, *options: str) -> bool:
    common = (*options, "--workers", "500")
    counted, run = _counted(hosts, int(300 * size * few), "ok/20", *common, "--per-host", "4")
    fine = run.status == 0 and counted.peak <= 4
    good = report(f"{name} --per-host 4", fine, f"at most {counted.peak} at once, {len(run.records)} rows")
    counted, run = _counted(hosts, int(1000 * size / min(hosts, 10)), "ok/5", *common, "--rate", "200/s")
    most, pace = counted.most_in_a_second, len(run.records) / (counted.starts[-1] - counted.starts[0])
    fine = run.status == 0 and most <= 201
    good &= report(f"{name} --rate 200/s", fine, f"at most {most} in a second, {pace:.0f} on average")
    counted, run = _counted(hosts, int(40 * size), "ok/5", *common, "--host-interval", "0.05")
    gap = counted.least_gap * 1000
    good &= report(f"{name} --host-interval 0.05", run.status == 0 and gap >= 49, f"at least {gap:.2f} ms")
    together = ("--per-host", "1", "--rate", "100/s", "--host-interval", "0.05")
    counted, run = _counted(hosts, int(30 * size), "ok/5", *common, *together)
    most, gap = counted.most_in_a_second, counted.least_gap * 1000
    fine = run.status == 0 and counted.peak == 1 and most <= 101 and gap >= 49
    detail = f"{counted.peak} at once, {most} in a second, {gap:.2f} ms"
    return good & report(f"{name} --per-host 1 --rate 100/s --host-interval 0.05", fine, detail)


def _counted(hosts: int, rows: int, path: str, *options: str) -> tuple[Counted, Run]:
    with counting() as counted:
        names = range(2, 2 + hosts)
        urls = [f"http://127.0.0.{host}:{counted.port}/{path}?{row}" for row in range(rows) for host in names]
        run = fetch(urls, *options)
    assert len(run.records) == len(urls)
    return counted, run


# --- fairness --------------------------------------------------------------------------------------------------------


def fair(rows: int = 1000, hosts: int = 20, deadline: str = "20s") -> bool:
    """A slow host, or one that never answers, first in the list, and quick ones behind it, with 50 workers."""
    good = True
    with counting() as counted:

        def quick() -> list[str]:
            names = range(10, 10 + hosts)
            return [f"http://127.0.0.{host}:{counted.port}/ok/5?{row}" for host in names for row in range(rows)]

        def until(slow: str | None) -> float:
            """Seconds from the first start of a quick one to the end of the last."""
            first = [] if slow is None else [f"http://127.0.0.9:{counted.port}/{slow}?{row}" for row in range(rows)]
            run = fetch([*first, *quick()], "-w", "50", "--deadline", deadline)
            found = [record for record in run.records if "127.0.0.9" not in record["url"]]
            assert len(found) == rows * hosts
            assert all(record["ok"] for record in found)
            starts = [_seconds(record["started"]) for record in found]
            ends = [_seconds(one["started"]) + one["elapsed"] for one in found]
            return max(ends) - min(starts)

        alone = min(until(None) for _ in range(2))
        for slow in ("ok/2000", "hang"):
            beside = min(until(slow) for _ in range(2))
            detail = f"{beside:.2f} s, alone {alone:.2f} s"
            good &= report(f"quick hosts beside /{slow}", beside <= 1.2 * alone, f"{beside / alone:.2f} x ({detail})")
    return good


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()


# --- refusals --------------------------------------------------------------------------------------------------------


def refusals(rows: int = 1000, most: int = 20) -> bool:
    """A server that answers 429 beyond so many a second, with Retry-After."""
    with counting() as counted:
        run = fetch((f"http://127.0.0.2:{counted.port}/most/{most}?{row}" for row in range(rows)), "-w", "64")
    (host,) = counted.hosts.values()
    starts = host["starts"]
    seconds = starts[-1] - starts[0]
    late = [record for record in run.records if record["attempts"] > 1]
    after = sum(at > starts[0] + 10 for at in starts)
    ended = sum(_seconds(record["started"]) >= _seconds(run.records[0]["started"]) + 10 for record in run.records)
    refused_late = max(0, after - ended)
    share, pace = refused_late / max(after, 1), rows / seconds
    detail = (
        f"{host['refused']} refused ({len(late)} rows), {100 * share:.1f} % of those after ten seconds; "
        f"{pace:.1f} a second, {100 * pace / most:.0f} % of what is allowed"
    )
    good = run.status == 0 and share <= 0.05 and pace >= 0.85 * most
    return report(f"429 beyond {most}/s", good, detail)


# --- hosts that are down ---------------------------------------------------------------------------------------------


def dead(rows: int = 100_000) -> bool:
    """A dead host among good ones: twice the same list, with and without it."""
    with counting() as counted, socket.socket() as closed:
        closed.bind(("127.0.0.9", 0))  # and it does not listen
        port = closed.getsockname()[1]
        good = [f"http://127.0.0.{2 + row % 10}:{counted.port}/ok?{row}" for row in range(rows)]
        bad = [f"http://127.0.0.9:{port}/{row}" for row in range(rows)]
        alone = fetch(good, "-w", "64")
        mixed = fetch([url for pair in zip(bad, good, strict=True) for url in pair], "-w", "64")
    causes = [record["cause"] for record in mixed.records]
    fine = alone.status == 0 and len(mixed.records) == 2 * rows and causes.count("connect") == rows
    fine = fine and causes.count(None) == rows and mixed.seconds < 1.3 * alone.seconds + 30
    detail = f"{mixed.seconds:.1f} s, the good ones alone {alone.seconds:.1f} s"
    return report(f"{rows} rows of a dead host among {rows} good ones", fine, detail)


# --- names -----------------------------------------------------------------------------------------------------------


def names(count: int = 10_000) -> bool:
    """As many names as rows, asked of a name server, against the addresses behind them."""
    hosts = {
        f"h{number}.example": f"127.{number // 62500 + 1}.{number // 250 % 250}.{number % 250 + 1}"
        for number in range(count)
    }
    with counting() as counted, DnsServer(lambda name: [hosts[name]]) as server:
        found: dict[str, list[float]] = {"names": [], "addresses": []}
        good = True
        for _ in range(3):
            for kind, given in (("names", hosts.keys()), ("addresses", hosts.values())):
                urls = [f"http://{host}:{counted.port}/ok" for host in given]
                run = fetch(urls, "-w", "500", "--dns-servers", server.address)
                good &= run.status == 0
                found[kind].append(run.seconds)
        most = max(server.asked.values())
    seconds = {kind: statistics.median(each) for kind, each in found.items()}
    ratio = seconds["names"] / seconds["addresses"]
    detail = (
        f"{ratio:.2f} x ({seconds['names']:.2f} s, addresses {seconds['addresses']:.2f} s), asked {most} times at most"
    )
    return report(f"{count} names with 500 workers", good and ratio <= 1.5, detail)
