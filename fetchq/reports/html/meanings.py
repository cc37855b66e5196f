"""Explains the parts of the workers' time, and the limits, in one sentence each."""

from __future__ import annotations

from fetchq.scheduling.limit import Limit

__all__ = ["LIMITS", "PARTS"]

PARTS = {
    "held": "Idle: limits held the waiting URLs back.",
    "input": "Idle: the next row had not come from the input.",
    "finished": "Idle: no row was left.",
    "turn": "Idle: another worker had its turn (mode sync).",
    "dns": "Looking up the host's address.",
    "connect": "Opening the TCP connection.",
    "tls": "The TLS handshake.",
    "wait": "From the request to the first byte of the response.",
    "receive": "Receiving the body.",
    "decode": "Decoding and hashing the body.",
    "store": "Storing the body.",
    "lag": "Data had come, but the event loop or the thread was not free to take it.",
    "callback": "Waiting for on_start.",
    "output": "Waiting for the output to take Results.",
    "own": "fetchq's own work, with the time in which it waited for the CPU.",
}
"""What each of `Attribution.parts` is, the phases included."""
LIMITS = {
    Limit.RATE: "--rate: starts per second of the whole run.",
    Limit.PER_HOST: "--per-host: URLs at a time at one host.",
    Limit.HOST_INTERVAL: "--host-interval, or the Crawl-delay of robots.txt.",
    Limit.LIMIT_RATE: "--limit-rate: bytes per second of the whole run.",
    Limit.BACK_OFF: "The host refused, failed or grew slow, and gets fewer requests.",
    Limit.RETRY_AFTER: "The host refused, and is left alone for a while.",
    Limit.OUTAGE: "The host cannot be connected to, and is paused.",
    Limit.RETRY_WAIT: "The next attempt at a failed URL is not due yet.",
    Limit.ROBOTS: "The host's robots.txt is being fetched.",
    Limit.ADDRESS: "The host's address is being looked up.",
    Limit.FIRST_ANSWER: "The host has not answered yet, and gets only a few requests until it does.",
    Limit.CONNECTIONS: "This machine allows no more connections at a time (open files).",
}
