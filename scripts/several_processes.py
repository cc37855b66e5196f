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
from collections.abc import Iterator
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
ONE, TWO = "--json, 1 process", "--json, 2 processes"
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Taken:
    """What the runs of one program took, in seconds."""

    wall: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    """CPU of nginx meanwhile."""


@dataclass(frozen=True)
class Server:
    """nginx with one process, on many ports, each of which is a host."""

    hosts: list[str]
    """Their URLs."""
    pid: int

    @property
    def cpu(self) -> float:
        """Its CPU seconds so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    @contextlib.contextmanager
    def waiting_its_turn(self) -> Iterator[None]:
        """Let it not interrupt the programs that share its cores for each request, which no server elsewhere does."""
        os.sched_setscheduler(self.pid, os.SCHED_BATCH, os.sched_param(0))
        try:
            yield
        finally:
            os.sched_setscheduler(self.pid, os.SCHED_OTHER, os.sched_param(0))


@contextlib.contextmanager
def many_hosts() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        for number in range(1000):
            (folder / f"{number}.bin").write_bytes(b"".join(blocks(SIZE, str(number))))
        with nginx(folder, "1.bin", *[""] * (HOSTS - 1)) as ports:
            master = int((folder / "pid").read_text())
            (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
            yield Server([f"http://127.0.0.1:{port}" for port in ports], int(worker))


def processes() -> bool:
    """200,000 URLs of 1 KiB at 40 hosts: two processes against one, curl and, with files, wget2; nginx beside them.

    And two processes against one once more, with an nginx that waits for its turn.
    """
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with many_hosts() as server, tempfile.TemporaryDirectory(dir=where) as text:
        folder = Path(text)
        commands = _commands(folder, server.hosts)
        taken = _taken(commands, server, folder / "out")
        kept = _against(taken, ONE, TWO, 1.6)
        _against(taken, "curl -Z --parallel-max 300", TWO, None)
        kept = _against(taken, "wget2", "--save files, 2 processes", 1.0) and kept
        print("where nginx interrupts nobody:")
        with server.waiting_its_turn():
            _against(_taken({name: commands[name] for name in (ONE, TWO)}, server, folder / "out"), ONE, TWO, None)
    return kept


def _taken(commands: dict[str, list[str]], server: Server, out: Path) -> dict[str, Taken]:
    """Run the commands in turn, and print what they took. `out`: a folder for their output."""
    taken = {name: Taken() for name in commands}
    for _, (name, command) in itertools.product(range(ROUNDS), commands.items()):
        out.mkdir()
        before, began = server.cpu, time.perf_counter()
        with (out / "stdout").open("wb") as stdout:
            subprocess.run([*command, *_end(name, out)], stdout=stdout, stderr=subprocess.DEVNULL, check=True)
        taken[name].wall.append(time.perf_counter() - began)
        taken[name].server.append(server.cpu - before)
        shutil.rmtree(out)
    for name, found in taken.items():
        wall, beside = statistics.median(found.wall), statistics.median(found.server)
        print(f"{name:<34} {wall:6.2f} s  {wall / URLS * 1e6:5.1f} us/URL   nginx {beside:.2f} s of CPU", flush=True)
    return taken


def _end(name: str, out: Path) -> list[str]:
    """The end of a command: the folder that it writes to."""
    return [str(out / "files")] if name == "wget2" or "--save" in name else []


def _commands(folder: Path, hosts: list[str]) -> dict[str, list[str]]:
    urls = folder / "urls.txt"
    listed = [f"{hosts[row % HOSTS]}/{row % 1000}.bin?{row}" for row in range(URLS)]
    urls.write_text("".join(f"{url}\n" for url in listed))
    ours = [*FETCHQ, str(urls), "-w", str(WORKERS), "--progress", "none", "-q", "--processes"]
    commands = {name: [*ours, str(count), "--json"] for name, count in ((ONE, 1), (TWO, 2))}
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
    with many_hosts() as server, tempfile.TemporaryDirectory() as text:
        urls = Path(text) / "urls.txt"
        with urls.open("w") as file:
            file.writelines(f"{server.hosts[row % HOSTS]}/{row % 1000}.bin?{row}\n" for row in range(1_000_000))
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
