"""What an engine is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetchq.core.model import Request
    from fetchq.http.attempt import Attempt
    from fetchq.http.range_resume import Partial
    from fetchq.http.url import Target

__all__ = ["AsyncEngine", "BlockingEngine"]


class AsyncEngine(Protocol):
    """Serves all workers of a run from one event loop."""

    async def attempt(
        self,
        request: Request,
        target: Target,
        partial: Partial | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Attempt:
        """One attempt, finished: what went wrong on the network is in it, not raised. Cancellation is raised.

        `partial`: what the request's last attempt has left, to go on with. It belongs to this one now. `on_sent` is
        called when the request, its head at least, goes out for the first time.
        """

    async def address_of(self, host: str) -> str | None:
        """The address that `host`, such as `http://example.org`, is dialled at; None where nobody here knows it."""

    def abort(self) -> None:
        """End all attempts under way; they fail with `cancelled`. No more are begun after this."""

    async def close(self) -> None: ...


class BlockingEngine(Protocol):
    """Serves one worker, in one thread."""

    def attempt(
        self,
        request: Request,
        target: Target,
        partial: Partial | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Attempt:
        """One attempt, finished: what went wrong on the network is in it, not raised. The rest is as above."""

    def address_of(self, host: str) -> str | None:
        """As above."""

    def abort(self) -> None:
        """From any thread: end the attempt under way; it fails with `cancelled`. No more are begun after this."""

    def close(self) -> None: ...
