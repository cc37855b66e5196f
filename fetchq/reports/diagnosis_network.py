"""The rules for a run whose workers were busy: with the network, with servers, or with rows that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.reports.attribution_text import host_text
from fetchq.reports.diagnosis_machine import verdict_of_cpu
from fetchq.reports.run_facts import about
from fetchq.reports.text import bytes_text, percent_text, seconds_text
from fetchq.reports.verdict import Bottleneck

if TYPE_CHECKING:
    from fetchq.reports.run_facts import RunFacts
    from fetchq.reports.verdict import Verdict
    from fetchq.scheduling.host_load import HostLoad

__all__ = ["verdict_of_failed", "verdict_of_network"]

_NETWORK = ("dns", "connect", "tls", "wait", "receive")
_HALF = 0.5
_GREATEST = 0.35
"""The share of the active time from which the greatest phase is the bottleneck."""
_WORKERS_OF_ASYNC = 10
"""What is recommended in place of one request at a time: the default of `Settings.workers`."""
_TIMES_AS_SLOW = 3.0
"""A host whose attempts take this many times as long as those of the others is slow."""


def verdict_of_network(facts: RunFacts) -> Verdict:
    """The verdict on a run whose workers were busy."""
    attribution, parts = facts.attribution, facts.parts
    network = {name: parts[name] for name in _NETWORK}
    share = facts.share_of_active(sum(network.values()))
    if facts.settings.mode == "sync" and share >= _HALF:
        return _sync(facts)
    if facts.share_of_active(attribution.lag + attribution.own + attribution.decode) >= _HALF:
        return verdict_of_cpu(facts)
    if facts.failed_most:
        return verdict_of_failed(facts)
    greatest = max(network, key=lambda name: network[name])
    seconds = network[greatest]
    if facts.share_of_active(seconds) >= _GREATEST:
        if greatest in _OF_CONNECTIONS:
            return _of_connections(facts, greatest)
        if greatest == "receive":
            return _bandwidth(facts)
    if (slow := _slow_host(facts.summary.loads)) is not None:
        return _of_slow_host(facts, *slow)
    if share >= _HALF:
        return _workers(facts)
    text = "No single part of the run took most of the workers' time, so what limited it cannot be told."
    return facts.verdict(Bottleneck.UNKNOWN, text)


def _sync(facts: RunFacts) -> Verdict:
    attribution, workers = facts.attribution, facts.settings.workers
    advice, option = {"mode": "async"}, "--mode async"
    if workers == 1:
        workers, advice["workers"] = _WORKERS_OF_ASYNC, str(_WORKERS_OF_ASYNC)
        option += f" --workers {workers}"
    text = "Mode sync makes one request at a time"
    seconds = facts.faster(facts.estimate.plan._replace(workers=workers))
    waited = attribution.turn or attribution.wait
    if seconds is None:
        return facts.verdict(Bottleneck.SYNC, f"{text}.", waited)
    text += f"; {option} would take {about(seconds)}."
    return facts.verdict(Bottleneck.SYNC, text, waited, subject="mode", advice=advice, predicted=seconds)


def verdict_of_failed(facts: RunFacts) -> Verdict:
    """The verdict on a run that spent most of its time on rows that failed."""
    summary = facts.summary
    seconds = facts.attribution.total * summary.failed_time / (summary.fetch_time or 1.0)
    causes = ", ".join(f"{count} {cause}" for cause, count in summary.causes.most_common(3))
    text = (
        f"Rows that failed took {percent_text(summary.failed_time / summary.fetch_time)} of the time of all ({causes})"
    )
    worst = max(summary.loads, key=lambda load: load.failed, default=None)
    if worst is not None and worst.failed >= _HALF * summary.failed_time:
        text += f", most of it at {host_text(worst.host)}"
    if facts.timed_out:
        text += "; a shorter --timeout, --connect-timeout or --read-timeout gives up sooner"
    return facts.verdict(Bottleneck.RETRIES, f"{text}.", seconds, subject=None if worst is None else worst.host)


def _of_connections(facts: RunFacts, phase: str) -> Verdict:
    """The verdict on a run that mostly made connections, or looked up names for them."""
    seconds = facts.parts[phase]
    each = seconds_text(seconds / max(1, facts.summary.attempts))  # a run that was left early has counted none
    bottleneck, what, why = _OF_CONNECTIONS[phase]
    text = f"{what} took {facts.share_text(seconds)}, {each} per URL{why}"
    return _with_more_workers(facts, bottleneck, text, seconds)


def _bandwidth(facts: RunFacts) -> Verdict:
    seconds = facts.attribution.receive
    speed = bytes_text(facts.summary.wire_size / facts.attribution.duration)
    text = (
        f"Receiving bodies took {facts.share_text(seconds)}, at {speed}/s all together; whether the network is full or "
    )
    text += "the servers send slowly, only a run with more workers can tell."
    return facts.verdict(Bottleneck.BANDWIDTH, text, seconds)


def _slow_host(loads: list[HostLoad]) -> tuple[HostLoad, float] | None:
    """The host that takes most of the time, though others are quicker, and the mean seconds of the others."""
    if len(loads) < 2 or not loads[0].seconds:
        return None
    first, *others = loads
    rest = sum(load.seconds for load in others)
    mean = rest / max(1, sum(load.attempts for load in others))
    return (first, mean) if first.seconds >= rest and first.mean >= _TIMES_AS_SLOW * mean else None


def _of_slow_host(facts: RunFacts, host: HostLoad, mean: float) -> Verdict:
    share = host.seconds / sum(load.seconds for load in facts.summary.loads)
    text = f"{host_text(host.host)} took {percent_text(share)} of the time of all requests"
    text += f", {seconds_text(host.mean)} for each (the other hosts {seconds_text(mean)})"
    return _with_more_workers(facts, Bottleneck.SLOW_HOST, text, host.seconds, subject=host.host)


def _workers(facts: RunFacts) -> Verdict:
    only = facts.only_host()
    host = "The servers" if only is None else host_text(only)
    text = f"{host} answered in {seconds_text(facts.summary.wait.percentile(50))} at the median"
    limit = Bottleneck.WORKERS if facts.more_workers() is not None else facts.estimate.limit_beside_workers()
    if limit is Bottleneck.CPU:
        return verdict_of_cpu(facts)
    return _with_more_workers(facts, limit, text, facts.attribution.wait, subject=only)


def _with_more_workers(
    facts: RunFacts, bottleneck: Bottleneck, text: str, seconds: float, *, subject: str | None = None
) -> Verdict:
    """A verdict with `text`, and up to how many workers help."""
    more = facts.more_workers()
    if more is None:
        why = _NO_MORE[facts.estimate.limit_beside_workers()]
        return facts.verdict(bottleneck, f"{text}; more workers would not help, since {why}.", seconds, subject=subject)
    workers, predicted = more
    text = f"{text}; more workers would help until about {workers}"
    text += "." if predicted is None else f", which would take {about(predicted)}."
    advice = {"workers": str(workers)}
    return facts.verdict(bottleneck, text, seconds, subject=subject, advice=advice, predicted=predicted)


_NO_MORE = {
    Bottleneck.SLOW_URL: "the slowest URL takes as long",
    Bottleneck.CPU: "the CPU is busy",
    Bottleneck.PER_HOST: "--per-host allows no more",
    Bottleneck.RATE: "--rate allows no more",
    Bottleneck.HOST_INTERVAL: "--host-interval allows no more",
    Bottleneck.LIMIT_RATE: "--limit-rate allows no more",
}
"""Why more workers would not help, by what bounds the run then."""
_OF_CONNECTIONS = {
    "dns": (Bottleneck.DNS, "Looking up names", ""),
    "connect": (Bottleneck.CONNECT, "Connecting", ", since few connections could be used again"),
    "tls": (Bottleneck.TLS, "TLS handshakes", ", since few connections could be used again"),
}
"""The bottleneck for each phase before the request is sent, what the phase is, and why it takes so much."""
