"""Names that lead nowhere, or only by a detour (RFC 1034, RFC 1035, RFC 8305)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from support.servers import ScriptServer

from faults.base import Theme
from faults.site import NO_NAME, SILENT, Answer, Site

theme = Theme("names")
place = theme.place

_OK = b"ok"
_SERVER_FAILURE, _REFUSED = 2, 5
_NOBODY = "127.9.9.9"
"""An address of the loopback, where nobody listens."""


@contextmanager
def _named(site: Site, name: str, answer: Answer) -> Iterator[str]:
    """The URL of a server, by a name that the name server answers so."""
    host = f"{name}.names.test"
    site.names[host] = answer
    with ScriptServer() as server:
        yield f"http://{host}:{server.port}/"
    del site.names[host]


@place(None, body=_OK)
@contextmanager
def name_good(site: Site) -> Iterator[str]:
    """No rule broken: a name with one address."""
    with _named(site, "good", ["127.0.0.1"]) as url:
        yield url


@place("dns")
@contextmanager
def name_unknown(site: Site) -> Iterator[str]:
    """RFC 1035, 4.1.1: no such name (code 3)."""
    with _named(site, "unknown", NO_NAME) as url:
        yield url


@place("dns")
@contextmanager
def name_without_address(site: Site) -> Iterator[str]:
    """RFC 2308, 2.2: the name is there, and has no address."""
    with _named(site, "empty", []) as url:
        yield url


@place("dns")
@contextmanager
def name_server_fails(site: Site) -> Iterator[str]:
    """RFC 1035, 4.1.1: the name server failed (code 2)."""
    with _named(site, "failure", _SERVER_FAILURE) as url:
        yield url


@place("dns")
@contextmanager
def name_server_refuses(site: Site) -> Iterator[str]:
    """RFC 1035, 4.1.1: the name server refuses to answer (code 5)."""
    with _named(site, "refused", _REFUSED) as url:
        yield url


@place(("dns", "timeout"), settings={"connect_timeout": 0.5})
@contextmanager
def name_not_answered(_: Site) -> Iterator[str]:
    """RFC 1035, 7.2: the name server never answers."""
    yield f"http://{SILENT}/"


@place(None, body=_OK)
@contextmanager
def name_answered_late(site: Site) -> Iterator[str]:
    """RFC 1035, 7.2: the answer comes after 0.2 s."""

    def late() -> list[str]:
        time.sleep(0.2)
        return ["127.0.0.1"]

    with _named(site, "late", late) as url:
        yield url


@place(None, body=_OK)
@contextmanager
def name_first_address_refuses(site: Site) -> Iterator[str]:
    """RFC 8305, 5: two addresses; nobody listens at the first."""
    with _named(site, "second", [_NOBODY, "127.0.0.1"]) as url:
        yield url


@place("connect")
@contextmanager
def name_all_addresses_refuse(site: Site) -> Iterator[str]:
    """RFC 8305, 5: three addresses, and nobody listens at any of them."""
    with _named(site, "refusing", [_NOBODY, "127.9.9.8", "127.9.9.7"]) as url:
        yield url
