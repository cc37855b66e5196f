"""Every fault that the fault server knows, against every mode: the cause that the rules demand, and nothing worse."""

from __future__ import annotations

import pytest
from faults.base import Fault
from faults.server import FAULTS, FaultServer

from fetchq import Cause, Complete, Request, fetch_all_sync

CHECKED = ("status", "cause", "complete", "sha256", "redirects", "reason", "http_version", "content_encoding")

COMPARED = [fault for fault in FAULTS if not fault.settings.get("retries")]


def fetch(server: FaultServer, fault: Fault, mode: str):
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


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_gets_the_cause_it_deserves_and_costs_no_other_url(
    fault: Fault, mode: str, faults: FaultServer
) -> None:
    result = fetch(faults, fault, mode)
    assert result.cause in fault.allowed, result.error
    assert (result.cause is None) == result.ok == (result.error is None)
    if fault.complete is not None and result.cause is not Cause.PROTOCOL:
        assert result.complete == fault.complete
    if result.ok:
        assert result.status == fault.status
        assert fault.body in (None, result.body)


@pytest.mark.parametrize("fault", COMPARED, ids=lambda fault: fault.name)
def test_both_engines_say_the_same_of_a_fault(fault: Fault, faults: FaultServer) -> None:
    by_mode = [fetch(faults, fault, mode) for mode in ("async", "sync")]
    seen = [{name: getattr(result, name) for name in CHECKED} for result in by_mode]
    assert seen[0] == seen[1], [result.error for result in by_mode]
    if by_mode[0].complete is not Complete.NO:  # how far a body got before it failed depends on its packets
        assert by_mode[0].size == by_mode[1].size
        assert by_mode[0].body == by_mode[1].body
