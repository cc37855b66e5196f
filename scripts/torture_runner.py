"""Runs of fetchq in which calls to the operating system fail.

faults.c is preloaded into a process that has everything imported, and forks for each run.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

KINDS = ("write", "sync", "rename", "open", "read", "other", "short")
"""As faults.c numbers them, from 1."""
PRELOADED = (
    *(
        "cli.drive",
        "cli.durable",
        "cli.fetch",
        "cli.options",
        "cli.resume",
        "cli.retry",
        "cli.screen",
        "engines.aiohttp.engine",
    ),
    *("engines.requests.engine", "workers.async_pool", "workers.thread_pool", "workers.run", "store.session"),
    *("store.sinks.bodies_files", "reports.summary", "reports.text"),
)
HANG = 60
"""Seconds after which a run hangs."""


class Ended(NamedTuple):
    """How a run ended."""

    status: int
    said: str
    calls: int
    """Those that were of the kind that was to fail."""


def library(folder: Path) -> Path:
    """faults.c, compiled. Raises OSError where there is no gcc."""
    path = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", path, source, "-ldl"], check=True)
    return path


class Runner:
    """Runs fetchq in processes whose calls can be made to fail."""

    def __init__(self, faults: Path) -> None:
        # Preloaded by name: what a library takes over is decided when a process starts.
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(faults)],
            env={**os.environ, "LD_PRELOAD": str(faults)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, below: Path, fault: Sequence[Any] = (), stdin: str = os.devnull) -> Ended:
        """One run; `fault` is the kind, which call, the error's name, and whether it goes on."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        job = {"arguments": arguments, "below": str(below), "fault": fault, "said": f"{below}.said", "stdin": stdin}
        print(json.dumps(job), file=self._process.stdin, flush=True)
        status, calls = json.loads(self._process.stdout.readline())
        return Ended(status, Path(job["said"]).read_text(), calls)

    def close(self) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


def serve(faults: str) -> None:
    """A line of JSON for each run; forks, and answers with its status and how many calls there were."""
    for module in PRELOADED:
        import_module(f"fetchq.{module}")
    from fetchq import pipeline
    from fetchq.store.sinks import bodies_parquet, bodies_warc

    # Several commits, archives and parts, small as the run is.
    assert pipeline.DURABLE_LINGER > 0.03
    pipeline.DURABLE_LINGER = 0.03
    bodies_warc.FILE_SIZE = 100_000
    bodies_parquet.PART_ROWS = 5
    shared = mmap.mmap(-1, mmap.PAGESIZE)
    counter = ctypes.c_long.from_buffer(shared)
    arm = ctypes.CDLL(faults).faults_arm
    for line in sys.stdin:
        job = json.loads(line)
        counter.value = 0
        child = os.fork()
        if not child:
            _become(job, arm, counter)  # returns to nobody
        _, status = os.waitpid(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), counter.value]), flush=True)


def _become(job: dict[str, Any], arm: Any, counter: ctypes.c_long) -> None:
    from fetchq.cli import main

    said = os.open(job["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    nothing = os.open(os.devnull, os.O_RDWR)
    for ours, theirs in ((os.open(job["stdin"], os.O_RDONLY), 0), (nothing, 1), (said, 2)):
        os.dup2(ours, theirs)
    signal.alarm(HANG)
    if job["fault"]:
        kind, at, error, forever = job["fault"]
        number = getattr(errno, error)
        arm(os.fsencode(job["below"]), KINDS.index(kind) + 1, ctypes.c_long(at), number, forever, ctypes.byref(counter))
    main(job["arguments"])


if __name__ == "__main__":
    serve(sys.argv[1])
