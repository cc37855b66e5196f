"""Serves one answer in each of the four ways to cut it into packets, and fetches it with each engine.

Packets stay apart because each is only sent when the client has read the one before, which the kernel tells.
"""

from __future__ import annotations

import itertools
import re
import socket
import struct
from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from typing import Any, Self

from faults import good
from faults.base import Fault, Then
from faults.server import FAULTS, answer_to
from faults.wire import POISON, Asked, Connection
from support.servers import ScriptServer, ok

from fetchq import Cause, Request, Result, fetch_all_sync
from fetchq.core.unlisted_fields import every_field

ANSWERS: list[Fault] = [*good.theme.faults, *FAULTS]
_GOOD = {f"/fault/{one.name}": one for one in good.theme.faults}
_BY_PATH = {f"/fault/{one.name}": one for one in ANSWERS}
_TIMES = {"index", "worker", "mode", "started", "elapsed", "timing", "_spool"}
"""What may differ between two Results of one answer."""
_UNREAD = 0.05
"""Seconds after which a client that leaves bytes unread is waited for no longer."""
_LONGEST = 1000
"""Bytes that are sent one by one; what is longer is so at its beginning and at its end only."""
_GIVEN_UP = {Cause.TOO_LARGE, Cause.DECODE, Cause.TOO_SLOW}
"""Causes for which a body is not read to its end: how many bytes had arrived by then depends on the packets."""


class Way(StrEnum):
    WHOLE = "whole"
    """In one packet."""
    BYTES = "bytes"
    """Byte by byte."""
    BOUNDARIES = "boundaries"
    """Cut at each boundary of a header line, a chunk or the body."""
    FOLLOWED = "followed"
    """With what follows the answer in the same packet: another answer, or the end of the connection."""


def cut(data: bytes, way: Way) -> list[bytes]:
    """`data` in the packets of that way."""
    if way is Way.BYTES:
        half = _LONGEST // 2
        at = set(range(len(data)))
        if len(data) > _LONGEST:
            at = {*range(half), *range(half, len(data) - half, 4999), *range(len(data) - half, len(data))}
    elif way is Way.BOUNDARIES:
        at = _boundaries(data)
    else:
        return [data]
    bounds = sorted({0, len(data), *at})
    return [data[begin:end] for begin, end in pairwise(bounds)]


def _boundaries(data: bytes) -> set[int]:
    """The first 1,500 places before and after the end of a line, and where the body ends by its length."""
    at = {place for found in re.finditer(rb"\r?\n", data[:100_000]) for place in found.span()}
    at = set(sorted(at)[:1500])
    for found in itertools.islice(re.finditer(rb"\r?\n\r?\n", data[:100_000]), 40):
        at.add(found.end())
        if (said := re.search(rb"(?i)content-length\s*:\s*([0-9]{1,9})", data[: found.end()])) is not None:
            at.add(min(len(data), found.end() + int(said[1])))
    return at


class _Packets(Connection):
    """A connection whose bytes go out in the packets of a way."""

    way: Way | None = None
    """None: as they come."""
    followed = False
    """Whether another answer comes in the last packet."""

    def send(self, data: bytes) -> None:
        if self.way is None:
            super().send(data)
            return
        for packet in cut(data + POISON if self.followed else data, self.way):
            super().send(packet)
            self._wait()

    def _wait(self) -> None:
        """Wait until the client has read all that was sent; if it reads no more, send the rest as it comes."""
        if self.way in (Way.FOLLOWED, None):
            return
        client, here = self._sock.getpeername(), self._sock.getsockname()
        for _ in range(int(_UNREAD / 0.00005)):
            if not unread(client, here):
                return
            self.pause(0.00005)
        self.way = None


def unread(local: tuple[str, int], peer: tuple[str, int]) -> int:
    """The bytes that the program with the socket `local` has not read yet; 0 if that is closed (sock_diag(7))."""
    address = struct.pack("!HH16s16s", local[1], peer[1], socket.inet_aton(local[0]), socket.inet_aton(peer[0]))
    asked = struct.pack("=BBxxI", socket.AF_INET, socket.IPPROTO_TCP, 0xFFFFFFFF) + address
    asked += struct.pack("=I8s", 0, b"\xff" * 8)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4) as netlink:  # NETLINK_SOCK_DIAG
        netlink.send(struct.pack("=IHHII", 16 + len(asked), 20, 1, 1, 0) + asked)  # SOCK_DIAG_BY_FAMILY
        told = netlink.recv(8192)
    (kind,) = struct.unpack_from("=H", told, 4)
    return int(struct.unpack_from("=I", told, 68)[0]) if kind == 20 else 0  # idiag_rqueue


