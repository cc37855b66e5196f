"""Defines Timing: where the time of a row went, in phases."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter

from fetchq.core.fast_dataclass import fast_constructor

__all__ = ["PHASES", "Timing", "make_timing", "phase_values"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Where a request's time went, in seconds, with each phase summed over all attempts.

    The phases do not overlap. All but `queued` and `held` add up to `Result.elapsed`.
    """

    queued: float = 0.0
    """Waiting for a free worker."""
    held: float = 0.0
    """Held back by a limit, by the rate to which its host was slowed down, or until a retry was due."""
    dns: float = 0.0
    connect: float = 0.0
    """The TCP connection, and the tunnel through a proxy."""
    tls: float | None = None
    """The TLS handshake; None where there was none, as on a connection that is reused."""
    wait: float = 0.0
    """From the request, which is sent at once, to the arrival of the first byte of the response."""
    receive: float = 0.0
    """From the first byte to the arrival of the last one."""
    lag: float = 0.0
    """From the arrival of what a phase of the network had waited for until the event loop, or the worker's thread, was
    free to take it; and what fetchq itself does before the request and after the last byte."""
    decode: float = 0.0
    """Decoding and hashing the body."""
    store: float = 0.0


make_timing = fast_constructor(Timing)
PHASES = tuple(one.name for one in fields(Timing))
"""The names of the phases, in the order of the fields of Timing."""
phase_values = attrgetter(*PHASES)
"""The values of a Timing, in the order of `PHASES`."""
