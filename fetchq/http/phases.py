"""Names the phases of an attempt, in which its time is counted."""

__all__ = ["CONNECT", "DECODE", "DNS", "RECEIVE", "STORE", "TLS", "WAIT"]

DNS, CONNECT, TLS, WAIT, RECEIVE, DECODE, STORE = range(7)
"""The phases of an attempt: indexes into `AttemptClock.phases`."""
