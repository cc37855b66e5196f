"""The server of faults sends what its table promises, and leaves nothing behind."""

from __future__ import annotations

import gzip
import os
import re
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote

import h11
import pytest
from faults.bombs import zeros
from faults.content import TEXT, zstd_module
from faults.server import FAULTS, Fault, FaultServer, Then, fault_named
from faults.wire import FLOOD_LIMIT, HELLO, POISON, head, length
from support.waiting import PATIENCE

from fetchq import Settings
from fetchq.core.model import Cause, Complete


class Client:
    """A raw socket that asks."""

    def __init__(self, server: FaultServer) -> None:
        self.sock = socket.create_connection(server.address, timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def ask(self, target: str, method: str = "GET", *lines: bytes, body: bytes = b"") -> None:
        start = f"{method} {target} HTTP/1.1".encode()
        self.sock.sendall(head(b"Host: test", *lines, status=start) + body)

    def read(self, n: int) -> bytes:
        """`n` bytes, or less when the server closes first."""
        data = bytearray()
        while len(data) < n and (block := self.sock.recv(min(65536, n - len(data)))):
            data += block
        return bytes(data)

    def rest(self) -> bytes:
        """All until the server closes."""
        return self.read(10**9)

    def read_head(self) -> bytes:
        data = b""
        while not data.endswith(b"\r\n\r\n") and (byte := self.sock.recv(1)):
            data += byte
        return data


def ok_answer(n: str = "") -> bytes:
    return head(b"Content-Type: text/plain", length(2), b"X-N: " + n.encode()) + b"ok"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as one:
        yield one


def named(faults: list[Fault]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults, ids=lambda fault: fault.name)


FIXED = [fault for fault in FAULTS if fault.wire is not None]

# --- the table ----------------------------------------------------------------------------------------------------


def test_every_fault_has_a_name_of_its_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


@named(FAULTS)
def test_a_fault_names_a_rule_in_one_line_and_expects_what_fetchq_knows(fault: Fault) -> None:
    assert re.fullmatch(r".+[.]", fault.rule)
    assert re.fullmatch(r"[a-z0-9-]+", fault.name)
    assert fault.allowed <= {None, *Cause}
    assert fault.complete in {None, *Complete}
    assert isinstance(Settings(**fault.settings), Settings)
    assert not (fault.reusable and fault.then in {Then.CLOSES, Then.RESETS, Then.HANGS})


@named([fault for fault in FIXED if fault.expect is None and fault.theme != "redirect"])
def test_a_strict_parser_reads_the_answers_that_are_ok_as_the_table_says(fault: Fault) -> None:
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=100_000)
    reader.send(h11.Request(method=fault.method, target="/", headers=[("Host", "test")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(fault.sends() or b"")
    if fault.then in {Then.CLOSES, Then.RESETS}:
        reader.receive_data(b"")
    status, codings, body = 0, [], b""
    while not isinstance(event := reader.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            status = event.status_code
            codings = [value.decode() for name, value in event.headers if name == b"content-encoding"]
        elif isinstance(event, h11.Data):
            body += event.data
    assert status == fault.status
    assert (undo(",".join(codings), body) if body else body) == fault.body


# --- the bytes ----------------------------------------------------------------------------------------------------


@named(FIXED)
def test_a_fault_sends_exactly_its_bytes_and_then_does_what_it_says(server: FaultServer, fault: Fault) -> None:
    wire = fault.sends()
    assert wire is not None
    with Client(server) as client:
        client.ask(fault.target, fault.method)
        assert client.read(len(wire)) == wire
        match fault.then:
            case Then.STAYS:
                client.ask("/ok?n=next")
                answer = ok_answer("next")
                assert client.read(len(answer)) == answer
            case Then.CLOSES:
                assert client.rest() == b""
            case Then.RESETS:
                with pytest.raises(ConnectionResetError):
                    client.rest()
            case Then.HANGS:
                client.sock.shutdown(socket.SHUT_WR)
                assert client.rest() == b""


def test_good_requests_are_answered_on_one_connection_and_told_apart(server: FaultServer) -> None:
    with Client(server) as client:
        client.ask("/ok")
        assert client.read(len(ok_answer())) == ok_answer()
        client.ask("/ok?n=caf%C3%A9%0D%0A", "HEAD")
        assert client.read_head() == ok_answer("caf%C3%A9%0D%0A").removesuffix(b"ok")
        client.ask("/nowhere")
        assert client.read_head().startswith(b"HTTP/1.1 404 ")
        client.ask("/ok", "GET", b"Connection: close")
        assert client.rest() == ok_answer()


def test_the_log_holds_each_request_and_its_connection(server: FaultServer) -> None:
    with Client(server) as first, Client(server) as second:
        first.ask("/ok?a=%20b", "POST", b"X-One: 1", b"x-one:  2 ", b"Content-Length: 5", body=HELLO)
        first.read(len(ok_answer()))
        chunks = b"3\r\nhel\r\n2;x\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n"
        second.ask(server.url + "/fault/hang?x=1#y", "PUT", b"Transfer-Encoding: chunked", body=chunks)
        second.sock.shutdown(socket.SHUT_WR)
        assert second.rest() == b""
    one, two = server.log
    assert (one.method, one.target, one.body) == ("POST", "/ok?a=%20b", HELLO)
    assert one.headers == [("Host", "test"), ("X-One", "1"), ("x-one", "2"), ("Content-Length", "5")]
    assert (one.path, one.params, one.header("x-ONE")) == ("/ok", {"a": " b"}, "1")
    assert (two.method, two.path, two.body) == ("PUT", "/fault/hang", HELLO)
    assert one.connection != two.connection


def test_it_listens_on_ipv6_too() -> None:
    try:
        server = FaultServer("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with server, Client(server) as client:
        client.ask("/ok")
        assert client.read(len(ok_answer())) == ok_answer()
        assert server.url.startswith("http://[::1]:")


# --- time and connections -----------------------------------------------------------------------------------------


def test_an_answer_dripped_to_its_end_is_the_same_answer(server: FaultServer) -> None:
    with Client(server) as client:
        client.ask("/fault/drip-whole?interval=0")
        assert b"Transfer-Encoding: chunked" in client.read_head()
        assert client.read(15) == b"5\r\nhello\r\n0\r\n\r\n"


def test_a_drip_goes_on_byte_by_byte(server: FaultServer) -> None:
    with Client(server) as client:
        client.ask("/fault/drip?interval=0")
        client.read_head()
        assert client.read(200) == b"x" * 200
        client.ask("/fault/drip?interval=60")  # not read before the first is done: it must not disturb it
        assert client.read(200) == b"x" * 200


def test_a_body_ends_in_its_middle(server: FaultServer) -> None:
    with Client(server) as client:
        client.ask("/fault/close-in-middle")
        assert client.rest() == head(length(10)) + HELLO


def test_the_late_answer_comes_once_the_connection_is_idle(server: FaultServer) -> None:
    with Client(server) as client:
        client.ask("/fault/late-answer")
        assert client.read(len(head(length(5))) + 5).endswith(HELLO)
        assert server.event("late-answer").wait(PATIENCE)
        client.ask("/ok")
        assert client.read(len(POISON)) == POISON
        assert client.read(len(ok_answer())) == ok_answer()


def test_the_late_answer_stays_away_when_the_next_request_was_quicker(server: FaultServer) -> None:
    with Client(server) as client:
        client.ask("/fault/late-answer?after=60")
        assert client.read(len(head(length(5))) + 5).endswith(HELLO)
        client.ask("/ok")
        assert client.read(len(ok_answer())) == ok_answer()


@pytest.mark.parametrize("name", ["idle-408", "idle-close"])
def test_an_idle_connection_is_ended_unasked(server: FaultServer, name: str) -> None:
    with Client(server) as client:
        client.ask(f"/fault/{name}")
        assert server.event(name).wait(PATIENCE)
        _, _, after = client.rest().partition(HELLO)
        assert after.startswith(b"HTTP/1.1 408 ") if name == "idle-408" else after == b""


def test_a_stale_connection_ends_with_the_next_request_and_a_fresh_one_serves_it(server: FaultServer) -> None:
    whole = len(head(length(5), b"Connection: keep-alive")) + 5
    with Client(server) as client:
        client.ask("/fault/stale")
        assert client.read(whole).endswith(HELLO)
        client.ask("/ok")
        assert client.rest() == b""
    with Client(server) as client:
        client.ask("/fault/stale-reset")
        assert client.read(whole).endswith(HELLO)
        client.ask("/ok")
        with pytest.raises(ConnectionResetError):
            client.rest()
    with Client(server) as client:
        client.ask("/fault/stale-half")
        assert client.read(whole).endswith(HELLO)
        client.ask("/ok")
        assert client.rest() == head(length(10)) + HELLO
    assert [(asked.connection, asked.path) for asked in server.log] == [
        (1, "/fault/stale"),
        (1, "/ok"),
        (2, "/fault/stale-reset"),
        (2, "/ok"),
        (3, "/fault/stale-half"),
        (3, "/ok"),
    ]


def test_a_flaky_answer_gets_better_after_so_many_times(server: FaultServer) -> None:
    for how, seen in (("close", b""), ("short", head(length(10)) + HELLO)):
        for _ in range(2):
            with Client(server) as client:
                client.ask(f"/fault/flaky?key={how}&times=2&how={how}")
                assert client.rest() == seen
    with Client(server) as client:
        client.ask("/fault/flaky?key=c&how=503")
        assert client.read_head().startswith(b"HTTP/1.1 503 ")
        client.ask("/fault/flaky?key=c&how=503")
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
    with Client(server) as client:
        client.ask("/fault/flaky")
        with pytest.raises(ConnectionResetError):
            client.rest()
    assert (server.count("mine"), server.count("mine")) == (1, 2)


# --- redirects ----------------------------------------------------------------------------------------------------


def location(server: FaultServer, target: str) -> tuple[bytes, bytes]:
    """The status line and the Location of an answer."""
    with Client(server) as client:
        client.ask(target)
        lines = client.read_head().split(b"\r\n")
    return lines[0], next(line.partition(b": ")[2] for line in lines if line.startswith(b"Location"))


def test_redirects_lead_where_they_are_told(server: FaultServer) -> None:
    elsewhere = "http://other.example:81/a?b=c&d=%20"
    assert server.url_of("redirect-to", to=elsewhere, status=307).endswith(
        f"?to={quote(elsewhere, safe='')}&status=307"
    )
    target = server.url_of("redirect-to", to=elsewhere, status=307).removeprefix(server.url)
    assert location(server, target) == (b"HTTP/1.1 307 Temporary Redirect", elsewhere.encode())
    assert location(server, fault_named("redirect-to").target)[1] == b"/ok"
    assert location(server, "/fault/redirect-no-scheme")[1] == b"//test/ok"
    assert location(server, "/fault/redirect-upper-case")[1] == b"HTTP://test/ok"


def test_a_chain_ends_and_an_endless_one_counts_on(server: FaultServer) -> None:
    hops, target = 0, "/fault/redirect-chain?n=4"
    while target != "/ok":
        target = location(server, target)[1].decode()
        hops += 1
    assert hops == 4
    assert location(server, "/fault/redirect-endless")[1] == b"/fault/redirect-endless?hop=1"
    assert location(server, "/fault/redirect-endless?hop=41")[1] == b"/fault/redirect-endless?hop=42"


# --- contents -----------------------------------------------------------------------------------------------------


def _undeflate(data: bytes) -> bytes:
    raw = -15 if data[0] & 15 != 8 else 15
    decoder = zlib.decompressobj(raw)
    text = decoder.decompress(data)
    if not decoder.eof or decoder.unused_data:
        raise ValueError("not one whole stream")
    return text


def _unbr(data: bytes) -> bytes:
    import brotli

    return bytes(brotli.decompress(data))


_UNDO: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "x-gzip": gzip.decompress,
    "deflate": _undeflate,
    "br": _unbr,
    "zstd": lambda data: bytes(zstd_module().decompress(data)),
    "identity": bytes,
}


def undo(codings: str, data: bytes) -> bytes:
    """Decodes by the standard libraries, all at once, as strictly as they can."""
    for coding in reversed(codings.split(",")):
        if name := coding.strip().lower():
            data = _UNDO[name](data)
    return data


def _coding_of(wire: bytes) -> str:
    found = re.search(rb"Content-Encoding: (.*)\r\n", wire)
    return found[1].decode() if found else ""


@named([one for one in FIXED if one.theme == "content" and one.expect == "decode"])
def test_damaged_contents_do_not_decode(fault: Fault) -> None:
    import brotli

    broken = (ValueError, EOFError, KeyError, OSError, zlib.error, brotli.error, zstd_module().ZstdError)
    wire = fault.sends() or b""
    with pytest.raises(broken):
        undo(_coding_of(wire), wire.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("name", "mb", "decoders"),
    [
        ("bomb-gzip", 3, [lambda: zlib.decompressobj(31)]),
        ("bomb-deflate", 3, [zlib.decompressobj]),
        ("bomb-nested", 3, [lambda: zlib.decompressobj(31)] * 2),
    ],
)
def test_bombs_are_whole_and_small_on_the_wire(
    server: FaultServer, name: str, mb: int, decoders: list[Callable[[], zlib._Decompress]]
) -> None:
    data = dechunked(server, f"/fault/{name}?mb={mb}")
    assert len(data) < mb * 2000
    for make in decoders:
        decoder = make()
        data = decoder.decompress(data)
        assert decoder.eof
    assert data == bytes(mb * 1_000_000)


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_modern_bombs_are_smaller_still(server: FaultServer, coding: str) -> None:
    data = dechunked(server, f"/fault/bomb-{coding}?mb=3")
    assert len(data) < 1000
    assert undo(coding, data) == bytes(3_000_000)


def test_a_window_too_large_is_refused_by_the_library_and_one_of_8_mb_is_not() -> None:
    from faults.content import zstd_frame

    with pytest.raises(zstd_module().ZstdError):
        zstd_module().decompress(zstd_frame(31, HELLO))
    assert zstd_module().decompress(zstd_frame(23, TEXT)) == TEXT


def test_zeros_are_made_a_megabyte_at_a_time() -> None:
    assert [len(block) for block in zeros(2)] == [1_000_000, 1_000_000]


def dechunked(server: FaultServer, target: str) -> bytes:
    """The body of a chunked answer."""
    with Client(server) as client:
        client.ask(target)
        client.read_head()
        body = b""
        while size := int(_line(client), 16):
            body += client.read(size)
            assert _line(client) == b""
        return body


def _line(client: Client) -> bytes:
    line = b""
    while not line.endswith(b"\r\n"):
        line += client.read(1)
    return line[:-2]


# --- ends ---------------------------------------------------------------------------------------------------------


def test_what_is_endless_ends_at_the_limit(server: FaultServer) -> None:
    with Client(server) as client:
        client.ask("/fault/endless-headers")
        got = 0
        while block := client.sock.recv(1 << 20):
            got += len(block)
    assert FLOOD_LIMIT <= got == server.sent[1] < FLOOD_LIMIT + 100_000


@named([one for one in FAULTS if one.name.startswith("endless-")] + [fault_named("redirect-endless-body")])
def test_what_is_endless_ends_when_the_client_hangs_up(server: FaultServer, fault: Fault) -> None:
    with Client(server) as client:
        client.ask(fault.target)
        assert client.read(100_000)
    for thread in handlers():
        thread.join(PATIENCE)
    assert handlers() == []
    assert server.sent[1] < FLOOD_LIMIT


def handlers() -> list[threading.Thread]:
    """The threads of connections that are being served."""
    return [thread for thread in threading.enumerate() if re.fullmatch(r"faultserver-\d+", thread.name)]


def descriptors() -> int:
    listing = Path("/dev/fd")
    return len(os.listdir(listing)) if listing.is_dir() else 0


def test_closing_ends_every_thread_and_socket_also_when_clients_hang() -> None:
    before, threads = descriptors(), threading.active_count()
    with FaultServer() as server:
        clients = [Client(server) for _ in range(9)]
        targets = ["hang", "stall", "slow-head", "drip?interval=600", "late?after=600", "endless-headers", "stale"]
        for client, target in zip(clients, targets, strict=False):  # one sends half a request, one nothing
            client.ask(f"/fault/{target}")
        clients[7].sock.sendall(b"GET /ok HTTP/1.1\r\nHo")
        assert server.wait_for_requests(len(targets), PATIENCE)
        assert not server.wait_for_requests(len(targets) + 1, 0)
        clients[5].read(1_000_000)  # the flood is under way, and blocked
        clients[1].read_head()
        clients[6].read_head()
    assert threading.active_count() == threads
    assert {asked.path for asked in server.log} == {f"/fault/{one.partition('?')[0]}" for one in targets}
    server.close()  # once more does no harm
    with pytest.raises(ConnectionRefusedError):
        Client(server)
    for client in clients:
        client.sock.close()
    assert descriptors() <= before


def test_many_connections_come_and_go() -> None:
    before, threads = descriptors(), threading.active_count()
    with FaultServer() as server:
        for n in range(200):
            with Client(server) as client:
                client.ask(f"/ok?n={n}")
                assert client.read(len(ok_answer(str(n)))) == ok_answer(str(n))
        assert [asked.connection for asked in server.log] == list(range(1, 201))
    assert threading.active_count() == threads
    assert descriptors() <= before
