"""Names the phases of an attempt, in which its time is counted."""

__all__ = ["CONNECT", "DECODE", "DNS", "LAG", "RECEIVE", "STORE", "TLS", "WAIT"]

DNS, CONNECT, TLS, WAIT, RECEIVE, LAG, DECODE, STORE = range(8)
"""The phases of an attempt: indexes into `AttemptClock.phases`.

A phase of the network ends when the event that ends it arrives at this machine. From then until the event loop or the
worker's thread is free to take it, the phase is LAG.
"""
