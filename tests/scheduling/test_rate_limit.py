"""The rate of a run that is changed while attempts are under way."""

from __future__ import annotations

from fetchq.scheduling.rate_limit import RateLimiter


def test_a_lower_rate_holds_when_no_more_requests_are_to_be_sent_than_it_allows() -> None:
    rate = RateLimiter(100.0)
    for number in range(5):
        rate.start(number / 100)
    told: list[str] = []
    rate.change(3.0, lambda: told.append("holds"))
    rate.sent(0.06)
    assert told == [], "four attempts are still connecting"
    rate.sent(0.07)
    assert told == ["holds"]
    rate.sent(0.08)
    assert told == ["holds"]


def test_a_rate_that_nothing_under_way_exceeds_holds_at_once() -> None:
    told: list[str] = []
    RateLimiter(100.0).change(3.0, lambda: told.append("holds"))
    assert told == ["holds"]
