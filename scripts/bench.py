"""The benchmarks; `scripts/bench` says what they are and sets up what they need."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import against
import calls
import comparing
import durability
import politeness
import several_processes
import speed
from measuring import (
    FETCHQ,
    URLS,
    WORKERS,
    bare_loop,
    child,
    cpu_of_children,
    curl_command,
    in_loop,
    in_turn,
    ratio,
    report,
    server,
    url_of,
    write_list,
)

from fetchq import fetch_iter


async def _ours(base: str) -> None:
    count = 0
    async for result in fetch_iter((url_of(base, number) for number in range(URLS)), workers=WORKERS):
        count += result.ok and result.sha256 is not None
    assert count == URLS, count


def _one(kind: str, base: str) -> None:
    """In a process of its own: CPU seconds of one loop, start-up apart."""
    main = {"bare": bare_loop, "ours": _ours}[kind]

    async def measured() -> float:
        began = time.process_time()
        await main(base)
        return time.process_time() - began

    print(in_loop(measured()))


def overhead() -> bool:
    with server() as base, tempfile.TemporaryDirectory() as folder:

        def loop(kind: str) -> Callable[[], float]:
            command = [sys.executable, __file__, "_one", kind, base]
            return lambda: float(subprocess.check_output(command)) / URLS * 1e6

        ours, bare = in_turn(7, loop("ours"), loop("bare"))
        detail = f"{statistics.median(ours):.0f} against {statistics.median(bare):.0f} us/URL, {WORKERS} workers"
        kept = report("fetch_iter / bare aiohttp loop", ratio(ours, bare), 1.5, detail)

        urls = write_list(Path(folder) / "urls.txt", base, URLS)
        out = Path(folder) / "out.jsonl"

        def command_line() -> float:
            with out.open("wb") as file:
                return cpu_of_children([*FETCHQ, str(urls), "-w", str(WORKERS), "--json", "-q"], stdout=file)[0]

        if shutil.which("curl"):
            command = curl_command(Path(folder), base, URLS)
            mine, curl = in_turn(3, command_line, lambda: cpu_of_children(command, stderr=subprocess.DEVNULL)[0])
            each = [statistics.median(one) / URLS * 1e6 for one in (mine, curl)]
            report("fetchq --json / curl -Z", ratio(mine, curl), None, f"{each[0]:.0f} against {each[1]:.0f} us/URL")
        return kept


class _Late(asyncio.Protocol):
    """Answers each request after 100 ms, and does no more than that: it has only one of two processors."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 100

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self.loop.call_later(0.1, self.transport.write, self.ANSWER)


