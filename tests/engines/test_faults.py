"""Fetches every fault of the fault server with both engines: each finds the cause that the rules demand."""

from __future__ import annotations

import pytest
from faults.base import Fault
from faults.server import FAULTS, FaultServer

from fetchq import Cause, Complete, Request, Result, fetch_all_sync

CHECKED = ("status", "cause", "complete", "sha256", "redirects", "reason", "http_version", "content_encoding")


def fetch(fault: Fault, mode: str) -> Result:
    """The fault's Result, fetched between two good requests to the same server."""
    with FaultServer() as server:
        request = Request(server.url + fault.target, method=fault.method)
        # The good request before has the connection warm, and the one after shows what is left of it.
        good = [f"{server.url}/ok?n=1", f"{server.url}/ok?n=2"]
        settings = {"retries": 0, "workers": 1, "max_redirects": 10, **fault.settings}
        before, result, after = fetch_all_sync([good[0], request, good[1]], mode=mode, **settings)
    assert before.ok, before.error
    if fault.name != "stale-half":  # half an answer to the next request is no stale connection
        assert after.ok, after.error
        assert after.headers["X-N"] == "2"
    return result


def check(fault: Fault, result: Result) -> None:
    assert result.cause in fault.allowed, result.error
    assert (result.cause is None) == result.ok == (result.error is None)
    if fault.complete is not None and result.cause is not Cause.PROTOCOL:
        assert result.complete == fault.complete
    if result.ok:
        assert result.status == fault.status
        assert fault.body in (None, result.body)


def compare(one: Result, other: Result) -> None:
    seen = [{name: getattr(result, name) for name in CHECKED} for result in (one, other)]
    assert seen[0] == seen[1], [one.error, other.error]
    if one.complete is not Complete.NO:  # how far a body got before it failed depends on its packets
        assert one.size == other.size
        assert one.body == other.body


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_gets_the_same_right_cause_of_both_engines_and_costs_no_other_url(fault: Fault) -> None:
    by_aiohttp, by_requests = fetch(fault, "async"), fetch(fault, "sync")
    check(fault, by_aiohttp)
    check(fault, by_requests)
    compare(by_aiohttp, by_requests)


OF_EACH_THEME = {fault.theme: fault for fault in FAULTS}.values()


@pytest.mark.parametrize("fault", OF_EACH_THEME, ids=lambda fault: fault.name)
def test_threads_fetch_with_the_engine_of_the_sync_mode(fault: Fault) -> None:
    """The faults above are not tried in this mode, as the engine is the same."""
    result = fetch(fault, "threads")
    check(fault, result)
    compare(result, fetch(fault, "sync"))
