"""Many requests for a long time, most of them for faults: `scripts/torture` says how."""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import random
import re
import sys
import threading
import time
import warnings
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count, islice
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import uvloop
from faults.corpus import GOOD
from faults.server import FAULTS, Asked, FaultServer

from fetchq import Request, Result, fetch_iter

WORKERS = 200
RATE = 200_000 / 600
"""Requests a second."""
ORIGINS = 4
EVERY = 3
"""One row in so many is an innocent one."""
SEED = int(os.environ.get("SEED", time.time_ns()))
MOST = 1.05
"""How much more of anything there may be in the last tenth of the time than in the first."""
WARM = 45.0
"""Seconds that the longest rows take, after which they end as often as they begin."""
_BETWEEN = 0.25
"""Seconds between two samples."""
_FIGURES = {
    "timeout": 20.0,
    "connect_timeout": 5.0,
    "read_timeout": 5.0,
    "min_speed": 100,
    "min_speed_time": 5.0,
    "max_filesize": 250_000,
}
"""Settings of all rows, with which most faults show soon, and a busy machine makes none."""


class Sample(NamedTuple):
    """What the process has at a moment."""

    second: float
    descriptors: int
    tasks: int
    threads: int
    memory: float
    """MB resident."""


def sample(began: float, tasks: int = 0) -> Sample:
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    second = time.perf_counter() - began
    return Sample(second, len(os.listdir("/proc/self/fd")), tasks, threading.active_count(), memory)


# --- the servers, in a process of their own -----------------------------------------------------------------------


class _Nothing(list[Asked]):
    """A log that keeps nothing: it would grow for as long as the soak goes on."""

    def append(self, _: Asked) -> None:
        pass


def _serve(pipe: Pipe) -> None:
    servers = [FaultServer() for _ in range(ORIGINS)]
    for server in servers:
        server.log = _Nothing()
    pipe.send([server.url for server in servers])
    with suppress(EOFError):  # the other process has ended
        pipe.recv()
    for server in servers:
        server.close()


@contextmanager
def origins() -> Iterator[list[str]]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join(10)
        process.kill()


# --- the rows -----------------------------------------------------------------------------------------------------


ANSWERS = [*FAULTS, *GOOD]


def _drawn(chance: random.Random) -> Iterator[int]:
    """An innocent row (-1), then faults, again and again. All faults are drawn before one comes again.

    So there are about as many slow ones under way at any time, and what grows can be told from chance.
    """
    deck: list[int] = []
    for row in count():
        if row % EVERY == 0:
            yield -1
            continue
        deck = deck or chance.sample(range(len(ANSWERS)), len(ANSWERS))
        yield deck.pop()


class Soak:
    """One run, and what came of it. What it keeps of each row is there before the first one, and does not grow."""

    def __init__(self, mode: str, seconds: float, chance: random.Random) -> None:
        self.mode = mode
        number = int(seconds * RATE)
        self.plan = array("h", islice(_drawn(chance), number))
        """The fault of each row; -1 for an innocent one."""
        self.records = bytearray(number)
        """How many each row has."""
        self.causes: Counter[str] = Counter()
        self.longest = (0.0, "")
        """Seconds of all attempts of a row, and its URL."""
        self.ended = 0.0
        """The second in which nearly all had a record."""
        self.samples: list[Sample] = []
        self.complaints: list[str] = []

    async def run(self, origins: list[str]) -> None:
        began = time.perf_counter()
        asyncio.get_running_loop().set_exception_handler(lambda _, said: self.complaints.append(f"the loop: {said}"))
        looks = asyncio.create_task(self._look(began))
        most = {"workers": WORKERS, "rate": RATE, "lookahead": 1000}
        settings: dict[str, Any] = {**_FIGURES, **most, "retries": 1, "retry_wait": 0.01, "adapt": False}
        async with fetch_iter(self._rows(origins), mode=self.mode, **settings) as results:
            async for result in results:
                self._judge(result)
                if self.causes.total() == int(len(self.plan) * 0.99):  # the rest is what takes long
                    self.ended = time.perf_counter() - began
        looks.cancel()
        await asyncio.wait([looks])

    def _rows(self, origins: list[str]) -> Iterator[Request]:
        for row, number in enumerate(self.plan):
            yield request_for(number, row, origins[row % len(origins)])

    def _judge(self, result: Result) -> None:
        row = result.index
        self.records[row] = min(self.records[row] + 1, 255)
        self.causes[result.cause or "ok"] += 1
        self.longest = max(self.longest, (result.elapsed, result.url))
        if (number := self.plan[row]) < 0:
            if not result.ok or result.headers["X-N"] != str(row):
                self.complaints.append(f"an innocent row: {result.cause}, {result.error}")
            return
        fault = ANSWERS[number]
        judged = fault.theme != "time" and set(fault.settings) <= set(_FIGURES)
        if judged and result.cause not in fault.allowed:
            self.complaints.append(f"{fault.name}: {result.cause} ({result.error}), not {fault.demanded}")

    async def _look(self, began: float) -> None:
        while True:
            self.samples.append(sample(began, len(asyncio.all_tasks())))
            await asyncio.sleep(_BETWEEN)

    def problems(self) -> Iterator[str]:
        """What is wrong, a line each; prints the figures on the way."""
        once = self.records.count(1)
        if once != len(self.records):
            yield f"{len(self.records) - once} rows without exactly one record"
        for name, (first, last) in self._figures().items():
            print(f"  {name:12} {first:8.1f} {last:8.1f}  {last / first - 1:+.1%}")
            if last > first * MOST:
                yield f"{name} grew by {last / first - 1:.1%}"
        for complaint, number in Counter(self.complaints).most_common(20):
            yield f"{number} x {complaint}"

    def _figures(self) -> dict[str, tuple[float, float]]:
        """Of each figure the mean of a tenth of the time, after some to warm up, and that of the last tenth."""
        tenth, end = self.ended / 10, self.ended
        begin = max(tenth, min(WARM, 0.7 * end))
        first = [one for one in self.samples if begin <= one.second < begin + tenth]
        last = [one for one in self.samples if end - tenth <= one.second < end]
        return {
            name: (fmean(getattr(one, name) for one in first), fmean(getattr(one, name) for one in last))
            for name in Sample._fields[1:]
        }


