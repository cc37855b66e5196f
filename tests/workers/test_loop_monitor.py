"""Code of the user's that blocks the event loop is named; fetchq's own, and a library's, is not."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from support.leaks import nothing_left
from support.waiting import HUNG

import fetchq
from fetchq.workers.blocking_code import depth_of, running_user_code
from fetchq.workers.loop_monitor import LoopMonitor

HERE = Path(__file__).name
LONG = 0.4
"""Seconds for which the loop is blocked: for many looks, also on a busy machine."""
Compiled = Callable[[Callable[[], object]], object]


def slow_callback() -> None:
    time.sleep(LONG)


class Scraper:
    def parse(self) -> None:
        until = time.perf_counter() + LONG
        while time.perf_counter() < until:
            sum(range(1000))


async def _blocked_by(*work: Callable[[], object]) -> LoopMonitor:
    """The monitor, stopped, of a loop in which these functions ran."""
    monitor = LoopMonitor(lambda _: None)
    monitor.start()
    await asyncio.sleep(0.05)
    for one in work:
        asyncio.get_running_loop().call_soon(one)  # so that no function of this file is on the way to it
        await asyncio.sleep(0.03)
    monitor.stop()
    return monitor


def _library(path: str) -> Compiled:
    """A function in a file of that path, which calls what it is given."""
    scope: dict[str, Any] = {"__name__": "library"}
    exec(compile("def call(work):\n return work()", path, "exec"), scope)
    called: Compiled = scope["call"]
    return called


OWN = _library(str(Path(fetchq.__file__).parent / "workers" / "made_up.py"))
INSTALLED = _library(str(Path(pytest.__file__).parent / "made_up.py"))


async def test_a_function_of_the_user_that_blocks_is_named_with_its_file_and_line() -> None:
    monitor = await _blocked_by(slow_callback)
    (where, seconds), *others = monitor.blocked().items()
    line = slow_callback.__code__.co_firstlineno + 1
    assert where == f"slow_callback ({HERE}:{line})"
    assert not others
    assert seconds > LONG * 0.9
    assert monitor.longest_delay > LONG * 0.8
    assert monitor.delay(100) == monitor.longest_delay


async def test_a_method_is_named_with_its_class_also_while_it_computes() -> None:
    monitor = await _blocked_by(Scraper().parse)
    assert [re.sub(r":\d+", "", where) for where in monitor.blocked()] == [f"Scraper.parse ({HERE})"]


async def test_the_function_that_blocked_longest_comes_first() -> None:
    def short() -> None:
        time.sleep(LONG / 2)

    monitor = await _blocked_by(short, slow_callback, short, slow_callback)
    assert [where.split(" ")[0] for where in monitor.blocked()] == ["slow_callback", "short"]


async def test_a_callback_that_fetchq_calls_is_named_and_fetchq_is_not() -> None:
    monitor = await _blocked_by(partial(OWN, slow_callback), partial(OWN, partial(INSTALLED, slow_callback)))
    assert [where.split(" ")[0] for where in monitor.blocked()] == ["slow_callback"]


async def test_nobody_is_named_when_fetchq_itself_blocks() -> None:
    sleep = _sleeping_library()
    monitor = await _blocked_by(partial(OWN, sleep))
    assert monitor.blocked() == {}
    assert monitor.longest_delay > LONG * 0.8


def _sleeping_library() -> Callable[[], object]:
    scope: dict[str, Any] = {"__name__": "library", "sleep": time.sleep}
    code = compile(f"def wait():\n sleep({LONG})", str(Path(pytest.__file__).parent / "made_up.py"), "exec")
    exec(code, scope)
    waiting: Callable[[], object] = scope["wait"]
    return waiting


def test_the_code_that_runs_the_loop_is_not_what_blocks_it() -> None:
    """The main program is below every callback: it has called `asyncio.run`."""

    assert asyncio.run(_blocked_by(_sleeping_library())).blocked() == {}


@pytest.mark.parametrize(
    ("path", "module", "is_users"),
    [
        ("/home/me/scrape.py", "scrape", True),
        ("<stdin>", "__main__", True),
        ("<string>", "__main__", True),
        ("<string>", None, False),
        ("<frozen importlib._bootstrap>", "importlib._bootstrap", False),
        (asyncio.__file__, "asyncio", False),
        (pytest.__file__, "pytest", False),
    ],
)
def test_whose_code_it_is_depends_on_its_file(path: str, module: str | None, is_users: bool) -> None:
    scope: dict[str, Any] = {"__name__": module} if module else {}
    scope["frame"] = sys._getframe
    exec(compile("def work():\n return frame()", path, "exec"), scope)
    frame: FrameType = scope["work"]()
    assert (running_user_code(frame, depth_of(frame.f_back)) is not None) is is_users


def test_a_file_is_named_without_its_folder() -> None:
    code = SimpleNamespace(co_filename="/home/me/secret/scrape.py", co_qualname="main.<locals>.slow", co_firstlineno=3)
    frame: Any = SimpleNamespace(f_code=code, f_globals={"__name__": "scrape"}, f_back=None, f_lineno=7)
    found = running_user_code(frame, 0)
    assert found is not None
    assert (found[0].function, found[0].file, found[1]) == ("slow", "scrape.py", 7)


def test_the_thread_ends_with_the_monitor_and_with_a_loop_that_is_closed() -> None:
    with nothing_left():
        asyncio.run(_blocked_by())

    async def leave() -> None:
        LoopMonitor(lambda _: None).start()

    before = set(threading.enumerate())
    asyncio.run(leave())
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(HUNG)
        assert not thread.is_alive()


async def test_where_no_thread_can_be_started_the_loop_is_still_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    monitor = await _blocked_by(slow_callback)
    assert monitor.blocked() == {}
    assert monitor.longest_delay > LONG * 0.8
