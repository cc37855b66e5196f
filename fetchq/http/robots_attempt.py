"""Adapts attempts to robots.txt files, of which only the beginning is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.core.model import Cause
from fetchq.http.body import ReceivedBody
from fetchq.http.failure import AttemptFailed
from fetchq.http.hops import HopPlan
from fetchq.http.robots_txt import MAX_SIZE, settings_for

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.http.lost_time import LostTime
    from fetchq.http.proxies import ProxyConfig

__all__ = ["robots_plan"]


def robots_plan(settings: Settings, proxies: ProxyConfig, lost_time: LostTime) -> HopPlan:
    """The plan for fetching the robots.txt files of a run with these settings. `lost_time`: that of the run."""
    return HopPlan(settings_for(settings), proxies, body_class=_RobotsBody, lost_time=lost_time)


class _RobotsBody(ReceivedBody):
    """Receives as much of a body as counts in a robots.txt; an attempt that is cut off there counts as a success."""

    __slots__ = ()

    def __init__(self, settings: Settings, *, stores: bool) -> None:
        super().__init__(settings, stores=stores)
        self._max_size = MAX_SIZE

    def check_length(self, length: int, *, coded: bool) -> None:
        """Accept a body of any length, since only its beginning is read."""

    def _check_size(self) -> None:
        if self.size > self._max_size:
            if self._kept is not None:
                self.content, self._kept = self._kept.take()[: self._max_size], None
            self.truncated = True
            raise AttemptFailed(Cause.TOO_LARGE, "the rest does not count")
