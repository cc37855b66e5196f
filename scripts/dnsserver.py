"""A name server on the loopback (RFC 1035): as much of one as the benchmarks and the tests of the resolver need."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Self

A, AAAA = 1, 28
_RESPONSE = 0x8180
"""Flags of an answer: recursion was desired, and is available."""
_NO_NAME = 3
_POINTER = 0xC00C
"""To the name in the question, which begins after the 12 bytes of the header."""


class DnsServer:
    """Answers A with the addresses that `answer` has for a name, in lower case.

    None: there is no such name. A number: the code of that failure (RFC 1035, 4.1.1).
    """

    def __init__(
        self,
        answer: Callable[[str], list[str] | int | None] = lambda _: ["127.0.0.1"],
        *,
        silent: str = "",
        delay: float = 0.0,
    ) -> None:
        """`silent`: a name that is never answered, as if the server that knows it were down.

        `delay`: seconds by which each answer is late; the questions that come meanwhile are answered, too.
        """
        self._answer = answer
        self._silent = silent
        self._delay = delay
        self.asked: Counter[tuple[str, int]] = Counter()
        """How often for which name and type."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        host, port = self._socket.getsockname()
        self.address = f"{host}:{port}"
        self._thread = threading.Thread(target=self._run, name="dns-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            if not query:
                return
            end, labels = 12, []
            while size := query[end]:
                labels.append(query[end + 1 : end + 1 + size].decode().lower())
                end += 1 + size
            name, (kind,) = ".".join(labels), struct.unpack_from(">H", query, end + 1)
            self.asked[name, kind] += 1
            if name != self._silent:
                reply = self._reply(query[: end + 5], name, kind)
                if self._delay:
                    threading.Timer(self._delay, self._send, (reply, client)).start()
                else:
                    self._socket.sendto(reply, client)

    def _send(self, reply: bytes, client: tuple[str, int]) -> None:
        with suppress(OSError):  # the server has ended meanwhile
            self._socket.sendto(reply, client)

    def _reply(self, asked: bytes, name: str, kind: int) -> bytes:
        found = self._answer(name)
        if found is None:
            found = _NO_NAME
        code, known = (found, []) if isinstance(found, int) else (0, found)
        addresses = known if kind == A else []
        flags = _RESPONSE | code
        header = asked[:2] + struct.pack(">5H", flags, 1, len(addresses), 0, 0)
        records = [struct.pack(">HHHIH", _POINTER, A, 1, 60, 4) + socket.inet_aton(one) for one in addresses]
        return header + asked[12:] + b"".join(records)