def request_for(number: int, row: int, origin: str) -> Request:
    if number < 0:
        return Request(f"{origin}/ok?n={row}")
    fault = ANSWERS[number]
    # Bombs of a few MB are bombs as well, where 250 kB are allowed, and keep the server less busy.
    query = re.sub(r"\bmb=\d+", "mb=3", fault.query)
    url = f"{origin}/fault/{fault.name}?{query}&row={row}"
    return Request(url, method=fault.method, body=b"a=1" if fault.method == "POST" else None)


# --- all of it ----------------------------------------------------------------------------------------------------


class _Heard(logging.Handler):
    """What is logged as a warning, raised where nobody catches it, or thrown away by the interpreter."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    def listen(self) -> None:
        logging.getLogger().addHandler(self)
        sys.unraisablehook = lambda found: self.said.append(f"{found.err_msg} {found.object!r}: {found.exc_value!r}")
        threading.excepthook = lambda found: self.said.append(f"in {found.thread}: {found.exc_value!r}")
        warnings.simplefilter("error", ResourceWarning)  # a destructor raises it, and the hook above hears of it
        warnings.showwarning = lambda message, *_, **__: self.said.append(str(message))


def soak(mode: str, loop: Callable[[], asyncio.AbstractEventLoop], seconds: float, heard: _Heard) -> bool:
    """Whether all was well. Prints what was found."""
    run = Soak(mode, seconds, random.Random(SEED))
    began = time.perf_counter()
    with origins() as urls, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(Soak(mode, 0.5, random.Random(SEED)).run(urls))  # libraries keep what they open the first time
        before = sample(began)
        runner.run(run.run(urls))
        gc.collect()
        after = sample(began)
    print(f"mode {mode}, {loop.__module__}: {len(run.records):,} rows of {WORKERS} workers in {after.second:.0f} s")
    print("  the longest row: {:.1f} s, {}".format(*run.longest))
    print(f"  {'':12} {'first':>8} {'last':>8}")
    problems = [*run.problems(), *heard.said]
    heard.said.clear()
    for name in ("descriptors", "threads"):
        more = getattr(after, name) - getattr(before, name)
        problems += [f"{more} {name} are left"] * (more > 0)
    print("  " + ", ".join(f"{cause} {number:,}" for cause, number in run.causes.most_common()))
    for problem in problems:
        print(f"  WRONG: {problem}")
    print("  all well" if not problems else f"  {len(problems)} problems", flush=True)
    return not problems


def main(arguments: list[str]) -> int:
    seconds = float(arguments[0]) if arguments else 600.0
    heard = _Heard()
    heard.listen()
    return (
        0
        if all(
            [
                soak("async", uvloop.new_event_loop, seconds, heard),
                soak("async", asyncio.new_event_loop, seconds / 5, heard),
                soak("threads", asyncio.new_event_loop, seconds / 5, heard),
            ]
        )
        else 1
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
