"""One hostile host beside twenty quick ones: `scripts/torture innocents`.

Each kind of hostile answer is fetched 300 times, beside 100 rows of each of 20 hosts that answer at once, by a command
in a process of its own. The run is stopped when the rows of the quick hosts are done.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import innocents_server as servers

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
HOSTS, ROWS, HOSTILE_ROWS = 20, 100, 300
LONGEST_STEP = 0.050
SLOWEST = 3.0
"""How many times as long as alone the 99th percentile may be."""
TRIES = 3
"""How often a kind is tried until it is as it should be: what else the machine does makes rows late, too."""


@dataclass
class Outcome:
    """What became of the rows of one run."""

    elapsed: list[float] = field(default_factory=list)
    """Of the rows of the quick hosts that were ok at the first attempt."""
    bad: list[dict[str, Any]] = field(default_factory=list)
    """The records of the others of these rows."""
    hostile: int = 0
    step: float = 0.0
    """The longest step of the event loop in seconds; 0 if there was none."""
    cpu: float = 0.0
    """The most CPU seconds of the loop's thread in one step."""

    @property
    def p99(self) -> float:
        found = sorted(self.elapsed)
        return found[int(len(found) * 0.99) - 1] if found else 0.0


@contextmanager
def server(*kind: str) -> Iterator[int]:
    """Yields the port."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "innocents_server.py"), *kind], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def rows_of(quick: int, hostile: int | None) -> list[str]:
    urls = [f"http://127.0.0.{2 + host}:{quick}/{row}" for host in range(HOSTS) for row in range(ROWS)]
    if hostile is not None:
        urls += [f"http://127.0.0.1:{hostile}/{row}" for row in range(HOSTILE_ROWS)]
    random.Random(1).shuffle(urls)  # no secret
    return urls


def run(mode: str, urls: list[str], options: list[str]) -> Outcome:
    """Fetch these URLs. `mode`: "asyncio", "uvloop" or "threads"."""
    with tempfile.TemporaryDirectory(prefix="fetchq-innocents-") as folder:
        listed, measured = Path(folder) / "urls.txt", Path(folder) / "steps.json"
        listed.write_text("\n".join(urls) + "\n")
        command = [sys.executable, str(HERE / "innocents_client.py"), mode, str(measured), str(listed), "--json", "-q"]
        process = subprocess.Popen(
            [*command, "--mode", "threads" if mode == "threads" else "async", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        outcome = Outcome()
        try:
            collect(process, outcome)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)  # it writes what it has measured
        finally:
            process.kill()
            process.wait()
        if measured.exists():
            outcome.step, outcome.cpu = json.loads(measured.read_text())
        return outcome


def collect(process: subprocess.Popen[bytes], outcome: Outcome) -> None:
    assert process.stdout is not None
    stopped = False
    for line in process.stdout:
        if b'"url":"http://127.0.0.1:' in line[:200]:
            outcome.hostile += b'"cause":"cancelled"' not in line
            continue
        record = json.loads(line)
        if record["ok"] and record["attempts"] == 1:
            outcome.elapsed.append(record["elapsed"])
        elif not stopped:
            outcome.bad.append(record)
        if not stopped and len(outcome.elapsed) + len(outcome.bad) == HOSTS * ROWS:
            process.send_signal(signal.SIGINT)  # the hostile rows need not be done
            threading.Timer(0.5, process.send_signal, [signal.SIGINT]).start()
            stopped = True


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/torture innocents")
    parser.add_argument("kinds", nargs="*", help="all, if none is named", metavar="KIND")
    parser.add_argument("--mode", choices=["asyncio", "uvloop", "threads"], action="append")
    given = parser.parse_args(arguments)
    modes = given.mode or ["asyncio", "uvloop", "threads"]
    kinds = [kind for kind in servers.HOSTILE if not given.kinds or any(word in kind for word in given.kinds)]
    missed = 0
    print(
        f"{HOSTS * ROWS} rows of quick hosts; at most {SLOWEST:g} x alone, and {LONGEST_STEP * 1000:g} ms in one step"
    )
    with server("quick") as quick:
        for mode in modes:
            print(
                f"\n{mode:24} {'ok':>5} {'p99 ms':>8} {'alone':>8} {'x':>8} {'step ms':>8} {'CPU ms':>7} {'hostile':>8}"
            )
            for kind in kinds:
                missed += not is_harmless(kind, mode, quick)
    if missed:
        print(f"\n{missed} missed")
    return 1 if missed else 0


def is_harmless(kind: str, mode: str, quick: int) -> bool:
    """Try a kind until the times are as they should be. No row may be lost in any of the tries. `quick`: the port."""
    with server("hostile", kind) as hostile:
        for _ in range(TRIES):
            outcome = run(mode, rows_of(quick, hostile), servers.OPTIONS.get(kind, []))
            good = show(kind, outcome, run(mode, rows_of(quick, None), []))
            if good or len(outcome.elapsed) < HOSTS * ROWS:
                return good
    return False


def show(kind: str, outcome: Outcome, alone: Outcome) -> bool:
    """Print a line of the table. Returns whether all is as it should be."""
    times = outcome.p99 / alone.p99 if alone.p99 else 0.0
    good = len(outcome.elapsed) == HOSTS * ROWS and times <= SLOWEST and outcome.step < LONGEST_STEP
    print(
        f"{kind:24} {len(outcome.elapsed):5} {outcome.p99 * 1000:8.1f} "
        f"{alone.p99 * 1000:8.1f} {times:8.2f} {outcome.step * 1000:8.1f} "
        f"{outcome.cpu * 1000:7.1f} {outcome.hostile:8}{'' if good else '  MISSED'}",
        flush=True,
    )
    for record in outcome.bad[:2]:
        print(f"    {record['url']}: {record['cause']} {record['error']} ({record['attempts']} attempts)")
    return good


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main(sys.argv[1:]))
