"""A table of what fetchq and its peers take for the same list; `scripts/bench speed` prints it."""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from measuring import (
    FETCHQ,
    WORKERS,
    bare_loop,
    cpu_of_children,
    curl_command,
    in_loop,
    ratio,
    report,
    server,
    url_of,
    write_list,
)

ROUNDS = 5
URLS = 20_000
FEWER = 10_000
"""URLs in the modes `threads` and `sync`."""
MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one. On a disk, the programs would wait for each other's writes."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program in the table. All its processes are counted, from start to exit."""

    name: str
    command: Callable[[Path], list[str]]
    """Its command, given an empty folder for what it stores."""
    urls: int = URLS
    version: list[str] | None = None
    """The command that prints its version."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What each run of a program took, in seconds."""

    cpu: list[float]
    wall: list[float]


def speed() -> bool:
    """Every program in turn, in several rounds: bodies of 1 KiB, stored in memory, if at all."""
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with server() as base, tempfile.TemporaryDirectory(dir=where) as folder:
        programs = list(_programs(Path(folder), base))
        taken = {program.name: Taken([], []) for program in programs}
        for _, program in itertools.product(range(ROUNDS), programs):
            out = Path(folder) / "out"
            out.mkdir()
            with (out / "stdout").open("wb") as stdout:
                cpu, wall = cpu_of_children(program.command(out), stdout=stdout, stderr=subprocess.DEVNULL)
            shutil.rmtree(out)
            taken[program.name].cpu.append(cpu)
            taken[program.name].wall.append(wall)
    _print(programs, taken)
    return _verdict(taken)


def _programs(root: Path, base: str) -> Iterator[Program]:
    """The programs that are there."""
    urls, fewer = write_list(root / "urls.txt", base, URLS), write_list(root / "fewer.txt", base, FEWER)
    ours = [*FETCHQ, str(urls), "-w", str(WORKERS), "--progress", "none"]
    yield Program("bare aiohttp loop", lambda _: [sys.executable, __file__, base])
    yield Program("fetchq", lambda _: ours)
    yield Program("fetchq --json", lambda _: [*ours, "--json"])
    if shutil.which("curl"):
        curl = curl_command(root, base, URLS)
        yield Program("curl -Z", lambda _: curl, version=["curl", "--version"])
    yield Program("fetchq -o --save none", lambda out: [*ours, "-o", str(out / "run"), "--save", "none"])
    yield Program("fetchq -o --save files", lambda out: [*ours, "-o", str(out / "run"), "--save", "files"])
    for name, command in storing_peers(root, base, URLS).items():
        yield Program(name, lambda out, command=command: [*command, str(out)], version=[name, "--version"])  # type: ignore[misc]  # of a lambda
    few = [*FETCHQ, str(fewer), "--progress", "none", "-w", "16", "--mode"]
    yield Program("fetchq --mode threads, 16", lambda _: [*few, "threads"], FEWER)
    yield Program("fetchq --mode sync", lambda _: [*few, "sync"], FEWER)
    yield Program("fetchq, one URL", lambda _: [*FETCHQ, url_of(base, 0), "--progress", "none"], 1)


def storing_peers(root: Path, base: str, urls: int) -> dict[str, list[str]]:
    """Other tools that store the same list: their commands, to be followed by a folder. Each file has its own name."""
    listed = root / "aria2.txt"
    listed.write_text("".join(f"{url_of(base, n)}\n  out={n // 1000}/{n}.bin\n" for n in range(urls)))
    plain = root / "wget2.txt"
    plain.write_text("".join(f"{url_of(base, n)}?{n}\n" for n in range(urls)))
    commands = {
        "wget2": ["wget2", "-q", "-i", str(plain), f"--max-threads={WORKERS}", "-P"],
        "aria2c": ["aria2c", "-q", "-i", str(listed), "-j", str(WORKERS), "-x", "1", "-d"],
    }
    return {name: command for name, command in commands.items() if shutil.which(name)}


def _print(programs: list[Program], taken: dict[str, Taken]) -> None:
    print(f"{URLS:,} URLs of 1 KiB, {WORKERS} at a time; median of {ROUNDS} rounds [range]; start-up included")
    print(f"{_processor()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}, Python", end=" ")
    print(", ".join([platform.python_version(), *(_version(one.version) for one in programs if one.version)]))
    print(f"{'':<28}{'CPU, us per URL':>28}{'seconds':>26}{'URLs/s':>10}")
    for program in programs:
        found = taken[program.name]
        each = _range([cpu / program.urls * 1e6 for cpu in found.cpu], 0)
        rate = program.urls / statistics.median(found.wall)
        print(f"{program.name:<28}{each:>28}{_range(found.wall, 2):>26}{rate:>10,.0f}")


def _range(values: list[float], digits: int) -> str:
    least, most = min(values), max(values)
    return f"{statistics.median(values):,.{digits}f} [{least:,.{digits}f} to {most:,.{digits}f}]"


def _verdict(taken: dict[str, Taken]) -> bool:
    """Whether fetchq keeps its bounds beside itself and its peers."""
    plain, none = taken["fetchq"], taken["fetchq -o --save none"]
    kept = report("-o --save none / without -o, CPU", ratio(none.cpu, plain.cpu), 1.25, "")
    if curl := taken.get("curl -Z"):
        report("fetchq --json / curl -Z, CPU", ratio(taken["fetchq --json"].cpu, curl.cpu), None, "")
    files = taken["fetchq -o --save files"]
    for name in ("wget2", "aria2c"):
        if peer := taken.get(name):
            report(f"--save files / {name}, time", ratio(files.wall, peer.wall), None, "")
    threads, serial = taken["fetchq --mode threads, 16"], taken["fetchq --mode sync"]
    return report("threads, 16 workers / sync, time", ratio(threads.wall, serial.wall), 1.0, "") and kept


def _processor() -> str:
    """The name of the processor, as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _version(command: list[str]) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return " ".join(said.split("\n", 1)[0].split()[:3])


if __name__ == "__main__":
    in_loop(bare_loop(sys.argv[1], URLS))
