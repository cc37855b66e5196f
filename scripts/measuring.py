"""What the benchmarks share: servers and lists, and how to measure and to report."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from fetchq.cli.practice.bodies import blocks

try:
    import uvloop
except ImportError:
    uvloop = None

T = TypeVar("T")

FETCHQ = [sys.executable, "-m", "fetchq"]
SIZE = 1024
WORKERS = 64
URLS = 20_000


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
    for number in range(10_000):
        (folder / f"{number}.bin").write_bytes(b"".join(blocks(SIZE, str(number))))
    with nginx(folder, "1.bin") as (port,):
        yield f"http://127.0.0.1:{port}/"


@contextlib.contextmanager
def nginx(folder: Path, first: str, *listens: str, settings: str = "") -> Iterator[list[int]]:
    """nginx, with the files of a folder; yields its ports.

    `first`: one of the files, without TLS on the first port. `listens`: what else than the port each further `listen`
    has, such as ssl. `settings`: further lines of the block `http`.
    """
    import socket

    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(1 + len(listens))]
        ports = [one.getsockname()[1] for one in free]
    folder.chmod(0o755)  # nginx gives up its rights before it reads
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    listen = "".join(
        f"listen 127.0.0.1:{port} {more} backlog=4096; " for port, more in zip(ports, ("", *listens), strict=True)
    )
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events { worker_connections 4096; }\n"
        "http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on;\n"
        f"open_file_cache max=20000; {settings}{paths}\n"
        f"server {{ {listen}root {folder}; }} }}\n"
    )
    with child(["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]) as process:
        wait_for(f"http://127.0.0.1:{ports[0]}/{first}", process)
        yield ports


@contextlib.contextmanager
def practice_server() -> Iterator[str]:
    with child([*FETCHQ, "serve"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


@contextlib.contextmanager
def child(command: list[str], **options: object) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_for(url: str, process: subprocess.Popen) -> None:
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


def curl_command(folder: Path, base: str, count: int) -> list[str]:
    """curl with so many of the URLs in parallel, which throws the bodies away. Its list is written to the folder."""
    config = folder / "curl.txt"
    config.write_text("".join(f'url = "{url_of(base, number)}"\noutput = "/dev/null"\n' for number in range(count)))
    return ["curl", "-s", "-Z", "--parallel-max", str(WORKERS), "-K", str(config)]


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


# --- what to measure against -----------------------------------------------------------------------------------------


def in_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run it in the loop that the command line has, too."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        return runner.run(main)


async def bare_loop(base: str, count: int = URLS, keep: Callable[[int, bytes], None] = lambda *_: None) -> None:
    """What people write by hand: workers over an iterator, nothing recorded."""
    numbers = iter(range(count))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for number in numbers:
                async with session.get(url_of(base, number)) as response:
                    keep(number, await response.read())

        await asyncio.gather(*(work() for _ in range(WORKERS)))
