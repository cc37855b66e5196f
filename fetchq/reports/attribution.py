"""Divides the time of a run's workers: for what they worked or waited, without a rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from time import process_time
from typing import TYPE_CHECKING, Any, Self

from fetchq.core.text import redact_all
from fetchq.scheduling.limit import Limit
from fetchq.workers.idle_time import Idle

if TYPE_CHECKING:
    from fetchq.workers.idle_time import Reason
    from fetchq.workers.run import Run

__all__ = ["Attribution", "Blocked", "Held", "attribution_of", "attribution_of_parts"]

_MOST_HELD = 100
"""The most entries of `Attribution.held` for single hosts; the other hosts share one entry for each limit."""


@dataclass(frozen=True, slots=True)
class Held:
    """Time for which free workers could not take a waiting job."""

    limit: Limit
    host: str | None
    """The host that the limit is for, by its key (`per_host_by`). None for a limit of the whole run, and otherwise for
    all hosts together that have no entry of their own, since there are too many."""
    seconds: float
    """Summed over the workers."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Time for which code other than fetchq's kept the event loop from running anything else."""

    where: str
    """The function, with its file's name and line, such as `slow_callback (scrape.py:12)`."""
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """What the workers of a run did with their time. Seconds, summed over the workers.

    All fields from `input` to `own` add up to `total`, which is `workers` x `duration`.
    """

    workers: int
    duration: float
    """Seconds that the run took."""
    input: float = 0.0
    """Idle, since the next row had not come from the input."""
    finished: float = 0.0
    """Idle, since no row was left for the worker."""
    turn: float = 0.0
    """Idle in mode `sync`, while another worker had its turn."""
    held: tuple[Held, ...] = ()
    """Idle, since limits held the waiting jobs back; the longest one first."""
    dns: float = 0.0
    connect: float = 0.0
    tls: float = 0.0
    wait: float = 0.0
    receive: float = 0.0
    decode: float = 0.0
    store: float = 0.0
    lag: float = 0.0
    """An event had come from the network, or a job was there, and the event loop, or the worker's thread, was not free
    to take it."""
    callback: float = 0.0
    """Waiting for `on_start`."""
    output: float = 0.0
    """Waiting for the output to take Results (back pressure)."""
    own: float = 0.0
    """fetchq's own work between and around the attempts, with the time in which it waited for the CPU."""
    cpu: float = 0.0
    """CPU seconds of all processes that fetch during the run; no part of the total."""
    blocked: tuple[Blocked, ...] = ()
    """Code that blocked the event loop, about a tenth of a second at a time or more, the longest first; no part of the
    total."""
    loop_cpu: float = 0.0
    """CPU seconds of the thread that runs the event loop, in mode `async`; no part of the total."""
    processes: int = 1
    """How many processes the workers were in."""
    busiest_cpu: float = 0.0
    """CPU seconds of the process that used the most, if there were several; part of `cpu`."""
    loop_delay: float = 0.0
    """How late the event loop was for its timers, in seconds, at the 99th percentile."""
    longest_loop_delay: float = 0.0

    @property
    def total(self) -> float:
        """`workers` x `duration`."""
        return self.workers * self.duration

    @property
    def held_total(self) -> float:
        """The sum of `held`."""
        return sum(one.seconds for one in self.held)

    def parts(self) -> dict[str, float]:
        """The parts of the total by name, with `held` as one part. They add up to `total`."""
        return {name: self.held_total if name == "held" else getattr(self, name) for name in _PARTS}

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        held = [asdict(one) | {"limit": one.limit.value} for one in self.held]
        return asdict(self) | {"held": held, "blocked": [asdict(one) for one in self.blocked]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises `ValueError` for other values."""
        try:
            held = tuple(Held(Limit(one["limit"]), one["host"], float(one["seconds"])) for one in values["held"])
            blocked = tuple(Blocked(str(one["where"]), float(one["seconds"])) for one in values["blocked"])
            # Earlier versions of fetchq had one process.
            values = {"processes": 1, "busiest_cpu": 0.0, **values}
            numbers: dict[str, Any] = {name: float(values[name]) for name in _NUMBERS}
            whole = {name: int(values[name]) for name in ("workers", "processes")}
            return cls(**whole, held=held, blocked=blocked, **numbers)
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"not an attribution: {problem!r}") from None


_PHASES = ("dns", "connect", "tls", "wait", "receive", "decode", "store", "lag")
_PARTS = ("input", "finished", "turn", "held", *_PHASES, "callback", "output", "own")
_NUMBERS = tuple(one.name for one in fields(Attribution) if one.name not in ("workers", "processes", "held", "blocked"))


def attribution_of(run: Run, ended: float) -> Attribution:
    """What the workers of a run did until it ended at the time `ended` (`time.perf_counter`)."""
    idle, clocks, monitor = run.idle.seconds(ended), run.clocks, run.monitor
    phases = run.phases.seconds()
    phases["lag"] += idle.get(Idle.WAKING, 0.0)
    # A thread that still has an attempt waits for the system's resolver, which cannot be interrupted.
    phases["dns"] += sum(ended - one.attempt_began for one in clocks if one.attempt_began is not None)
    parts: dict[str, Any] = {
        **phases,
        "input": idle.get(Idle.INPUT, 0.0),
        "finished": idle.get(Idle.FINISHED, 0.0),
        "turn": idle.get(Idle.TURN, 0.0),
        "callback": sum(one.callback for one in clocks),
        "output": idle.get(Idle.OUTPUT, 0.0) + sum(one.output for one in clocks),
    }
    held = _held(idle, sum(one.limit_rate for one in clocks))
    duration = ended - run.began
    known = sum(parts.values()) + sum(one.seconds for one in held)
    return Attribution(
        workers=len(clocks),
        duration=duration,
        held=held,
        own=max(0.0, duration * len(clocks) - known),
        cpu=process_time() - run.cpu_before,
        blocked=() if monitor is None else tuple(Blocked(where, took) for where, took in monitor.blocked().items()),
        loop_cpu=0.0 if monitor is None else monitor.cpu,
        loop_delay=0.0 if monitor is None else monitor.delay(99),
        longest_loop_delay=0.0 if monitor is None else monitor.longest_delay,
        **parts,
    )


def attribution_of_parts(
    parts: Sequence[tuple[float, float, Attribution]], *, workers: int, began: float, ended: float
) -> Attribution:
    """What the workers of a run in several processes did: the sum of the `parts`, each with its beginning and its end.

    The time until a process has begun is fetchq's own; after its end, its workers had no row left. That of a process
    that has died is not known, and counts as fetchq's own, too.
    """
    sums: dict[str, Any] = {
        name: sum((getattr(part, name) for _, _, part in parts), 0.0) for name in _PARTS if name != "held"
    }
    sums["finished"] += sum((ended - end) * part.workers for _, end, part in parts)
    held: defaultdict[tuple[Limit, str | None], float] = defaultdict(float)
    for one in (one for _, _, part in parts for one in part.held):
        held[one.limit, one.host] += one.seconds
    known = sum(sums[name] for name in _PARTS if name not in ("held", "own")) + sum(held.values())
    sums["own"] = max(0.0, (ended - began) * workers - known)
    return Attribution(
        workers=workers,
        duration=ended - began,
        held=_longest_first(Held(*reason, took) for reason, took in held.items()),
        blocked=tuple(one for _, _, part in parts for one in part.blocked),
        cpu=sum(part.cpu for _, _, part in parts),
        busiest_cpu=max((part.cpu for _, _, part in parts), default=0.0),
        loop_cpu=sum(part.loop_cpu for _, _, part in parts),
        loop_delay=max((part.loop_delay for _, _, part in parts), default=0.0),
        longest_loop_delay=max((part.longest_loop_delay for _, _, part in parts), default=0.0),
        processes=max(1, len(parts)),
        **sums,
    )


def _longest_first(held: Iterable[Held]) -> tuple[Held, ...]:
    return tuple(sorted(held, key=lambda one: -one.seconds))


def _held(idle: Mapping[Reason, float], limit_rate: float) -> tuple[Held, ...]:
    """What the idle workers and, because of `limit_rate`, those with an attempt waited for; the longest one first."""
    seconds: defaultdict[tuple[Limit, str | None], float] = defaultdict(float)
    for reason, more in idle.items():
        if isinstance(reason, tuple):
            seconds[reason] += more
    if limit_rate:
        seconds[Limit.LIMIT_RATE, None] += limit_rate
    longest = sorted(seconds, key=lambda reason: -seconds[reason])
    for reason in longest[_MOST_HELD:]:
        if reason[1] is not None:
            seconds[reason[0], None] += seconds.pop(reason)
    # The key of a host that cannot be parsed is what stands there, which may be a password.
    return _longest_first(Held(limit, host and redact_all(host), took) for (limit, host), took in seconds.items())
