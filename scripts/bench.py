"""The benchmarks; `scripts/bench` says what they are and sets up what they need."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import politeness

from fetchq import fetch_iter
from fetchq.server import blocks

try:
    import uvloop
except ImportError:
    uvloop = None

FETCHQ = [sys.executable, "-m", "fetchq"]
SIZE = 1024


# --- servers and lists -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A quick server of bodies of 1 KiB in a process of its own; yields a URL that a number and .bin go behind."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if shutil.which("nginx"):
            yield stack.enter_context(_nginx(Path(folder)))
        else:
            base = stack.enter_context(practice_server())
            yield f"{base}/bytes/{SIZE}?seed="


@contextlib.contextmanager
def _nginx(folder: Path) -> Iterator[str]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder.chmod(0o755)  # nginx gives up its rights before it reads
    for number in range(10_000):
        (folder / f"{number}.bin").write_bytes(b"".join(blocks(SIZE, str(number))))
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events { worker_connections 4096; }\n"
        "http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on;\n"
        f"open_file_cache max=20000; {paths}\n"
        f"server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; }} }}\n"
    )
    command = ["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with _process(command) as process:
        _wait_for(f"http://127.0.0.1:{port}/1.bin", process)
        yield f"http://127.0.0.1:{port}/"


@contextlib.contextmanager
def practice_server() -> Iterator[str]:
    with _process([*FETCHQ, "serve"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


@contextlib.contextmanager
def _process(command: list[str], **options: object) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _wait_for(url: str, process: subprocess.Popen) -> None:
    import urllib.request

    for _ in range(200):
        with contextlib.suppress(OSError), urllib.request.urlopen(url):
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise SystemExit(f"no server at {url}")


def url_of(base: str, number: int) -> str:
    return f"{base}{number % 10_000}" + ("" if "?" in base else ".bin")


def write_list(path: Path, base: str, count: int) -> Path:
    with path.open("w") as file:
        file.writelines(url_of(base, number) + "\n" for number in range(count))
    return path


# --- measuring -------------------------------------------------------------------------------------------------------


def cpu_of_children(command: list[str], **options: object) -> tuple[float, float]:
    """CPU and wall seconds of a command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - began


