"""Defines the protocols of engines: one for an event loop, and one for a worker's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetchq.core.model import Request
    from fetchq.http.attempt import Attempt
    from fetchq.http.range_resume import Partial
    from fetchq.http.target import Target

__all__ = ["AsyncEngine", "BlockingEngine"]


class AsyncEngine(Protocol):
    """An engine that serves all workers of a run, in one event loop."""

    cancelled: list[Attempt]
    """The attempts that were under way when their tasks were cancelled, so that they were not returned."""

    async def attempt(
        self,
        request: Request,
        target: Target,
        partial: Partial | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Attempt:
        """Make one attempt, redirects included. Returns it finished: it contains a failure, which is not raised.

        `partial`: the part of a body that the request's last attempt received; the new attempt owns it. `on_sent` is
        called when the request, or at least its head, is sent for the first time. Raises CancelledError, and bugs.
        """

    async def address_of(self, host: str) -> str | None:
        """The IP address that stands for `host`, such as `http://example.org` (see `first_address`).

        None if the name has no address, or if a proxy resolves it.
        """

    def abort(self) -> None:
        """End all attempts under way, which fail with `cancelled`. No attempt may begin afterwards."""

    def cancel(self, unwanted: Callable[[Request], bool]) -> None:
        """End the attempts under way at requests that are `unwanted`, which fail with `cancelled`.

        It is always the same function, and says the same of a request from then on.
        """

    async def close(self) -> None:
        """Close all connections. No attempt may be under way."""


class BlockingEngine(Protocol):
    """An engine that serves one worker, in one thread."""

    def attempt(
        self,
        request: Request,
        target: Target,
        partial: Partial | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> Attempt:
        """Make one attempt, as in `AsyncEngine.attempt`."""

    def address_of(self, host: str) -> str | None:
        """The IP address that stands for `host`, as in `AsyncEngine.address_of`."""

    def abort(self) -> None:
        """End the attempt under way, which fails with `cancelled`. May be called from any thread.

        No attempt may begin afterwards.
        """

    def close(self) -> None:
        """Close all connections. No attempt may be under way."""
