"""Lists the redirects that an attempt has followed, and the headers that were not sent to another origin."""

from __future__ import annotations

from datetime import UTC, datetime
from operator import sub
from time import time
from typing import TYPE_CHECKING

from multidict import CIMultiDict, CIMultiDictProxy

from fetchq.core.redirect_hop import HopTiming, RedirectHop
from fetchq.core.sent_request import ArchivedRedirect
from fetchq.core.text import redact
from fetchq.http.cross_origin import not_sent_note, secret_names
from fetchq.http.hops import redacted_head
from fetchq.http.phases import CONNECT, DNS, LAG, RECEIVE, TLS, WAIT
from fetchq.http.url import origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multidict import MultiMapping

    from fetchq.core.exchange import Exchange
    from fetchq.core.stored_response import StoredResponse
    from fetchq.http.hop import Hop
    from fetchq.http.hops import HopPlan
    from fetchq.http.response import ResponseHead

__all__ = ["MOST_ARCHIVED", "RedirectHistory", "hop_timing"]

MOST_ARCHIVED = 65_536
"""Bytes of header fields that are kept of a redirect for a web archive. A head may have four times as many."""


def hop_timing(phases: Sequence[float], *, tls_known: bool) -> HopTiming:
    """The timing of a hop that has spent these seconds in the phases. `tls_known`: as in `AttemptState`."""
    tls = phases[TLS] if tls_known else None
    return HopTiming(phases[DNS], phases[CONNECT], tls, phases[WAIT], phases[RECEIVE], phases[LAG])


class RedirectHistory:
    """The redirects that one attempt has followed."""

    # fmt: off
    __slots__ = (
        "_archives", "_before", "_cookie", "_held_before", "_origin", "_trusted", "_withheld", "_withheld_from",
        "archived", "exchanges", "hops",
    )
    # fmt: on

    def __init__(self, first: Hop, *, archives: bool) -> None:
        """`first`: the first hop of the attempt. `archives`: whether the redirects are also kept for a web archive."""
        self._archives = archives
        self._before: list[float] | None = None
        """Seconds of the attempt in each phase until the end of the last redirect; None before that."""
        self._held_before = 0.0
        self._origin = origin(first.url)
        self._cookie = {name: value for name, value in first.headers.items() if name.lower() == "cookie"}
        """The user's Cookie header, which is sent whenever a hop leads to the origin of the first one (RFC 6265)."""
        self._withheld: tuple[str, ...] = ()
        """The names of the headers that were not sent to another origin, `_withheld_from`."""
        self._withheld_from = ""
        self._trusted = False
        """Whether they were not sent there although other origins are trusted, since it is without TLS."""
        self.hops: tuple[RedirectHop, ...] = ()
        self.archived: tuple[ArchivedRedirect, ...] = ()
        """The same redirects for a web archive."""
        self.exchanges: tuple[Exchange, ...] = ()
        """The same redirects as exchanges, where they are kept (`Settings.keeps_exchanges`)."""

    def follow(self, plan: HopPlan, hop: Hop, response: ResponseHead, stored: StoredResponse | None) -> Hop:
        """The hop that a redirect leads to. Raises `Refused`."""
        assert response.status is not None
        following = plan.next(hop, response.status, response.headers.getall("Location", []), stored)
        where = origin(following.url)
        if where == origin(hop.url) or plan.trusts(hop, following.target):
            return following
        if not self._withheld:
            self._withheld, self._withheld_from = secret_names(plan.given_headers(hop)), str(following.url.origin())
            self._trusted = plan.settings.location_trusted
        if where != self._origin or not self._cookie:
            return following
        return following._replace(headers=following.headers | self._cookie)

    def note(self, status: int | None, hop: Hop) -> str:
        """A remark for the error of a final response: which headers were not sent, if that may explain the status."""
        if status not in (401, 403):
            return ""
        sent = {name.lower() for name in hop.headers}
        names = [name for name in self._withheld if name.lower() not in sent]
        return not_sent_note(names, self._withheld_from, trusted=self._trusted)

    def since(self, phases: Sequence[float], held: float) -> tuple[list[float], float]:
        """What an attempt has spent since its last redirect: the seconds in each phase, and those held."""
        before = self._before
        return list(phases) if before is None else [*map(sub, phases, before)], held - self._held_before

    def add(
        self,
        hop: Hop,
        response: ResponseHead,
        body: bytearray | None,
        remote: str | None,
        phases: Sequence[float],
        held: float,
        *,
        tls_known: bool,
    ) -> None:
        """Add a redirect. `body`: None if it was too long to be read. `phases`, `held`: of the attempt so far."""
        assert response.status is not None
        spent, _ = self.since(phases, held)
        self._before, self._held_before = [*phases], held
        elapsed = sum(spent)
        url = redact(hop.target.text)
        self.hops += (RedirectHop(response.status, url, elapsed, hop_timing(spent, tls_known=tls_known)),)
        if self._archives:
            headers, cut = _within(MOST_ARCHIVED, response.headers)
            redirect = ArchivedRedirect(
                url=url,
                method=hop.method,
                head=redacted_head(hop),
                with_body=hop.body is not None,
                at=datetime.fromtimestamp(time() - elapsed, UTC),
                remote=remote,
                http_version=response.http_version,
                status=response.status,
                reason=response.reason,
                headers=headers,
                body=bytes(body or b""),
                truncated=body is None or cut,
            )
            self.archived += (redirect,)


def _within(most: int, fields: MultiMapping[str]) -> tuple[MultiMapping[str], bool]:
    """Those of the fields that fit into so many bytes, Location before all others, and whether any do not."""
    sizes = [len(name) + len(value) + len(": \r\n") for name, value in fields.items()]
    if sum(sizes) <= most:
        return fields, False
    kept: CIMultiDict[str] = CIMultiDict()
    left = most - sum(map(len, fields.getall("Location", [])))
    for (name, value), size in zip(fields.items(), sizes, strict=True):
        if name.lower() == "location" or size <= left:
            kept.add(name, value)
            left -= size
    return CIMultiDictProxy(kept), True
