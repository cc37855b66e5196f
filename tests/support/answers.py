"""Answers for the async mode without a server."""

from __future__ import annotations

from time import perf_counter
from typing import Any
from unittest.mock import Mock, patch

from aiohttp import ClientResponse, HttpVersion11, StreamReader
from aiohttp.http import RawResponseMessage
from aioresponses import aioresponses

from fetchq.engines.aiohttp.engine import AiohttpEngine
from fetchq.http.attempt import Attempt
from fetchq.http.framing import Sized
from fetchq.http.hop import Hop


class _Answer(ClientResponse):
    """What aiohttp 3.14 wants of a response, and aioresponses 0.7.9 does not know to give."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, stream_writer=Mock(), **options)


class _Connection:
    """What the engine asks of a connection, with one answer and no network."""

    problem = None
    framing = Sized(0)
    sent_body_with_head = False
    upload = None

    def __init__(self, answer: ClientResponse) -> None:
        self._answer = answer

    def send(self, *_: object, **options: object) -> None:
        pass

    async def read(self) -> tuple[RawResponseMessage, StreamReader]:
        found = self._answer
        head = RawResponseMessage(
            HttpVersion11, found.status, found.reason or "", found.headers, found.raw_headers, False, None, False, False
        )
        return head, found.content

    def end_exchange(self, *, whole: bool) -> bool:
        return False


class Answers(aioresponses):
    """aioresponses, for the async mode. No connection is made: there is no address, and nothing to time.

    An answer needs a Content-Length: without one, the connection would have to tell where it ends.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # fetchq asks aiohttp's connections, where aioresponses expects a ClientSession.
        self.patcher = patch.object(AiohttpEngine, "_connect", self._connect)

    async def _connect(self, attempt: Attempt) -> tuple[_Connection, Hop, bytes]:
        hop = attempt.begin_exchange()
        attempt.connected(reused=False)
        found = await self.match(hop.method, hop.url, allow_redirects=False)
        assert found is not None, f"no answer was given for {hop.url}"
        attempt.progress_at = perf_counter()  # which a connection notes when it sends and receives
        return _Connection(found), hop, b""

    def give(self, url: str, *, status: int = 200, body: bytes = b"", **headers: str) -> None:
        self.add(
            url, status=status, body=body, headers={"Content-Length": str(len(body)), **headers}, response_class=_Answer
        )