def in_turn(runs: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Each measure so many times, taking turns: a machine that slows down slows all of them."""
    values: list[list[float]] = [[] for _ in measures]
    for _ in range(runs):
        for measure, found in zip(measures, values, strict=True):
            found.append(measure())
    return values


def ratio(of: list[float], to: list[float]) -> float:
    """The median of the ratios, pair by pair."""
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


def report(name: str, value: float, bound: float | None, detail: str, unit: str = "x") -> bool:
    """Print a figure; whether it keeps within its bound."""
    kept = bound is None or value <= bound
    verdict = "" if bound is None else f"  (bound {bound:g} {unit}: {'kept' if kept else 'MISSED'})"
    print(f"{name:<34} {value:8.2f} {unit}{verdict}   {detail}", flush=True)
    return kept


# --- the benchmarks --------------------------------------------------------------------------------------------------

WORKERS = 64
URLS = 20_000


async def _bare(base: str, count: int = URLS, keep: Callable[[int, bytes], None] = lambda *_: None) -> None:
    """What people write by hand: workers over an iterator, nothing recorded."""
    numbers = iter(range(count))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for number in numbers:
                async with session.get(url_of(base, number)) as response:
                    keep(number, await response.read())

        await asyncio.gather(*(work() for _ in range(WORKERS)))


def _files(base: str, folder: str) -> None:
    """The same with each body in a file: nothing less can be done over aiohttp in one process."""

    def keep(number: int, body: bytes) -> None:
        part = f"{folder}/{number}.part"
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(file, body)
        os.close(file)
        os.rename(part, f"{folder}/{number // 1000}/{number}.bin")

    for number in range(0, LEDGER_URLS, 1000):
        Path(folder, str(number // 1000)).mkdir(parents=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        runner.run(_bare(base, LEDGER_URLS, keep))


async def _ours(base: str) -> None:
    count = 0
    async for result in fetch_iter((url_of(base, number) for number in range(URLS)), workers=WORKERS):
        count += result.ok and result.sha256 is not None
    assert count == URLS, count


def _one(kind: str, base: str) -> None:
    """In a process of its own: CPU seconds of one loop, start-up apart."""
    main = {"bare": _bare, "ours": _ours}[kind]

    async def measured() -> float:
        began = time.process_time()
        await main(base)
        return time.process_time() - began

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        print(runner.run(measured()))


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
            config = Path(folder) / "curl.txt"
            config.write_text(
                "".join(f'url = "{url_of(base, number)}"\noutput = "/dev/null"\n' for number in range(URLS))
            )
            curl_command = ["curl", "-s", "-Z", "--parallel-max", str(WORKERS), "-K", str(config)]
            mine, curl = in_turn(3, command_line, lambda: cpu_of_children(curl_command, stderr=subprocess.DEVNULL)[0])
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
    with tempfile.TemporaryDirectory() as folder, _process(late, stdout=subprocess.PIPE, text=True) as server:
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
        kept = report("1,000 workers / ideal 2.0 s", middle / 2.0, 1.35, detail)
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


LEDGER_URLS = 100_000


def ledger() -> bool:
    """What durability costs: the ledger alone, and bodies as files.

    Every run has a folder of its own, and nothing is deleted in between: ext4 takes its time to use an inode again
    that was free a minute ago, and whoever comes next would pay for that.
    """
    with server() as base, tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        urls = write_list(root / "urls.txt", base, LEDGER_URLS)
        numbers = itertools.count()

        def fetchq(save: str | None) -> tuple[float, float]:
            durable = () if save is None else ("-o", str(root / f"run{next(numbers)}"), "--save", save)
            with open(os.devnull, "wb") as out:
                return cpu_of_children([*FETCHQ, str(urls), "-w", str(WORKERS), "-q", *durable], stdout=out)

        kept, plain = in_turn(5, lambda: fetchq("none")[0], lambda: fetchq(None)[0])
        each = [statistics.median(one) / LEDGER_URLS * 1e6 for one in (kept, plain)]
        good = report(
            "-o --save none / without -o", ratio(kept, plain), 1.15, f"{each[0]:.0f} and {each[1]:.0f} us/URL"
        )

        def peer(command: list[str]) -> float:
            return cpu_of_children([*command, str(root / f"peer{next(numbers)}")])[1]

        bare = [sys.executable, __file__, "_files", base]
        for name, (runs, command) in _peers(root, base).items():
            files, least, theirs = in_turn(
                runs, lambda: fetchq("files")[1], lambda: peer(bare), lambda command=command: peer(command)
            )
            each = [statistics.median(one) for one in (files, least, theirs)]
            detail = f"{each[0]:.1f} and {each[2]:.1f} s for {LEDGER_URLS:,} files"
            good = report(f"-o with files / {name}", ratio(files, theirs), 1.0, detail) and good
            detail = f"{each[1]:.1f} s, nothing recorded"
            report(f"bare aiohttp loop with files / {name}", ratio(least, theirs), None, detail)
        return good


def _peers(root: Path, base: str) -> dict[str, tuple[int, list[str]]]:
    """Other tools that store the same list: how often to run them, and their commands, to be followed by a folder.

    Each file has a name of its own.
    """
    listed = root / "aria2.txt"
    listed.write_text("".join(f"{url_of(base, n)}\n  out={n // 1000}/{n}.bin\n" for n in range(LEDGER_URLS)))
    plain = root / "wget2.txt"
    plain.write_text("".join(f"{url_of(base, n)}?{n}\n" for n in range(LEDGER_URLS)))
    commands = {
        "wget2": (3, ["wget2", "-q", "-i", str(plain), f"--max-threads={WORKERS}", "-P"]),
        "aria2c": (1, ["aria2c", "-q", "-i", str(listed), "-j", str(WORKERS), "-x", "1", "-d"]),
    }
    return {name: peer for name, peer in commands.items() if shutil.which(name)}


def resume() -> bool:
    """Going on with a finished run of 1,000,000 rows, which must see that there is nothing to do."""
    from fetchq import fetch_all_sync
    from fetchq.session import Session
    from fetchq.settings import Settings

    rows = 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        urls = Path(folder) / "urls.txt"
        with urls.open("w") as file:
            file.writelines(f"http://127.0.0.1:9/{number}\n" for number in range(rows))
        (one,) = fetch_all_sync(["http://127.0.0.1:9/0"], retries=0)
        settings = Settings(output=f"{folder}/run", save="none")
        with Session.for_sources(settings, [str(urls)]) as session:
            writer = session.writer()
            for batch in session.source:
                writer.commit([replace(one, index=request.index, url=request.url) for request in batch])
            session.end()
        program = "import resource,subprocess,sys; subprocess.run(sys.argv[1:],stderr=subprocess.DEVNULL)"
        program += ";print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        began = time.perf_counter()
        peak = int(subprocess.check_output([sys.executable, "-c", program, *FETCHQ, "resume", f"{folder}/run"])) / 1000
        seconds = time.perf_counter() - began
    kept = report("resume of 1,000,000 finished rows", seconds, 3.0, "", "s")
    return report("its peak memory", peak, 150, "", "MB") and kept


def queue() -> bool:
    """What the queue itself costs, put and get and done, however many hosts there are."""
    kept = [asyncio.run(_queue(hosts)) for hosts in (1, 100, 10_000)]
    return all(kept)


async def _queue(hosts: int) -> bool:
    from fetchq.job import Job
    from fetchq.model import Request
    from fetchq.queue import RequestQueue
    from fetchq.settings import Settings

    most, ahead = 200_000, max(1000, hosts)
    good: Any = SimpleNamespace(cause=None, redirects=0, starved=False, held=0.0, phases=[0.0] * 7)
    jobs = [Job(Request(f"http://h{number % hosts}.example/{number}", number), 0.0) for number in range(most)]
    queue = RequestQueue(Settings(workers=WORKERS, lookahead=most))
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
    "overhead": overhead,
    "latency": latency,
    "memory": memory,
    "many": many,
    "startup": startup,
    "ledger": ledger,
    "resume": resume,
    "queue": queue,
    "limits": politeness.limits,
    "fair": politeness.fair,
    "refusals": politeness.refusals,
    "dead": politeness.dead,
    "names": politeness.names,
}


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["_files"]:
        _files(*arguments[1:])
        return 0
    if arguments[:1] == ["_one"]:
        _one(*arguments[1:])
        return 0
    if arguments == ["_late"]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
            runner.run(_serve_late())
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
