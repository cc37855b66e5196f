"""The rules for a run whose workers were held back by limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.reports.attribution_text import HeldBy
from fetchq.reports.run_facts import about
from fetchq.reports.text import bytes_text, count_text, rate_text
from fetchq.reports.verdict import Bottleneck
from fetchq.scheduling.limit import Limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetchq.reports.estimate import Plan
    from fetchq.reports.run_facts import RunFacts
    from fetchq.reports.verdict import Verdict

__all__ = ["verdict_of_held"]

_SHOWN_SHARE = 0.8
"""A smaller number of workers is named if it is at most this share of theirs."""


def verdict_of_held(facts: RunFacts) -> Verdict:
    """The verdict on a run that limits held back."""
    held = HeldBy(facts.attribution.held)
    time = facts.share_text(held.seconds)
    if (rule := _OF_SETTINGS.get(held.limit)) is not None:
        return rule(facts, held, time)
    bottleneck, text = _OTHERS[held.limit]
    text = text.format(host=held.of_host, time=time)
    return facts.verdict(bottleneck, text, held.seconds, subject=held.host)


def _per_host(facts: RunFacts, held: HeldBy, time: str) -> Verdict:
    most = facts.settings.per_host or 1
    enough = facts.enough_workers()
    text = f"Held by --per-host {most} on {held.of_host} for {time}"
    if enough <= _SHOWN_SHARE * facts.settings.workers:
        text += f"; {count_text(enough, 'worker')} would do"
    plan = facts.estimate.plan._replace(per_host=2 * most)
    return _with_setting(facts, held, Bottleneck.PER_HOST, text, plan, "per_host", str(2 * most))


def _rate(facts: RunFacts, held: HeldBy, time: str) -> Verdict:
    rate = facts.settings.rate or 1.0
    text = f"Held by --rate {_rate_setting(rate)} for {time}"
    plan = facts.estimate.plan._replace(rate=2 * rate)
    return _with_setting(facts, held, Bottleneck.RATE, text, plan, "rate", _rate_setting(2 * rate))


def _host_interval(facts: RunFacts, held: HeldBy, time: str) -> Verdict:
    interval = facts.settings.host_interval
    if not interval:
        text = f"Held by the Crawl-delay of {held.of_host} for {time}; only its robots.txt can change that."
        return facts.verdict(Bottleneck.HOST_INTERVAL, text, held.seconds, subject=held.host)
    text = f"Held by --host-interval {interval:g} on {held.of_host} for {time}"
    plan = facts.estimate.plan._replace(host_interval=interval / 2)
    return _with_setting(facts, held, Bottleneck.HOST_INTERVAL, text, plan, "host_interval", f"{interval / 2:g}")


def _limit_rate(facts: RunFacts, held: HeldBy, time: str) -> Verdict:
    limit = facts.settings.limit_rate or 1
    text = f"Held by --limit-rate, {bytes_text(limit)}/s, for {time}"
    plan = facts.estimate.plan._replace(limit_rate=2 * limit)
    return _with_setting(facts, held, Bottleneck.LIMIT_RATE, text, plan, "limit_rate", _size_setting(2 * limit))


def _with_setting(
    facts: RunFacts, held: HeldBy, bottleneck: Bottleneck, text: str, plan: Plan, name: str, value: str
) -> Verdict:
    """The verdict on a limit that can be set: `text`, and how long the run would take with the setting of `plan`."""
    subject, seconds = held.host or name, facts.faster(plan)
    if seconds is None:
        return facts.verdict(bottleneck, f"{text}.", held.seconds, subject=subject)
    join = ", and" if ";" in text else ";"
    text = f"{text}{join} --{name.replace('_', '-')} {value} would take {about(seconds)}."
    return facts.verdict(bottleneck, text, held.seconds, subject=subject, advice={name: value}, predicted=seconds)


def _back_off(facts: RunFacts, held: HeldBy, time: str) -> Verdict:
    backoff = next((one for one in facts.summary.hosts if one.host == held.host), None)
    text = f"{held.of_host} was held back for {time}"
    if backoff is None or not backoff.refusals:
        text += ", since it failed or grew slow"
    else:
        text += f", since it refused {count_text(backoff.refusals, 'request')}"
        refuses_all = any(one.host == held.host and one.failed >= one.seconds for one in facts.summary.loads)
        text += f"; it bears about {rate_text(backoff.rate)} a second" if backoff.rate < 1e9 and not refuses_all else ""
    return facts.verdict(Bottleneck.BACK_OFF, f"{text}.", held.seconds, subject=held.host)


def _rate_setting(rate: float) -> str:
    return f"{rate:g}/s" if rate >= 1 else f"{60 * rate:g}/m" if rate >= 1 / 60 else f"{3600 * rate:g}/h"


def _size_setting(size: int) -> str:
    for unit, letter in ((1_000_000, "M"), (1000, "k")):
        if size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)


_OF_SETTINGS: dict[Limit, Callable[[RunFacts, HeldBy, str], Verdict]] = {
    Limit.PER_HOST: _per_host,
    Limit.RATE: _rate,
    Limit.HOST_INTERVAL: _host_interval,
    Limit.LIMIT_RATE: _limit_rate,
    Limit.BACK_OFF: _back_off,
    Limit.RETRY_AFTER: _back_off,
}
_OTHERS = {
    Limit.OUTAGE: (Bottleneck.OUTAGE, "{host} could not be connected to, and was waited for during {time}."),
    Limit.RETRY_WAIT: (
        Bottleneck.RETRIES,
        "Rows that had failed waited for their next attempt for {time}; --retries and --retry-wait set how long.",
    ),
    Limit.ROBOTS: (Bottleneck.ROBOTS, "The robots.txt of {host} was waited for during {time}."),
    Limit.ADDRESS: (
        Bottleneck.DNS,
        "The address of {host} was looked up for {time}, since --per-host-by is ip.",
    ),
    Limit.FIRST_ANSWER: (
        Bottleneck.SLOW_HOST,
        "{host} had answered nothing yet for {time}, and got only a few requests until it did.",
    ),
    Limit.CONNECTIONS: (
        Bottleneck.CONNECTIONS,
        "Held by this machine's limit of open files for {time}; ulimit -n raises it.",
    ),
}
"""The bottleneck and the sentence for each limit that no setting of fetchq raises."""
