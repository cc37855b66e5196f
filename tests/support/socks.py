"""A SOCKS proxy for tests (RFC 1928, RFC 1929 and SOCKS 4a), which dials the loopback whatever it is asked for."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import NamedTuple

from faults.wire import Connection

from support.servers import ScriptServer, relay


class Wanted(NamedTuple):
    """What a client has asked a SOCKS proxy for."""

    version: int
    host: str
    port: int
    user: str | None
    """Of version 5: with the password."""


class SocksServer(ScriptServer):
    """Answers each request with the reply code `code`, or `codes` for certain hosts, and 0 means that it connects.

    `user`: "NAME:PASSWORD" that version 5 demands. `raw`: what it sends in place of its first answer.
    """

    def __init__(
        self, *, code: int = 0, codes: dict[str, int] | None = None, user: str | None = None, raw: bytes | None = None
    ) -> None:
        self._code, self._codes, self._user, self._raw = code, codes or {}, user, raw
        self.wanted: list[Wanted] = []
        super().__init__()

    def _serve(self, conn: Connection) -> None:
        with suppress(OSError, EOFError):
            version = conn._take(1)[0]
            if self._raw is not None:
                conn.send(self._raw)
            elif version == 5:
                self._serve_5(conn)
            else:
                self._serve_4(conn)
        conn.close()

    def _serve_5(self, conn: Connection) -> None:
        offered = conn._take(conn._take(1)[0])
        user = None
        if self._user is not None:
            if 2 not in offered:
                conn.send(b"\x05\xff")
                return
            conn.send(b"\x05\x02")
            conn._take(1)
            user = ":".join(conn._take(conn._take(1)[0]).decode() for _ in range(2))
            conn.send(b"\x01\x00" if user == self._user else b"\x01\x01")
        else:
            conn.send(b"\x05\x00")
        kind = conn._take(4)[3]
        if kind == 3:
            host = conn._take(conn._take(1)[0]).decode()
        else:
            host = socket.inet_ntop(
                *((socket.AF_INET, conn._take(4)) if kind == 1 else (socket.AF_INET6, conn._take(16)))
            )
        port = int.from_bytes(conn._take(2), "big")
        self.wanted.append(Wanted(5, host, port, user))
        code = self._codes.get(host, self._code)
        answer = bytes([5, code, 0, 1]) + bytes(6)
        if code:
            conn.send(answer)
        else:
            relay(conn, ("127.0.0.1", port), [answer[:1], answer[1:5], answer[5:]])

    def _serve_4(self, conn: Connection) -> None:
        conn._take(1)
        port = int.from_bytes(conn._take(2), "big")
        address = conn._take(4)
        user = conn._until(b"\0").decode()
        named = address[:3] == bytes(3)
        host = conn._until(b"\0").decode() if named else socket.inet_ntoa(address)
        self.wanted.append(Wanted(4, host, port, user or None))
        code = self._codes.get(host, self._code)
        answer = bytes([0, code or 90]) + bytes(6)
        if code:
            conn.send(answer)
        else:
            relay(conn, ("127.0.0.1", port), [answer[:3], answer[3:]])
