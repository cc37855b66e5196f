"""What the rules of a verdict look at, and the words that their sentences share."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from fetchq.core.text import one_line
from fetchq.reports.estimate import Estimate
from fetchq.reports.text import percent_text, seconds_text
from fetchq.reports.verdict import Verdict

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.reports.attribution import Attribution
    from fetchq.reports.estimate import Plan
    from fetchq.reports.summary import Summary
    from fetchq.reports.verdict import Bottleneck

__all__ = ["RunFacts", "about"]

_MUCH = 0.25
_HALF = 0.5
_BUSY = 0.85
"""From this share of a core on, the CPU is the reason for which the event loop is late."""
_WORTH_IT = 0.9
"""Settings are recommended only if they shorten the run to this share of its time."""


class RunFacts:
    """The numbers of a run that has ended, with what follows from them."""

    def __init__(
        self, summary: Summary, attribution: Attribution, settings: Settings, cores: int, *, whole: bool
    ) -> None:
        self.summary = summary
        self.attribution = attribution
        self.settings = settings
        self.cores = cores
        """CPU cores that the process may use."""
        self.parts = attribution.parts()
        self.estimate = Estimate(summary, attribution, settings)
        self.active = max(attribution.total - attribution.finished - attribution.turn, 1e-9)
        """Seconds for which workers had work, or waited for some, summed over the workers."""
        self.core_share = min(1.0, (attribution.busiest_cpu or attribution.cpu) / max(attribution.duration, 1e-9))
        """The share of a core that the process used, or the busiest one of several."""
        self.final = whole and not summary.unfinished
        """Whether every row was done, so that another run would do the same work."""

    @property
    def on_start_blocks(self) -> bool:
        """Whether `on_start` makes the event loop late: it costs its own worker little, and the others much."""
        attribution = self.attribution
        late = self.share_of_active(attribution.lag) >= _MUCH and self.core_share < _BUSY
        return late and attribution.callback >= _MUCH * attribution.duration

    @property
    def failed_most(self) -> bool:
        """Whether rows that failed took half of the time of all rows."""
        return self.summary.failed_time >= _HALF * self.summary.fetch_time > 0

    @property
    def timed_out(self) -> bool:
        """Whether half of the rows that failed timed out."""
        return self.summary.causes["timeout"] >= _HALF * self.summary.failed > 0

    def share_of_active(self, seconds: float) -> float:
        """These seconds as a share of `active`."""
        return seconds / self.active

    def verdict(
        self,
        bottleneck: Bottleneck,
        text: str,
        seconds: float = 0.0,
        *,
        subject: str | None = None,
        advice: dict[str, str] | None = None,
        predicted: float | None = None,
    ) -> Verdict:
        """A verdict about this run; `seconds`: the workers' time that the bottleneck took."""
        share = min(1.0, max(0.0, seconds / self.attribution.total)) if self.attribution.total else 0.0
        return Verdict(bottleneck, one_line(text), share, subject, advice, predicted)

    def share_text(self, seconds: float) -> str:
        """For which share of the workers' time: `71 % of the workers' time`."""
        return f"{percent_text(seconds / max(self.attribution.total, 1e-9))} of the workers' time"

    def faster(self, plan: Plan, *, without: float = 0.0) -> float | None:
        """Seconds that the run would take so, if that is worth it and every row was done; else None."""
        seconds = self.estimate.seconds(plan, without=without)
        return seconds if self.final and seconds <= _WORTH_IT * self.attribution.duration else None

    def more_workers(self) -> tuple[int, float | None] | None:
        """How many workers would help, and the seconds that the run would take with them; None if more would not."""
        plan = self.estimate.plan
        workers = self.estimate.useful_workers(plan)
        seconds = self.estimate.seconds(plan._replace(workers=workers))
        if seconds > _WORTH_IT * self.attribution.duration:
            return None
        return workers, seconds if self.final else None

    def enough_workers(self) -> int:
        """How many workers can have done the same in the same time: those that were busy at a time."""
        attribution = self.attribution
        busy = attribution.total - attribution.held_total - attribution.finished - attribution.input - attribution.turn
        most = self.estimate.plan.per_host * len(self.summary.loads)
        return max(1, ceil(min(busy / max(attribution.duration, 1e-9) + 0.1, most)))

    def only_host(self) -> str | None:
        """The host, if the run had only one."""
        return self.summary.loads[0].host if len(self.summary.loads) == 1 else None


def about(seconds: float) -> str:
    """A time that was estimated: `about 1.7 s`."""
    if seconds < 1:
        return f"about {seconds_text(seconds)}"
    return f"about {seconds:.1f} s" if seconds < 9.95 else f"about {float(f'{seconds:.2g}'):.0f} s"
