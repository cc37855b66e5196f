"""Attempts at a robots.txt beside those at rows: how an engine begins either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.http.attempt import Attempt
from fetchq.http.body import Intake
from fetchq.http.failure import AttemptFailed
from fetchq.http.hops import HopPlan
from fetchq.http.robots_txt import LOOKED_AT, RobotsRequest, settings_for

if TYPE_CHECKING:
    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.http.proxies import Routes
    from fetchq.http.range_resume import Partial
    from fetchq.http.robots_txt import RobotsCache
    from fetchq.http.url import Target

__all__ = ["Plans"]


class Plans:
    """The two plans of a run, and which one a request follows."""

    def __init__(self, settings: Settings, routes: Routes, book: RobotsCache | None) -> None:
        self._settings = settings
        self._rows = HopPlan(settings, routes, book)
        self._robots_settings = None if book is None else settings_for(settings)
        self._robots = self._rows if self._robots_settings is None else HopPlan(self._robots_settings, routes)

    def begin(self, request: Request, target: Target, partial: Partial | None) -> tuple[Attempt, HopPlan]:
        """The attempt at a request, and the plan of its hops."""
        if self._robots_settings is not None and isinstance(request, RobotsRequest):
            return _RobotsAttempt(self._robots_settings, self._robots, request, target), self._robots
        return Attempt(self._settings, self._rows, request, target, partial), self._rows


class _Beginning(Intake):
    """The beginning of a body, in memory, as far as a robots.txt counts."""

    __slots__ = ()

    def check_length(self, length: int, *, coded: bool) -> None:
        """However long it is, it begins somewhere."""

    def _take(self, piece: bytes) -> None:
        self._pieces.append(piece[: LOOKED_AT - self.size])
        self.size += len(self._pieces[-1])
        if self.size == LOOKED_AT:
            raise AttemptFailed(Cause.TOO_LARGE, "the rest does not count")

    @property
    def beginning(self) -> bytes | None:
        """What there is, where that is enough."""
        return b"".join(self._pieces) if self.size == LOOKED_AT else None


class _RobotsAttempt(Attempt):
    """It is over when enough of the body is there."""

    __slots__ = ()
    takes = _Beginning

    def finish(self, failed: AttemptFailed | None) -> None:
        if isinstance(self.intake, _Beginning) and (beginning := self.intake.beginning) is not None:
            self.body = beginning
            accepted = self.status in self.settings.accept
            failed = None if accepted else AttemptFailed(Cause.STATUS, f"{self.status} {self.reason or ''}".rstrip())
        super().finish(failed)