class PacketServer(ScriptServer):
    """Serves all ANSWERS in the packets of `way`, and good ones at other paths."""

    def __init__(self) -> None:
        self.way = Way.WHOLE
        self.played = 0
        """How many answers were asked for."""
        self._playing = 0
        super().__init__(self._play)

    def wait_until_sent(self) -> None:
        """Wait until all of the answers so far was sent, what follows them included."""
        with self._logged:
            self._logged.wait_for(lambda: not self._playing, 10)

    def _start(self, conn: Connection) -> None:
        super()._start(_Packets(conn._sock, conn.number, self))

    def _play(self, conn: Connection, asked: Asked) -> None:
        assert isinstance(conn, _Packets)
        answer = _BY_PATH.get(asked.path)
        if answer is None:
            answer_to(conn, asked)
            return
        with self._logged:
            self._playing += 1
            self.played += 1
        conn.way = self.way
        conn.followed = self.way is Way.FOLLOWED and answer.wire is not None and answer.then is Then.STAYS
        try:
            answer.play(conn, asked)
        finally:
            conn.way, conn.followed = None, False
            with self._logged:
                self._playing -= 1
                self._logged.notify_all()


class Fetcher:
    """A context manager: fetches answers from servers of its own."""

    def __enter__(self) -> Self:
        self._server = PacketServer()
        self._played = 0
        """How many answers had been asked for when the last row came that waits for their end."""
        self._gate = ScriptServer(self._when_sent)
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.close()
        self._server.close()

    def _when_sent(self, conn: Connection, asked: Asked) -> None:
        if asked.path == "/when-sent":
            self._played = self._server.played
            self._server.wait_until_sent()
        ok(conn, asked)

    def fetch(self, answer: Fault, way: Way, mode: str, **more: Any) -> tuple[Result, Result]:
        """The Result of an answer on a connection that has served before, and that of the next, good row."""
        self._server.way = way
        base = self._server.url
        # Two hosts take turns, so that the rows of both go in this order.
        rows = [
            f"{base}/ok?n=1",
            f"{self._gate.url}/open",
            Request(base + answer.target, method=answer.method),
            f"{self._gate.url}/when-sent",
            f"{base}/ok?n=2",
        ]
        settings = {"retries": 0, "workers": 1, **answer.settings, **more}
        played = self._server.played
        before, _, result, _, after = fetch_all_sync(rows, mode=mode, **settings)
        assert self._played > played, "the row that waits was fetched before the answer"
        assert before.ok, before.error
        return result, after


def facts(result: Result) -> dict[str, object]:
    """All of a Result that the packets must not change."""
    found = {one.name: getattr(result, one.name) for one in every_field(Result) if one.name not in _TIMES}
    found["headers"] = list(result.headers.items())
    found["body"] = result.body
    found["hops"] = [(hop.status, hop.url) for hop in result.hops]
    if result.cause in _GIVEN_UP:
        del found["size"], found["wire_size"]
    if result.cause is Cause.TOO_SLOW:
        del found["error"]  # it shows the speed
    return found


def differences(fetcher: Fetcher, answer: Fault, modes: tuple[str, ...], ways: tuple[Way, ...]) -> Iterator[str]:
    """What differs between the Results of one answer, a line for each way and mode; and what became of the next row."""
    first: dict[str, object] | None = None
    for way in ways:
        for mode in modes:
            result, after = fetcher.fetch(answer, way, mode)
            found = facts(result)
            where = f"{answer.name}, {way}, {mode}"
            if first is None:
                first = found
                if result.cause not in answer.allowed:
                    yield f"{where}: {result.cause} ({result.error}), not {answer.expect}"
                elif result.ok and answer.body not in (None, result.body):
                    yield f"{where}: another body"
            elif found != first:
                unlike = {name: (first[name], value) for name, value in found.items() if value != first[name]}
                yield f"{where}: {_short(unlike)}"
            if answer.name != "stale-half" and (not after.ok or after.headers.get("X-N") != "2"):
                yield f"{where}: the next row: {after.cause} {after.error} {after.body[:20]!r}"


def _short(unlike: dict[str, tuple[object, object]]) -> str:
    return "; ".join(f"{name}: {str(one)[:150]} | {str(other)[:150]}" for name, (one, other) in unlike.items())
