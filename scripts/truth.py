"""Compares the phases of records with what a server measured; `scripts/torture truth` says how.

Every phase of every row must be within 5 ms or 3 % of the truth, and the phases must add up to `elapsed`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from fetchq import Request, Result, Settings, fetch_all, fetch_all_sync

ABSOLUTE, RELATIVE = 0.005, 0.03
Span = tuple[float, float]
NOTHING: Span = (0.0, 0.0)
PHASES = ("dns", "connect", "tls", "wait", "receive")
JOINED = ("wait", "receive")
SUMMED = (*PHASES, "lag", "decode", "store")
"""What `elapsed` is the sum of."""
ACCEPT, HANDSHAKE, DNS, FIRST, BODY = 0.12, 0.15, 0.06, 0.1, 0.08
NAMED = 90
"""At most this many rows of a case have names: fetchq makes at most 100 lookups at a time."""


@dataclass(frozen=True, slots=True)
class Case:
    """What one run does."""

    engine: str
    """"asyncio" or "uvloop" (mode async), "threads" or "sync"."""
    listener: str
    warm: bool
    workers: int
    named: bool = False

    @property
    def name(self) -> str:
        warm = "warm" if self.warm else "cold"
        return f"{self.engine} {self.listener}{'+dns' if self.named else ''} {warm} {self.workers}"


class TruthServer:
    """The server in its own process. `ports`: those of its listeners, and of the name server ("dns")."""

    def __init__(self, process: subprocess.Popen[str], cacert: str) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        self._process = process
        self.cacert = cacert
        self.ports: dict[str, int] = json.loads(process.stdout.readline())
        self.requests: dict[str, dict[str, Span]] = {}
        self.names: dict[str, Span] = {}

    def end(self) -> None:
        """Stop it, and read its log."""
        out, _ = self._process.communicate()
        log = json.loads(out)
        self.requests, self.names = log["requests"], log["names"]


@contextmanager
def truth_server(
    folder: Path, *, accept: float = ACCEPT, handshake: float = HANDSHAKE, dns: float = DNS
) -> Iterator[TruthServer]:
    """A server with these delays, in seconds."""
    authority = trustme.CA()
    cacert, cert = folder / "ca.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(str(cacert))
    authority.issue_cert("127.0.0.1", "*.truth.example").private_key_and_cert_chain_pem.write_to_path(str(cert))
    command = [sys.executable, str(Path(__file__).with_name("truth_server.py")), "--cert", str(cert)]
    command += ["--accept", str(accept), "--handshake", str(handshake), "--dns", str(dns)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield TruthServer(process, str(cacert))
        finally:
            process.kill()


def requests_of(case: Case, server: TruthServer) -> list[Request]:
    scheme = case.listener.removesuffix("_accept")
    port = server.ports[case.listener]
    rows = case.workers * (2 if case.warm else 1) if case.workers > 1 else 6
    close = int(not case.warm)
    named = range(min(rows, NAMED) if case.named else 0)
    return [
        Request(
            f"{scheme}://{f'r{row}.truth.example' if row in named else '127.0.0.1'}:{port}/{row}/{FIRST}/{BODY}/{close}"
        )
        for row in range(rows)
    ]


def run(case: Case, server: TruthServer) -> list[Result]:
    requests = requests_of(case, server)
    names = (f"127.0.0.1:{server.ports['dns']}",) if case.named else ()
    mode = case.engine if case.engine in ("threads", "sync") else "async"
    settings = Settings(workers=case.workers, mode=mode, cacert=server.cacert, dns_servers=names, retries=0)
    if mode != "async":
        return fetch_all_sync(requests, settings=settings)
    factory = None
    if case.engine == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(fetch_all(requests, settings=settings))


def truth_of(result: Result, server: TruthServer) -> dict[str, Span]:
    """Seconds in each phase, as the server measured them."""
    seen = server.requests[str(result.index)]
    host = (result.final_url or "").split("/")[2].split(":")[0]
    return {
        "dns": server.names.get(host, NOTHING),
        "connect": NOTHING,
        "tls": seen["tls"],
        "wait": _between(seen["arrived"], seen["first"]),
        "receive": NOTHING if seen["first"] == seen["last"] else _between(seen["first"], seen["last"]),
    }


def _between(began: Span, ended: Span) -> Span:
    return ended[0] - began[1], ended[1] - began[0]


def compare(case: Case, results: list[Result], server: TruthServer) -> bool:
    """Print a line for each phase; whether all rows agree with the truth."""
    assert all(result.ok for result in results), [result.error for result in results if not result.ok][:3]
    rows = [Row(result, truth_of(result, server)) for result in results]
    if case.warm:  # the first request of each worker had to connect
        rows = rows[case.workers :]
    agreed = [_check_phase(phase, rows) for phase in PHASES]
    good = all(agreed)
    lags = [row.result.timing.lag for row in rows]
    joined = sum(map(Row.is_joined, rows))
    note = f"; {joined} rows had arrived whole before they were read" if joined else ""
    print(f"  {'lag':8} median {_ms(statistics.median(lags))} worst {_ms(max(lags))}{note}")
    for result in results:
        total = sum(getattr(result.timing, phase) or 0.0 for phase in SUMMED)
        if not math.isclose(total, result.elapsed, abs_tol=1e-9):
            print(f"  row {result.index}: the phases add up to {total}, not {result.elapsed}")
            good = False
    return good


@dataclass(frozen=True, slots=True)
class Row:
    """A Result, and the truth about it."""

    result: Result
    truth: dict[str, Span]

    def recorded(self, phase: str) -> float:
        return getattr(self.result.timing, phase) or 0.0

    def error(self, phase: str) -> float:
        """Seconds that a phase is too long; negative if it is too short."""
        return _outside(self.recorded(phase), self.truth[phase])

    def agrees(self, phase: str) -> bool:
        return _is_small(self.error(phase), self.truth[phase]) or (phase in JOINED and self.is_joined())

    def is_joined(self) -> bool:
        """Whether all of the response was there before its beginning was read, so that no one can tell when that came.

        Then `wait` and `receive` together must be right.
        """
        truth = sum(self.truth[phase][0] for phase in JOINED), sum(self.truth[phase][1] for phase in JOINED)
        noticed_late = self.recorded("receive") < ABSOLUTE < self.truth["receive"][0]
        return noticed_late and _is_small(_outside(sum(map(self.recorded, JOINED)), truth), truth)


def _outside(recorded: float, truth: Span) -> float:
    return recorded - min(max(recorded, truth[0]), truth[1])


def _is_small(error: float, truth: Span) -> bool:
    return abs(error) <= max(ABSOLUTE, RELATIVE * truth[0])


def _check_phase(phase: str, rows: list[Row]) -> bool:
    errors = [row.error(phase) for row in rows]
    agree = sum(row.agrees(phase) for row in rows)
    if agree < len(rows) or any(row.truth[phase][1] for row in rows):
        truth = statistics.median(row.truth[phase][0] for row in rows)
        median = statistics.median(row.recorded(phase) for row in rows)
        print(
            f"  {phase:8} truth {_ms(truth)} record {_ms(median)}"
            f" error {_ms(min(errors))} to {_ms(max(errors))}  {agree:4} of {len(rows)} agree"
        )
    return agree == len(rows)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:7.1f} ms"


def cases(workers: list[int], engines: list[str]) -> Iterator[Case]:
    for engine in engines:
        for count in workers:
            if engine == "sync" and count > 1:
                continue
            for listener in ("http", "https"):
                for warm in (False, True):
                    yield Case(engine, listener, warm, count)
                yield Case(engine, f"{listener}_accept", warm=False, workers=count)
            if engine in ("asyncio", "uvloop"):
                yield Case(engine, "https", warm=False, workers=count, named=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, action="append")
    parser.add_argument("--engine", action="append", choices=["asyncio", "uvloop", "threads", "sync"])
    given = parser.parse_args()
    good = True
    for case in cases(given.workers or [1, 200], given.engine or ["asyncio", "uvloop", "threads", "sync"]):
        with tempfile.TemporaryDirectory() as folder, truth_server(Path(folder)) as server:
            results = run(case, server)
            server.end()
        print(case.name)
        good &= compare(case, results, server)
    sys.exit(not good)


if __name__ == "__main__":
    main()
