"""Names what can keep a waiting job from being taken, although a worker is free."""

from __future__ import annotations

from enum import Enum

__all__ = ["Limit"]


class Limit(Enum):
    """A limit, a back-off or a lookup that a job waits for."""

    RATE = "rate"
    """`Settings.rate`: the starts per second of the whole run."""
    PER_HOST = "per_host"
    """`Settings.per_host`: as many attempts are under way at the host as are allowed."""
    HOST_INTERVAL = "host_interval"
    """`Settings.host_interval`, or the Crawl-delay of the host's robots.txt."""
    LIMIT_RATE = "limit_rate"
    """`Settings.limit_rate`: the bytes per second of the whole run."""
    BACK_OFF = "back_off"
    """The host has refused, failed or grown slow, so that it gets fewer requests (`Settings.adapt`)."""
    RETRY_AFTER = "retry_after"
    """The host has refused requests, and gets none for the time that it has asked for, or for a back-off."""
    OUTAGE = "outage"
    """The host cannot be connected to, and is paused."""
    RETRY_WAIT = "retry_wait"
    """The row has failed, and its next attempt is not due yet."""
    ROBOTS = "robots"
    """The host's robots.txt is being fetched."""
    ADDRESS = "address"
    """The host's address is being looked up (`Settings.per_host_by` is "ip")."""
    FIRST_ANSWER = "first_answer"
    """The host has answered no request yet, and gets only a few until it does."""
    CONNECTIONS = "connections"
    """This machine allows no more connections at a time (its limit of open files)."""