async def _serve_late() -> None:
    server = await asyncio.get_running_loop().create_server(_Late, "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def latency() -> bool:
    """20,000 URLs that take 100 ms, 1,000 at a time: ideally 2.0 s."""
    late = [sys.executable, __file__, "_late"]
    with tempfile.TemporaryDirectory() as folder, child(late, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base = server.stdout.readline().strip()
        urls = Path(folder) / "urls.txt"
        urls.write_text("".join(f"{base}/{number}\n" for number in range(20_000)))
        out = Path(folder) / "out.jsonl"
        times = []
        for _ in range(3):
            command = [*FETCHQ, str(urls), "-w", "1000", "--json", "--progress", "none"]
            with out.open("wb") as file:
                said = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, check=True).stderr
            times.append(float(said.split(" in ")[1].split(" s ")[0]))
        worst = 0.0
        with out.open() as file:
            for line in file:
                record = json.loads(line)
                assert record["ok"], record
                phases = {name: value or 0.0 for name, value in record["timing"].items()}
                spent = sum(phases.values()) - phases["queued"] - phases["held"]
                worst = max(worst, abs(spent - record["elapsed"]))
        middle, detail = statistics.median(times), f"{sorted(times)} s by its own clock, start-up apart"
        kept = report("1,000 workers / ideal 2.0 s", middle / 2.0, 1.12, detail)
        return report("phases off from elapsed", worst * 1000, 1.0, "the worst of 20,000 records", "ms") and kept


def memory() -> bool:
    """Peak memory of the command line: it must not grow with the list."""
    with server() as base, tempfile.TemporaryDirectory() as folder:
        peaks = [_peak(write_list(Path(folder) / "urls.txt", base, count)) for count in (100_000, 1_000_000)]
    kept = report(
        "1,000,000 URLs beyond 100,000", peaks[1] - peaks[0], 20, f"{peaks[0]:.1f} and {peaks[1]:.1f} MB", "MB"
    )
    return report("peak with 1,000,000 URLs", peaks[1], 120, "", "MB") and kept


def many() -> bool:
    """Peak memory with 10,000,000 rows that end at once: no attempt can be made at them."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.txt"
        with rows.open("w") as file:
            file.writelines(f"https://h{number % 5000}:99999/{number}\n" for number in range(10_000_000))
        return report("peak with 10,000,000 rows", _peak(rows), 200, "", "MB")


def _peak(urls: Path) -> float:
    """The peak memory of the command line with these rows, in MB."""
    program = "import resource,subprocess,sys; subprocess.run(sys.argv[1:],stdout=open('/dev/null','wb'))"
    program += ";print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [sys.executable, "-c", program, *FETCHQ, str(urls), "-w", str(WORKERS), "--json", "-q"]
    return int(subprocess.check_output(command)) / 1000


def startup() -> bool:
    def wall(*arguments: str) -> Callable[[], float]:
        return lambda: cpu_of_children([*arguments], stdout=subprocess.DEVNULL)[1]

    fetchq = str(Path(sys.executable).parent / "fetchq")
    python = [sys.executable, "-c", "import click"]
    click, version, helping = in_turn(21, wall(*python), wall(fetchq, "--version"), wall(fetchq, "--help"))
    middle = statistics.median(click) * 1000
    kept = report("fetchq --version / import click", ratio(version, click), 1.6, f"import click: {middle:.0f} ms")
    return report("fetchq --help / import click", ratio(helping, click), 1.6, "") and kept


def queue() -> bool:
    """What the queue itself costs, put and get and done, however many hosts there are."""
    kept = [asyncio.run(_queue(hosts)) for hosts in (1, 100, 10_000)]
    return all(kept)


async def _queue(hosts: int) -> bool:
    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.scheduling.job import Job
    from fetchq.scheduling.schedule import Schedule
    from fetchq.workers.request_queue import RequestQueue

    most, ahead = 200_000, max(1000, hosts)
    good: Any = SimpleNamespace(cause=None, redirects=0, local_limit=False, held=0.0, phases=[0.0] * 7)
    jobs = [Job(Request(f"http://h{number % hosts}.example/{number}", number), 0.0) for number in range(most)]
    queue = RequestQueue(Schedule(Settings(workers=WORKERS, lookahead=most)))
    coming, working = iter(jobs), []
    began = time.process_time()
    for job in itertools.islice(coming, ahead):
        queue.put_nowait(job)
    for _ in range(most):
        working.append(queue.get_nowait())
        if len(working) == WORKERS:
            for job in working:
                queue.done(job, good)
            working.clear()
        if (job := next(coming, None)) is not None:
            queue.put_nowait(job)
    each = (time.process_time() - began) / most * 1e6
    queue.close()
    return report(f"put, get, done with {hosts:,} hosts", each, 10.0, "", "us")


BENCHMARKS = {
    "speed": speed.speed,
    "against": against.against,
    "overhead": overhead,
    "client": calls.client,
    "latency": latency,
    "memory": memory,
    "many": many,
    "startup": startup,
    "ledger": durability.ledger,
    "resume": durability.resume,
    "queue": queue,
    "limits": politeness.limits,
    "fair": politeness.fair,
    "refusals": politeness.refusals,
    "dead": politeness.dead,
    "names": politeness.names,
    "compare": comparing.compare,
    "processes": several_processes.processes,
    "processes-memory": several_processes.processes_memory,
}


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["_one"]:
        _one(*arguments[1:])
        return 0
    if arguments == ["_late"]:
        in_loop(_serve_late())
    unknown = [name for name in arguments if name not in BENCHMARKS]
    if unknown:
        print(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in ("PYTHONASYNCIODEBUG", "PYTHONDONTWRITEBYTECODE"):  # an installed program is compiled once
        os.environ.pop(name, None)
    results = [BENCHMARKS[name]() for name in arguments or BENCHMARKS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
