"""Jobs of `fetchq cluster`, the servers that they fetch from, and the Dask processes that run them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from faults.wire import Asked, Connection

from fetchq.cluster.job import Job, open_job
from fetchq.cluster.prepare import JobPlan, prepare_job
from fetchq.cluster.storage import JobStorage
from fetchq.core.model import Request
from fetchq.core.settings import Settings
from support.cli import Cli
from support.servers import ScriptServer, ok
from support.waiting import PATIENCE


def hosts_list(server: ScriptServer, rows: int, hosts: int) -> str:
    """A list of so many rows at so many addresses of the loopback, in turn."""
    return "".join(f"{server.at(f'127.0.0.{1 + row % hosts}')}/{row}\n" for row in range(rows))


def everywhere(script: Any = ok) -> ScriptServer:
    """A server at all addresses of the loopback. When it closes, it opens the `Gate` that it has for a script."""
    server = ScriptServer(script, "0.0.0.0")  # the tests of this port use 127.0.0.0/8 alone
    if isinstance(script, Gate):
        server._events["gate"] = script.opened
    return server


def exported(cli: Cli, job: str) -> list[int]:
    """The rows that the export of a job has, in order."""
    return sorted(record["index"] for record in cli("export", job).records)


def prepared(storage: JobStorage, requests: Iterable[Request], shards: int, lanes: int = 64, **settings: Any) -> Job:
    """A job of these rows."""
    plan = JobPlan(
        settings=Settings(**{"save": "none", "retries": 0} | settings),
        sources=[{"kind": "urls", "given": "arguments", "copy": "0.jsonl", "count": 1, "digest": ""}],
        reading={},
        shards=shards,
        lanes=min(lanes, shards),
    )
    prepare_job(storage, plan, [list(requests)])
    return open_job(storage)


class Gate:
    """A script that holds all answers but the first few until it is opened."""

    def __init__(self, first: int) -> None:
        self._left = first
        self._lock = threading.Lock()
        self.opened = threading.Event()

    def __call__(self, conn: Connection, asked: Asked) -> None:
        with self._lock:
            self._left -= 1
            waits = self._left < 0
        if waits:
            self.opened.wait(PATIENCE)
        ok(conn, asked)


class Dask:
    """A scheduler and workers, each a process of its own. Leaving the `with` ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[str]] = []
        self.scheduler = self._start("scheduler", "--port", "0")
        self.address = self._said(self.scheduler, "Scheduler at:").split()[-1]
        self.workers: list[subprocess.Popen[str]] = []

    def work(self, number: int = 1, *, patch: str = "") -> None:
        """Start so many workers, where `patch` is executed first."""
        new = [self._start("worker", self.address, "--nthreads", "1", "--no-nanny", patch=patch) for _ in range(number)]
        self.workers += new
        for one in new:
            self._said(one, "Registered to:")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.kill()
        for process in self._processes:
            with process:
                pass

    def _start(self, kind: str, *args: str, patch: str = "") -> subprocess.Popen[str]:
        program = f"import sys; {patch or 'pass'}\nfrom distributed.cli.dask_{kind} import main; main()"
        command = [sys.executable, "-c", program, *args, "--host", "127.0.0.1"]
        command += ["--dashboard-address", "127.0.0.1:0"]  # --no-dashboard would take port 8787, too
        process = subprocess.Popen(
            command, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._processes.append(process)
        return process

    def _said(self, process: subprocess.Popen[str], what: str) -> str:
        """Wait for a line, and let the others go by from then on."""
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if what in line:
                threading.Thread(target=process.stderr.read, name="asyncio_dask-log", daemon=True).start()
                return line
        raise AssertionError("".join(lines))


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """The file with its last byte changed."""
    content = path.read_bytes()
    path.write_bytes(content[:-2] + b"!" + content[-1:])
    yield
    path.write_bytes(content)


def marker_values(job: Path, shard: int) -> dict[str, Any]:
    """The marker of a shard."""
    values: dict[str, Any] = json.loads((job / f"done/{shard:05d}.json").read_bytes())
    return values
