"""Makes the Summary of a run under way awaitable: `await run.summary` runs the run to its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any
from weakref import ref

__all__ = ["RestOfRun"]


class RestOfRun:
    """The Results that a run has still to yield. A copy of it, pickled or not, is None."""

    __slots__ = ("_results",)

    def __init__(self, results: AsyncGenerator[object]) -> None:
        # Weak, since Python ends a run that was left when nothing refers to its iterator any more.
        self._results = ref(results)

    def __await__(self) -> Generator[Any, Any, None]:
        return self._discard().__await__()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()

    async def _discard(self) -> None:
        results = self._results()
        if results is not None:
            async for _ in results:
                pass
