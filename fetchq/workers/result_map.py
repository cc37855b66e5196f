"""Calls a function of the user's with each Result of a run, several at a time, beside the event loop or in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any

from fetchq.core.model import Cause
from fetchq.core.text import one_line

if TYPE_CHECKING:
    from fetchq.core.model import Result
    from fetchq.inputs.iterables import Row

__all__ = ["ResultMap"]


class ResultMap:
    """The function, and the values that it has returned and nobody has taken yet. It is iterated once."""

    def __init__(
        self,
        function: Callable[[Result], Any],
        *,
        at_once: int,
        executor: Executor | None,
        window: int | None,
        raises: bool,
    ) -> None:
        """`at_once`: the calls of `function` at a time. `executor`: where a plain function runs, else in threads.

        `window`: rows that may be under way behind the one whose value comes next, so that values come in order; None
        for the order in which they finish. `raises`: whether an exception of `function` ends the iteration.
        """
        self._function = function
        self._in_loop = iscoroutinefunction(function)
        self._at_once = at_once
        self._own = None if executor is not None or self._in_loop else ThreadPoolExecutor(at_once, "fetchq-parse")
        self._executor = executor if self._own is None else self._own
        self._window = window
        self._raises = raises
        self._next = 0
        """The index of the row whose value comes next."""
        self._moved = asyncio.Event()
        self._slots = asyncio.Semaphore(2 * at_once)
        """The room for values that nobody has taken yet, where they need not come in order."""
        self._values: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        """The values with the indexes of their rows; -1 when a task ends, with its exception or None."""

    async def rows(self, urls: Iterable[Row] | AsyncIterable[Row]) -> AsyncGenerator[Row]:
        """The rows of `urls`, each when it is in the window."""
        index = 0
        async for row in _each(urls):
            while self._window is not None and index >= self._next + self._window:
                self._moved.clear()
                await self._moved.wait()
            yield row
            index += 1

    async def values(self, results: AsyncIterator[Result]) -> AsyncGenerator[Any]:
        """The values of the function for these Results. Raises what the function or the iterator raises."""
        turn = asyncio.Lock()
        tasks = [asyncio.create_task(self._work(results, turn), name="fetchq-parse") for _ in range(self._at_once)]
        try:
            early: dict[int, Any] = {}
            working = len(tasks)
            while working:
                index, value = await self._values.get()
                if index < 0:
                    if value is not None:
                        raise value
                    working -= 1
                elif self._window is None:
                    yield value
                    self._slots.release()
                else:
                    early[index] = value
                    while self._next in early:
                        value = early.pop(self._next)
                        self._next += 1
                        self._moved.set()
                        yield value
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if self._own is not None:  # a function that still runs cannot be interrupted
                await asyncio.to_thread(self._own.shutdown, cancel_futures=True)

    async def _work(self, results: AsyncIterator[Result], turn: asyncio.Lock) -> None:
        """Call the function with one Result after the other."""
        problem: BaseException | None = None
        try:
            while True:
                if self._window is None:
                    await self._slots.acquire()
                async with turn:
                    result = await anext(results, None)
                if result is None:
                    break
                self._values.put_nowait((result.index, await self._value(result)))
        except BaseException as raised:  # noqa: BLE001  # raised where the values are iterated
            problem = raised
        self._values.put_nowait((-1, problem))

    async def _value(self, result: Result) -> Any:
        try:
            if self._in_loop:
                return await self._function(result)
            value = await asyncio.get_running_loop().run_in_executor(self._executor, _called, self._function, result)
            return await value if isawaitable(value) else value
        except asyncio.CancelledError as problem:
            if (task := asyncio.current_task()) is not None and not task.cancelling():
                raise RuntimeError("the function was cancelled") from problem
            raise
        except Exception as problem:
            if self._raises:
                raise
            error = one_line(f"{type(problem).__name__}: {problem}")
            return replace(result, ok=False, cause=Cause.CALLBACK, error=error)


def _called(function: Callable[[Result], Any], result: Result) -> Any:
    """Call the function. Of Python 3.11, a future never ends that a StopIteration is to be set on."""
    try:
        return function(result)
    except StopIteration as problem:  # of a `next` that finds nothing
        raise RuntimeError("the function raised StopIteration") from problem


async def _each(urls: Iterable[Row] | AsyncIterable[Row]) -> AsyncGenerator[Row]:
    if isinstance(urls, AsyncIterable):
        async for row in urls:
            yield row
    else:
        for row in urls:
            yield row
