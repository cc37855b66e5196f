"""Kills what runs a job of `fetchq cluster`, and checks that no row is lost; `scripts/torture` says how to call it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from measuring import FETCHQ
from politeness import Counted, counting

ROWS, HOSTS, SHARDS, PER_HOST = 20_000, 200, 40, 4
DELAY = 20
"""Milliseconds after which the server answers."""
DONE_FIRST = 8
"""How many shards are done when something is killed."""
MIDDLE = 0.25
"""Seconds after that, which is in the middle of other shards."""


class Job:
    """A job, and the processes that run it. Leaving the `with` ends them."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._closing = ExitStack()
        urls = (f"http://127.0.{row % HOSTS // 100}.{1 + row % 100}:{port}/ok/{DELAY}?{row}\n" for row in range(ROWS))
        (folder / "urls.txt").write_text("".join(urls))
        options = f"--shards {SHARDS} --per-host {PER_HOST} --workers 100 --save parquet".split()
        subprocess.run([*FETCHQ, "cluster", "prepare", "urls.txt", "job", *options, "-q"], cwd=folder, check=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A process, whose messages come through its stdout."""
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if "fetchq" in command else {
            "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL
        }  # fmt: skip
        process = subprocess.Popen(command, cwd=self._folder, text=True, **output)
        self._closing.enter_context(process)
        self._closing.callback(process.kill)
        return process

    def cluster(self, workers: int = 2) -> tuple[str, subprocess.Popen[str], list[subprocess.Popen[str]]]:
        """A Dask scheduler, and its workers: the address and the processes."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = f"tcp://127.0.0.1:{port}"
        dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
        scheduler = self.start(*dask, "--port", str(port), "--dashboard-address", "127.0.0.1:0")
        return address, scheduler, [self.worker(address) for _ in range(workers)]

    def local_cluster(self) -> tuple[str, subprocess.Popen[str]]:
        """A LocalCluster of Dask: its address, and the process that has the scheduler and the workers."""
        program = str(Path(__file__).with_name("dask_local_cluster.py"))
        process = subprocess.Popen(
            [sys.executable, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            text=True,
        )
        self._closing.enter_context(process)
        self._closing.callback(process.kill)
        assert process.stdout is not None
        return process.stdout.readline().strip(), process

    def worker(self, address: str) -> subprocess.Popen[str]:
        """A worker of the scheduler at `address`."""
        dask = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--host", "127.0.0.1"]
        return self.start(*dask, "--nthreads", "1", "--no-nanny", "--dashboard-address", "127.0.0.1:0")

    def run(self, place: str) -> subprocess.Popen[str]:
        """Begin to run the job."""
        return self.start(*FETCHQ, "cluster", "run", "job", "--on", place)

    def until_the_middle(self, process: subprocess.Popen[str]) -> None:
        """Wait until some shards are done, and others under way."""
        assert process.stdout is not None
        done = 0
        for line in process.stdout:
            done += line.startswith("fetchq: shard ")
            if done == DONE_FIRST:
                time.sleep(MIDDLE)
                return
        raise AssertionError("it has ended too early")

    def ended(self, process: subprocess.Popen[str], status: int = 0) -> None:
        """Wait for the end, and look at the exit status."""
        out, _ = process.communicate(timeout=300)
        assert process.returncode == status, f"exit status {process.returncode}, not {status}: {out[-2000:]}"
        assert "Traceback" not in out, out

    def check(self, place: str) -> None:
        """Each row has one record, and another call has nothing left to do."""
        found = subprocess.run([*FETCHQ, "export", "job"], cwd=self._folder, check=True, capture_output=True, text=True)
        records = [json.loads(line) for line in found.stdout.splitlines()]
        assert sorted(record["index"] for record in records) == list(range(ROWS)), f"{len(records)} records"
        assert all(record["ok"] for record in records)
        again = self.run(place)
        out, _ = again.communicate(timeout=300)
        assert (again.returncode, "all shards are done already" in out) == (0, True), out


def nothing(job: Job) -> str:
    address, _, _ = job.cluster()
    job.ended(job.run(address))
    return address


def a_worker(job: Job) -> str:
    address, _, workers = job.cluster()
    running = job.run(address)
    job.until_the_middle(running)
    workers[0].kill()
    job.worker(address)
    job.ended(running)
    return address


def a_worker_of_a_local_cluster(job: Job) -> str:
    address, cluster = job.local_cluster()
    running = job.run(address)
    job.until_the_middle(running)
    kill_a_child(cluster)
    job.ended(running)
    return address


Start = Callable[[Job], tuple[str, subprocess.Popen[str]]]
"""Starts a cluster. Returns its address, and the process with the scheduler."""


def by_hand(job: Job) -> tuple[str, subprocess.Popen[str]]:
    address, scheduler, _ = job.cluster()
    return address, scheduler


def the_scheduler(start: Start, job: Job) -> str:
    address, scheduler = start(job)
    running = job.run(address)
    job.until_the_middle(running)
    scheduler.kill()
    job.ended(running, 3)
    address, _ = start(job)
    job.ended(job.run(address))
    return address


def the_driver(start: Start, job: Job) -> str:
    address, _ = start(job)
    return the_driver_at(address, job)


def the_driver_at(place: str, job: Job) -> str:
    running = job.run(place)
    job.until_the_middle(running)
    running.kill()
    job.ended(job.run(place))
    return place


def kill_a_child(process: subprocess.Popen[str]) -> None:
    """Kill one of the processes that multiprocessing has started for this one, in any of its threads."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    children = [pid for task in tasks for pid in (task / "children").read_text().split()]
    workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(workers[0], signal.SIGKILL)


def a_local_process(job: Job) -> str:
    running = job.run("local:2")
    job.until_the_middle(running)
    kill_a_child(running)
    job.ended(running)
    return "local:2"


def interrupted(job: Job) -> str:
    running = job.run("local:2")
    job.until_the_middle(running)
    running.send_signal(signal.SIGINT)
    job.ended(running, 130)
    job.ended(job.run("local:2"))
    return "local:2"


KILLED: dict[str, Callable[[Job], str]] = {
    "nothing": nothing,
    "worker": a_worker,
    "scheduler": partial(the_scheduler, by_hand),
    "driver": partial(the_driver, by_hand),
    "dask-worker": a_worker_of_a_local_cluster,
    "dask": partial(the_scheduler, Job.local_cluster),
    "dask-driver": partial(the_driver, Job.local_cluster),
    "process": a_local_process,
    "local-driver": partial(the_driver_at, "local:2"),
    "interrupt": interrupted,
}


def tortured(name: str) -> str | None:
    """Kill this in the middle of a job, and go on. Returns what was wrong, if anything."""
    began = time.monotonic()
    problem: str | None = None
    counted: Counted
    with counting() as counted, tempfile.TemporaryDirectory() as folder, Job(Path(folder), counted.port) as job:
        try:
            job.check(KILLED[name](job))
        except AssertionError as found:
            problem = str(found)
    if problem is None and counted.peak > PER_HOST:
        problem = f"{counted.peak} requests at a time to a host"
    extra = len(counted.starts) - ROWS
    print(f"{name:<13} {time.monotonic() - began:5.1f} s  {extra:5} requests more than rows, at most {counted.peak} "
          f"at a time to a host{'' if problem is None else f'  WRONG: {problem}'}", flush=True)  # fmt: skip
    return problem


def main() -> int:
    names = sys.argv[1:] or list(KILLED)
    if unknown := [name for name in names if name not in KILLED]:
        print(f"{unknown[0]} is none of {', '.join(KILLED)}", file=sys.stderr)
        return 2
    return 1 if [name for name in names if tortured(name) is not None] else 0


if __name__ == "__main__":
    sys.exit(main())
