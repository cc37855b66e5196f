"""The rules for a run that its own machine or its surroundings limited: CPU, callbacks, input and output."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from fetchq.core.text import one_line
from fetchq.reports.run_facts import about
from fetchq.reports.text import percent_text
from fetchq.reports.verdict import Bottleneck

if TYPE_CHECKING:
    from fetchq.reports.run_facts import RunFacts
    from fetchq.reports.verdict import Verdict

__all__ = ["verdict_of_callback", "verdict_of_cpu", "verdict_of_idle"]

_LAZY = 0.6
"""A process that used a smaller share of a core, and yet was late, was not itself what it waited for."""


def verdict_of_callback(facts: RunFacts) -> Verdict:
    """The verdict on a run that the program's own code held up."""
    attribution = facts.attribution
    blocked = sum(one.seconds for one in attribution.blocked)
    waited = attribution.callback / (1 if facts.on_start_blocks else attribution.workers)
    if blocked >= waited and attribution.blocked:
        where = attribution.blocked[0].where
        share, seconds = min(1.0, blocked / attribution.duration), blocked * attribution.workers
        text = f"{one_line(where)} blocked the event loop for {percent_text(share)} of the time"
        remedy = "without that (in a thread, say)"
    else:
        where, seconds, blocked = "on_start", attribution.callback, waited
        text, remedy = f"on_start took {facts.share_text(seconds)}", "without it"
    without = facts.faster(facts.estimate.plan, without=blocked)
    text += "." if without is None else f"; {remedy}, the run would take {about(without)}."
    return facts.verdict(Bottleneck.CALLBACK, text, seconds, subject=where, predicted=without)


def verdict_of_cpu(facts: RunFacts) -> Verdict:
    """The verdict on a run that waited for the CPU."""
    attribution, settings = facts.attribution, facts.settings
    seconds = attribution.lag + attribution.own + attribution.decode
    busy = percent_text(facts.core_share)
    if facts.core_share < _LAZY:
        text = f"The CPU was late for {facts.share_text(seconds)}, though fetchq used only {busy} of one core"
        text += ": other programs used it, or a callback blocked it for moments."
        return facts.verdict(Bottleneck.UNKNOWN, text, seconds)
    decoding = min(1.0, attribution.decode / max(attribution.cpu, 1e-9))
    work = f", {percent_text(decoding)} of it to decode bodies," if decoding >= 0.3 else ""
    if settings.mode != "async":
        text = f"CPU: one core, which all threads share, was busy {busy} of the time{work}"
        if work:
            return facts.verdict(Bottleneck.CPU, f"{text.rstrip(',')}.", seconds)
        text += "; --mode async takes less CPU for each URL."
        return facts.verdict(Bottleneck.CPU, text, seconds, advice={"mode": "async"})
    enough = max(1, ceil(1.1 * facts.estimate.work / attribution.duration))
    which = f" of the busiest of {attribution.processes} processes" if attribution.processes > 1 else ""
    text = f"CPU: the event loop{which} was busy {busy} of the time{work}"
    text = f"{text.rstrip(',')}; --workers above {min(enough, settings.workers)} does not help"
    more = min(facts.cores, settings.workers)
    faster = facts.faster(facts.estimate.plan._replace(processes=more)) if more > settings.processes else None
    if faster is None:
        return facts.verdict(Bottleneck.CPU, f"{text}.", seconds)
    text += f", but --processes {more} would take {about(faster)}"
    return facts.verdict(Bottleneck.CPU, f"{text}.", seconds, advice={"processes": str(more)}, predicted=faster)


def verdict_of_idle(facts: RunFacts) -> Verdict:
    """The verdict on a run whose workers waited for rows, or for somebody to take their Results."""
    attribution = facts.attribution
    written = attribution.output + attribution.store
    if attribution.input >= written:
        seconds, bottleneck, subject = attribution.input, Bottleneck.INPUT, "input"
        text = f"The list came slowly: for {facts.share_text(seconds)}, no URL was there to fetch"
        remedy = "if it came at once, the run would take"
    elif attribution.store >= attribution.output or facts.settings.output is not None:
        seconds, bottleneck, subject = written, Bottleneck.STORE, "output"
        text = f"Storing the results took {facts.share_text(seconds)}"
        remedy = "with a faster disk, the run would take"
    else:
        seconds, bottleneck, subject = written, Bottleneck.OUTPUT, "output"
        text = f"Whoever reads the results was slow: they waited to be taken for {facts.share_text(seconds)}"
        remedy = "if they were taken at once, the run would take"
    without = facts.faster(facts.estimate.plan, without=seconds / attribution.workers)
    text += "." if without is None else f"; {remedy} {about(without)}."
    return facts.verdict(bottleneck, text, seconds, subject=subject, predicted=without)
