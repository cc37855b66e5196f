"""Computes the verdict on a run from its attribution, by rules. The first rule that holds gives the verdict.

A share is that of the time for which workers had work or waited for some: workers x duration, without `finished` and
`turn`. How the predicted time is computed, and up to which number more workers help: see `fetchq.reports.estimate`.

| condition | bottleneck | what is predicted |
|---|---|---|
| no URL was requested, or the run took less than 0.1 s | unknown | |
| functions of the program blocked the event loop for 25 % of the run; `on_start` took a share of 25 %, or 25 % of the run while `lag` had a share of 25 % and the CPU was free | callback | the run without them |
| the process used 85 % of a core | cpu | a process for each core; in mode `threads` none, as `async` needs less CPU |
| `held`, `input`, or `output` with `store` is the greatest of the three, with a share of 20 % | by the limit (see below); input; store with `output`, else output | held: twice the limit; others: the run without the wait |
| no more rows than workers (unknown if rows were cancelled, or the run was ended early; retries if most timed out); or one row took 70 % of the run while workers had no row left for half of their time | none; slow_url | |
| mode `sync`, and the network phases have a share of 50 % | sync | mode `async` |
| `lag`, `own` and `decode` have a share of 50 % | cpu; unknown if the process used less than 60 % of a core | as above |
| rows that failed took half of the time of all rows | retries | |
| `dns`, `connect` or `tls` is the greatest phase, with a share of 35 % | dns, connect, tls | more workers |
| `receive` is the greatest phase, with a share of 35 % | bandwidth | |
| one of several hosts took half of the time, at three times the mean of the others | slow_host | more workers |
| `wait` and the other network phases have a share of 50 % | workers; if more would not help, what bounds the run then | more workers |
| none of these | unknown | |

| the limit that held the workers longest | bottleneck |
|---|---|
| `per_host`, `rate`, `host_interval`, `limit_rate` | the same |
| `back_off`, `retry_after` | back_off |
| `outage` | outage |
| `retry_wait` | retries |
| `robots` | robots |
| `address` | dns |
| `first_answer` | slow_host |
| `connections` | connections |

Nothing is predicted for a run of which rows were cancelled, or that was ended early, nor where it would save less than a tenth of the time.
"""  # noqa: E501  # the rows of a table

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fetchq.reports.diagnosis_held import verdict_of_held
from fetchq.reports.diagnosis_machine import verdict_of_callback, verdict_of_cpu, verdict_of_idle
from fetchq.reports.diagnosis_network import verdict_of_failed, verdict_of_network
from fetchq.reports.run_facts import RunFacts
from fetchq.reports.text import count_text, seconds_text
from fetchq.reports.verdict import Bottleneck

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.reports.summary import Summary
    from fetchq.reports.verdict import Verdict

__all__ = ["verdict_of"]

_SHORT = 0.1
"""A run of fewer seconds is mostly its start."""
_IDLE = 0.2
"""The share from which a reason for which workers are idle is the bottleneck."""
_BLOCKED = 0.25
_BUSY = 0.85
_HALF = 0.5
_ONE_ROW = 0.7


def verdict_of(
    summary: Summary, settings: Settings, *, cores: int = 1, whole: bool = True, remark: str | None = None
) -> Verdict | None:
    """What limited a run that has ended; None if it has no attribution, or no row was done.

    `cores`: how many the process may use. `whole`: False if the run was stopped, or ended by an error. `remark`: a
    sentence that follows that of the verdict.
    """
    found = _verdict_of(summary, settings, cores, whole=whole)
    return found if found is None or remark is None else replace(found, text=f"{found.text} {remark}")


def _verdict_of(summary: Summary, settings: Settings, cores: int, *, whole: bool) -> Verdict | None:
    attribution = summary.attribution
    if attribution is None or not summary.total:
        return None
    facts = RunFacts(summary, attribution, settings, cores, whole=whole)
    if not summary.attempts or not attribution.total:
        return facts.verdict(Bottleneck.UNKNOWN, "No URL was requested, so there is nothing to tell about a limit.")
    if attribution.duration < _SHORT:
        took = seconds_text(attribution.duration)
        return facts.verdict(
            Bottleneck.UNKNOWN, f"The run took only {took}, which is too short to tell what limited it."
        )
    if _is_blocked(facts):
        return verdict_of_callback(facts)
    if facts.core_share >= _BUSY:
        return verdict_of_cpu(facts)
    return _of_idle(facts) or _of_last_rows(facts) or verdict_of_network(facts)


def _is_blocked(facts: RunFacts) -> bool:
    """Whether the program's own code held the run up."""
    attribution = facts.attribution
    if sum(one.seconds for one in attribution.blocked) >= _BLOCKED * attribution.duration:
        return True
    return facts.on_start_blocks or facts.share_of_active(attribution.callback) >= _BLOCKED


def _of_idle(facts: RunFacts) -> Verdict | None:
    """The verdict on a run whose workers waited for something else than the network."""
    attribution = facts.attribution
    written = attribution.output + attribution.store
    greatest = max(attribution.held_total, attribution.input, written)
    if facts.share_of_active(greatest) < _IDLE:
        return None
    return verdict_of_held(facts) if greatest == attribution.held_total else verdict_of_idle(facts)


def _of_last_rows(facts: RunFacts) -> Verdict | None:
    """The verdict on a run that took as long as its longest row."""
    attribution, rows, longest = facts.attribution, facts.summary.elapsed.count, facts.estimate.longest
    slowest = f"{seconds_text(longest)} of the {seconds_text(attribution.duration)}"
    if rows <= facts.estimate.plan.workers:
        if not facts.final:
            text = f"The run was ended after {seconds_text(attribution.duration)}, too early to tell what limited it."
            return facts.verdict(Bottleneck.UNKNOWN, text)
        if facts.failed_most and facts.timed_out:
            return verdict_of_failed(facts)
        if rows == 1:
            return facts.verdict(Bottleneck.NONE, f"Nothing limited the run: its one URL took {slowest}.")
        text = f"Nothing limited the run: all {count_text(rows, 'URL')} were fetched at once"
        return facts.verdict(Bottleneck.NONE, f"{text}, and the slowest took {slowest}.")
    if longest >= _ONE_ROW * attribution.duration and attribution.finished >= _HALF * attribution.total:
        text = f"The slowest URL took {slowest}, and for most of that time the other workers had no URL left."
        return facts.verdict(Bottleneck.SLOW_URL, text, attribution.finished)
    return None
