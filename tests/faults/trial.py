"""Fetches an entry with fetchq, between two good requests, and judges the Results."""

from __future__ import annotations

from contextlib import ExitStack
from typing import NamedTuple

from faults.base import Entry, Fault, Place
from faults.server import FaultServer
from faults.site import Site
from fetchq import Cause, Complete, Request, Result, fetch_all_sync

COMPARED = ("status", "cause", "complete", "sha256", "redirects", "reason", "http_version", "content_encoding")


class Trial(NamedTuple):
    """The Results of an entry, and of the good requests before and after it."""

    entry: Entry
    before: Result
    result: Result
    after: Result

    def problem(self) -> str | None:
        """What is wrong with them, in a few words; None if nothing is."""
        entry, result = self.entry, self.result
        if result.cause not in entry.allowed:
            return f"{result.cause or 'ok'} ({result.error}), not {entry.demanded}"
        if not (result.cause is None) == result.ok == (result.error is None):
            return f"ok is {result.ok}, and the error {result.error!r}"
        if entry.complete not in (None, result.complete) and result.cause is not Cause.PROTOCOL:
            return f"complete is {result.complete!r}, not {entry.complete!r}"
        if result.ok and result.status != entry.status:
            return f"the status is {result.status}, not {entry.status}"
        if result.ok and entry.body not in (None, result.body):
            return f"another body: {result.body[:20]!r}"
        return self._innocent()

    def _innocent(self) -> str | None:
        """What is wrong with the good requests."""
        if not self.before.ok:
            return f"the request before: {self.before.error}"
        # Half an answer to the next request is no stale connection.
        if self.entry.name != "stale-half" and (not self.after.ok or self.after.headers["X-N"] != "2"):
            return f"the request after: {self.after.error}"
        return None


def difference(one: Result, other: Result) -> str | None:
    """What two engines made differently of one entry; None if nothing."""
    names = list(COMPARED)
    if one.complete is not Complete.NO:  # how far a body got before it failed depends on its packets
        names += ["size", "body"]
    unlike = [name for name in names if getattr(one, name) != getattr(other, name)]
    return ", ".join(f"{name}: {getattr(one, name)!r}, {getattr(other, name)!r}"[:200] for name in unlike) or None


def fetch(entry: Entry, mode: str, site: Site) -> Trial:
    """Fetch an entry from servers of its own.

    The good request before has the connection warm, and the one after shows what is left of it.
    """
    with ExitStack() as stack:
        server = stack.enter_context(FaultServer())
        settings: dict[str, object] = {"retries": 0, "workers": 1, "max_redirects": 10}
        if isinstance(entry, Place):
            request = Request(stack.enter_context(entry.opens(site)))
            settings |= site.settings(entry, mode)
            if mode != "async":
                stack.enter_context(site.asked_by_the_system())
        else:
            assert isinstance(entry, Fault)
            request = Request(server.url + entry.target, method=entry.method)
            settings |= entry.settings
        rows = [f"{server.url}/ok?n=1", request, f"{server.url}/ok?n=2"]
        before, result, after = fetch_all_sync(rows, mode=mode, **settings)  # type: ignore[arg-type]  # fields by name
    return Trial(entry, before, result, after)
