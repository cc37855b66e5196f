"""What several processes bring, against one process and against curl and wget2; `scripts/bench processes` runs it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from measuring import FETCHQ, nginx, report
from speed import MEMORY

from fetchq.cli.practice.bodies import blocks

URLS = 200_000
WORKERS = 300
"""Requests at a time, in all processes together: as many as curl has at most."""
HOSTS = 40
ROUNDS = 3
SIZE = 1024
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Taken:
    """What the runs of one program took, in seconds."""

    wall: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    """CPU of nginx meanwhile."""


@contextlib.contextmanager
def many_hosts() -> Iterator[tuple[list[str], Callable[[], float]]]:
    """nginx with one process on many ports, each of which is a host; yields their URLs, and its CPU seconds so far."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        for number in range(1000):
            (folder / f"{number}.bin").write_bytes(b"".join(blocks(SIZE, str(number))))
        with nginx(folder, "1.bin", *[""] * (HOSTS - 1)) as ports:
            master = int((folder / "pid").read_text())
            (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
            yield [f"http://127.0.0.1:{port}" for port in ports], lambda: _cpu(int(worker))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def processes() -> bool:
    """200,000 URLs of 1 KiB at 40 hosts: two processes against one, curl and, with files, wget2; nginx beside them."""
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with many_hosts() as (hosts, server_cpu), tempfile.TemporaryDirectory(dir=where) as text:
        folder = Path(text)
        commands = _commands(folder, hosts)
        taken = {name: Taken() for name in commands}
        for _, (name, command) in itertools.product(range(ROUNDS), commands.items()):
            out = folder / "out"
            out.mkdir()
            before, began = server_cpu(), time.perf_counter()
            with (out / "stdout").open("wb") as stdout:
                subprocess.run([*command, *_end(name, out)], stdout=stdout, stderr=subprocess.DEVNULL, check=True)
            taken[name].wall.append(time.perf_counter() - began)
            taken[name].server.append(server_cpu() - before)
            shutil.rmtree(out)
    for name, found in taken.items():
        wall, beside = statistics.median(found.wall), statistics.median(found.server)
        print(f"{name:<34} {wall:6.2f} s  {wall / URLS * 1e6:5.1f} us/URL   nginx {beside:.2f} s of CPU", flush=True)
    kept = _against(taken, "--json, 1 process", "--json, 2 processes", 1.6)
    _against(taken, "curl -Z --parallel-max 300", "--json, 2 processes", None)
    return _against(taken, "wget2", "--save files, 2 processes", 1.0) and kept


def _end(name: str, out: Path) -> list[str]:
    """The end of a command: the folder that it writes to."""
    return [str(out / "files")] if name == "wget2" or "--save" in name else []


def _commands(folder: Path, hosts: list[str]) -> dict[str, list[str]]:
    urls = folder / "urls.txt"
    listed = [f"{hosts[row % HOSTS]}/{row % 1000}.bin?{row}" for row in range(URLS)]
    urls.write_text("".join(f"{url}\n" for url in listed))
    ours = [*FETCHQ, str(urls), "-w", str(WORKERS), "--progress", "none", "-q", "--processes"]
    commands = {f"--json, {count} process{'es' * (count > 1)}": [*ours, str(count), "--json"] for count in (1, 2)}
    commands |= {
        f"--save files, {count} process{'es' * (count > 1)}": [*ours, str(count), "--save", "files", "-o"]
        for count in (1, 2)
    }
    if shutil.which("curl"):
        config = folder / "curl.txt"
        config.write_text("".join(f'url = "{url}"\noutput = "/dev/null"\n' for url in listed))
        commands["curl -Z --parallel-max 300"] = ["curl", "-s", "-Z", "--parallel-max", str(WORKERS), "-K", str(config)]
    if shutil.which("wget2"):
        commands["wget2"] = ["wget2", "-q", "-i", str(urls), f"--max-threads={WORKERS}", "-P"]
    return commands


def _against(taken: dict[str, Taken], other: str, ours: str, least: float | None) -> bool:
    """Report how many times as fast `ours` is, which must be at least so many. Fine where the other is not there."""
    if other not in taken:
        return True
    times = statistics.median(a / b for a, b in zip(taken[other].wall, taken[ours].wall, strict=True))
    kept = least is None or times >= least
    verdict = "" if least is None else f"  (bound {least:g} x: {'kept' if kept else 'MISSED'})"
    print(f"{ours} is {times:.2f} x as fast as {other}{verdict}", flush=True)
    return kept


def processes_memory() -> bool:
    """1,000,000 URLs with four processes: the memory of all of them, which must not grow."""
    with many_hosts() as (hosts, _), tempfile.TemporaryDirectory() as text:
        urls = Path(text) / "urls.txt"
        with urls.open("w") as file:
            file.writelines(f"{hosts[row % HOSTS]}/{row % 1000}.bin?{row}\n" for row in range(1_000_000))
        (one, _), (four, growth) = (_memory(urls, count) for count in (1, 4))
    detail = f"{four:.0f} MB; one process {one:.0f} MB"
    kept = report("4 processes beyond 4 x one", four - 4 * one, 50, detail, "MB")
    return report("growth in the second half", growth, 10, "", "MB") and kept


def _memory(urls: Path, count: int) -> tuple[float, float]:
    """The most memory that all processes of a run had at a time, and how much more at the end than in the middle."""
    command = [*FETCHQ, str(urls), "-w", str(WORKERS), "--json", "-q", "--progress", "none", "--processes", str(count)]
    samples: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        ended = threading.Event()
        thread = threading.Thread(target=_sample, args=(process.pid, samples, ended))
        thread.start()
        status = process.wait()
        ended.set()
        thread.join()
    assert status == 0, status
    middle, end = len(samples) // 2, len(samples) * 9 // 10
    tenth = max(1, len(samples) // 10)
    growth = statistics.median(samples[end - tenth : end]) - statistics.median(samples[middle - tenth : middle])
    return max(samples), growth


def _sample(pid: int, samples: list[float], ended: threading.Event) -> None:
    while not ended.wait(0.1):
        with contextlib.suppress(OSError, StopIteration):
            tasks = Path(f"/proc/{pid}/task").iterdir()
            pids = [pid, *(int(one) for task in tasks for one in (task / "children").read_text().split())]
            samples.append(sum(map(_resident, pids)))


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1000
