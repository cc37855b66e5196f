"""The answer to CONNECT does not depend on the packets that it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetchq.http.failure import AttemptFailed
from fetchq.http.tunnel import ConnectAnswer

ANSWERS = [
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"\r\nHTTP/1.0 204 No Content\nContent-Length: 5\n\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 502 Bad \xff Gateway\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\r\n",
    b"SSH-2.0-OpenSSH\r\n\r\n",
]


def outcome(packets: list[bytes]) -> bool | tuple[str, str, bool]:
    """Whether the tunnel is open after these packets, or why it is not."""
    answer = ConnectAnswer()
    try:
        return any(answer.feed(packet) for packet in packets)
    except AttemptFailed as failed:
        return failed.cause, failed.message, failed.permanent


@pytest.mark.parametrize("raw", ANSWERS)
@settings(max_examples=30)
@given(data=st.data())
def test_an_answer_to_connect_is_the_same_in_any_packets(raw: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1))))
    packets = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert outcome(packets) == outcome([raw])
