"""The protocols that an engine fulfils, one for the event loop and one for a worker's thread."""

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
    """Serves all workers of a run, in one event loop."""

    async def attempt(
        self,
        request: Request,
        target: Target,
        partial: Partial | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Attempt:
        """Make one attempt, redirects included. Returns it finished: a failure is in it, and not raised.

        `partial`: what the request's last attempt left to resume from; the new attempt owns it. `on_sent` is called
        when the request, or at least its head, goes out for the first time. Raises CancelledError, and bugs.
        """

    async def address_of(self, host: str) -> str | None:
        """The IP address by which `host`, such as `http://example.org`, is known.

        None where it cannot be resolved here: the name has no address, or its proxy resolves it.
        """

    def abort(self) -> None:
        """End all attempts under way; they fail with `cancelled`. No attempt is begun after this."""

    async def close(self) -> None:
        """Close all connections. No attempt is under way."""


class BlockingEngine(Protocol):
    """Serves one worker, in one thread."""

    def attempt(
        self,
        request: Request,
        target: Target,
        partial: Partial | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Attempt:
        """Make one attempt, as `AsyncEngine.attempt` does."""

    def address_of(self, host: str) -> str | None:
        """The IP address by which `host` is known, as `AsyncEngine.address_of` finds it."""

    def abort(self) -> None:
        """From any thread: end the attempt under way; it fails with `cancelled`. No attempt is begun after this."""

    def close(self) -> None:
        """Close all connections. No attempt is under way."""
