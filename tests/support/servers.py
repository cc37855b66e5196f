"""What the tests of running share: servers that follow a script, TLS, proxies, and a look at what a run leaves behind.

Servers and checks are context managers, so that a test can say which of them ends first.
"""

from __future__ import annotations

import asyncio
import gc
import os
import selectors
import socket
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar
from unittest.mock import Mock, patch

import pytest
import trustme
from aiohttp import ClientResponse, HttpVersion11, StreamReader
from aiohttp.http import RawResponseMessage
from aioresponses import aioresponses
from faults.server import FaultServer
from faults.wire import Asked, Connection, head, length

from fetchq.engines.aiohttp import resolver
from fetchq.engines.aiohttp.engine import AiohttpEngine
from fetchq.engines.errors import no_such_name
from fetchq.engines.requests import dial
from fetchq.http.attempt import Attempt
from fetchq.http.hops import Hop

PATIENCE = 10.0
"""Seconds after which a server, or a test, gives up on the other. No test that passes waits for them to go by."""
HUNG = 4.0
"""Seconds after which a call that should have returned at once is taken for hung."""
A_MOMENT = 0.2
"""Seconds given to something that must not happen."""

every_mode = pytest.mark.parametrize("mode", ["async", "threads", "sync"])
each_engine = pytest.mark.parametrize("mode", ["async", "sync"])
concurrent = pytest.mark.parametrize("mode", ["async", "threads"])
blocking = pytest.mark.parametrize("mode", ["threads", "sync"])

T = TypeVar("T")
Script = Callable[[Connection, Asked], None]


# --- what a server may say -------------------------------------------------------------------------------------------


def answer(body: bytes = b"ok", *lines: bytes, status: bytes = b"200 OK") -> Script:
    """A script that gives this answer to every request."""

    def play(conn: Connection, asked: Asked) -> None:
        sent = b"" if asked.method == "HEAD" else body
        conn.send(head(length(len(body)), *lines, status=b"HTTP/1.1 " + status) + sent)

    return play


ok = answer()


class Counted:
    """A script that counts how many requests are under way at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = self.most = 0

    def __call__(self, conn: Connection, asked: Asked) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        conn.pause(A_MOMENT / 4)
        with self._lock:
            self._now -= 1
        ok(conn, asked)


def hang(conn: Connection, _: Asked) -> None:
    """Never answers; ends when the client hangs up."""
    conn.hang()


def late(seconds: float) -> Script:
    """`ok`, but not before so many seconds."""

    def play(conn: Connection, asked: Asked) -> None:
        conn.pause(seconds)
        ok(conn, asked)

    return play


def by_path(scripts: dict[str, Script], otherwise: Script = ok) -> Script:
    """A script for each path."""

    def play(conn: Connection, asked: Asked) -> None:
        scripts.get(asked.path, otherwise)(conn, asked)

    return play


class ScriptServer(FaultServer):
    """A server of raw sockets whose every answer is `script(connection, asked)`; with `tls`, over TLS.

    A client whose handshake fails is let go without a reset, which would swallow the alert that tells it why.
    """

    def __init__(
        self, script: Script = ok, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None, handshake: float = 0.0
    ) -> None:
        self.script = script
        self._tls = tls
        self._handshake = handshake
        super().__init__(host)
        if tls is not None:
            self.url = f"https://{self.netloc}"
        self.port: int = self.address[1]

    def at(self, host: str) -> str:
        """The URL, with that host."""
        return f"{self.url.partition('://')[0]}://{host}:{self.port}"

    @property
    def seen(self) -> list[str]:
        """The targets that were asked for, in order."""
        return [asked.target for asked in self.log]

    @property
    def connections(self) -> list[int]:
        """The number of the connection that each request came on."""
        return [asked.connection for asked in self.log]

    async def got(self, n: int) -> None:
        """Wait until so many requests have come."""
        assert await asyncio.to_thread(self.wait_for_requests, n, PATIENCE), f"{len(self.log)} requests of {n}"

    def close(self) -> None:
        for event in list(self._events.values()):
            event.set()
        super().close()

    def _serve(self, conn: Connection) -> None:
        try:
            if self._tls is not None:
                conn.pause(self._handshake)
                conn._sock = _secured(conn._sock, self._tls)
            while conn.open and (asked := conn.read_request()) is not None:
                with self._logged:
                    self.log.append(asked)
                    self._logged.notify_all()
                self.script(conn, asked)
        except (OSError, ValueError):
            pass  # the client hung up, or this server closes, which ssl calls a ValueError
        finally:
            conn.close()


def _secured(sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    sock.settimeout(PATIENCE)
    secured = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    try:
        secured.do_handshake()
    except OSError:
        with secured, suppress(OSError):
            socket.socket.shutdown(secured, socket.SHUT_WR)
            while socket.socket.recv(secured, 65536):
                pass
        raise
    secured.settimeout(None)
    return secured


@contextmanager
def closed_port() -> Iterator[str]:
    """The URL of a port where nobody listens, and nobody will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def silent_port() -> Iterator[str]:
    """The address of a port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def need(condition: object, reason: str) -> None:
    """Skip the test unless `condition`; fail it where everything is required to be there."""
    if not condition:
        if os.environ.get("FETCHQ_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


def ipv6_server(script: Script = ok) -> ScriptServer:
    """A server on ::1, where this machine has it."""
    try:
        return ScriptServer(script, "::1")
    except OSError as problem:
        need(False, f"there is no IPv6 on the loopback ({problem})")
        raise


# --- names -----------------------------------------------------------------------------------------------------------

FOUR = (socket.AF_INET, "127.0.0.1")
SIX = (socket.AF_INET6, "::1")


def know_names(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[tuple[socket.AddressFamily, str]]]) -> None:
    """Both engines find these names at these addresses, and none where there are none; others, where they really are.

    Without a name server, a real question for a name that is not there may take its time.
    """
    really_look_up, real_lookups = dial.look_up, resolver._lookups

    def look_up(host: str, port: int, family: int) -> list[dial.Address]:
        if host not in names:
            return really_look_up(host, port, family)
        found = [one for one in names[host] if family in (socket.AF_UNSPEC, one[0])]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(of, (address, port) if of == socket.AF_INET else (address, port, 0, 0)) for of, address in found]

    def lookups() -> Any:
        lookup, close = real_lookups()

        async def look_up_here(host: str) -> list[resolver.Address]:
            if host not in names:
                return await lookup(host)
            if not names[host]:
                raise no_such_name()
            return [resolver.Address(*one) for one in names[host]]

        return look_up_here, close

    monkeypatch.setattr("fetchq.engines.requests.dial.look_up", look_up)
    monkeypatch.setattr(resolver, "_lookups", lookups)


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def few_issuers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A system that trusts one issuer: to read the usual hundred takes longer than most runs here.

    For every test of a module that imports it.
    """
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("SSL_CERT_FILE", Authority(tmp_path_factory.mktemp("issuers")).cacert)
        yield


class Authority:
    """A certificate authority. `cacert` is the path of its certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.cacert = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.cacert)

    def server(self, *names: str, clients: bool = False, **options: Any) -> ssl.SSLContext:
        """The context of a server with a certificate for these names; `clients` need one too."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or ("127.0.0.1", "localhost", "::1")), **options).configure_cert(context)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            self._ca.configure_trust(context)
        return context

    def client(self) -> tuple[str, str]:
        """The paths of a client's certificate and its key."""
        issued = self._ca.issue_cert("client@example.org")
        cert, key = str(self._folder / "client.pem"), str(self._folder / "client.key")
        issued.cert_chain_pems[0].write_to_path(cert)
        issued.private_key_pem.write_to_path(key)
        return cert, key


# --- a proxy ---------------------------------------------------------------------------------------------------------


def tunnel(conn: Connection, asked: Asked) -> None:
    """The script of a proxy that does what CONNECT asks for."""
    host, _, port = asked.target.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port))) as far, selectors.DefaultSelector() as ready:
        conn.send(head(status=b"HTTP/1.1 200 Connection established"))
        near = conn._sock
        ready.register(near, selectors.EVENT_READ, far)
        ready.register(far, selectors.EVENT_READ, near)
        while True:
            for key, _ in ready.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if not (data := source.recv(65536)):
                    conn.close()
                    return
                key.data.sendall(data)


# --- answers without a server ----------------------------------------------------------------------------------------


class _Answer(ClientResponse):
    """What aiohttp 3.14 wants of a response, and aioresponses 0.7.9 does not know to give."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, stream_writer=Mock(), **options)


class _Connection:
    """What the engine asks of a connection, with one answer and no network."""

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
        found = await self.match(hop.method, hop.url, allow_redirects=False)
        assert found is not None, f"no answer was given for {hop.url}"
        return _Connection(found), hop, b""

    def give(self, url: str, *, status: int = 200, body: bytes = b"", **headers: str) -> None:
        self.add(
            url, status=status, body=body, headers={"Content-Length": str(len(body)), **headers}, response_class=_Answer
        )


# --- what is left ----------------------------------------------------------------------------------------------------


def _put_the_rest_aside() -> None:
    """Have the collector pass over what is there by now: a test looks at what it makes itself.

    Else each call of `gc.collect` would go through all that pytest and the libraries hold, for a quarter of a second.
    """
    gc.collect()
    gc.freeze()


def _descriptors() -> Counter[str]:
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own is closed by now
            found[os.readlink(f"/proc/self/fd/{name}")] += 1
    return found


def _threads() -> set[threading.Thread]:
    # Those of a loop's default executor are the loop's, and end with it; pycares keeps one for all its resolvers.
    def raised_by_fetchq(thread: threading.Thread) -> bool:
        return not thread.name.startswith("asyncio_") and "_run_safe_shutdown_loop" not in thread.name

    return {thread for thread in filter(raised_by_fetchq, threading.enumerate()) if thread.is_alive()}


@contextmanager
def nothing_left() -> Iterator[None]:
    """What begins inside, a server as well, must have ended with it: descriptors, threads, and objects that warn."""
    _put_the_rest_aside()
    descriptors, threads = _descriptors(), _threads()
    yield
    gc.collect()
    # Spelled out: pytest shows no values of an assertion in a module that is imported.
    assert not (left := _threads() - threads), left
    until = perf_counter() + HUNG
    while _descriptors() - descriptors and perf_counter() < until:
        threading.Event().wait(0.01)  # that thread of pycares closes them, and tells nobody
    assert not (open_ := _descriptors() - descriptors), open_


@asynccontextmanager
async def calm_loop() -> AsyncIterator[None]:
    """Around a run: afterwards the loop has no task but this one, and had nothing to complain about.

    Inside, asyncio's debug mode makes each call from another thread that is not safe an error.
    """
    _put_the_rest_aside()
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    before = asyncio.all_tasks()
    try:
        yield
        assert not (tasks := asyncio.all_tasks() - before), tasks
        await settled()  # an exception that nobody has retrieved is told of when its future goes
        assert not complaints, complaints
    finally:
        loop.set_debug(False)
        loop.set_exception_handler(None)


async def settled() -> None:
    """Drop what nobody has any more, and wait for what the loop does to close it."""
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0)
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=HUNG)


async def ended(task: asyncio.Task[Any]) -> bool:
    """Wait for `task`, whatever it comes to; False when it hangs."""
    done, _ = await asyncio.wait([task], timeout=HUNG)
    return bool(done)


def in_time(work: Callable[[], T], most: float = HUNG) -> T:
    """`work`, in a thread; fails when it hangs. `most`: seconds; more for work that a busy machine slows."""
    outcome: list[T] = []
    problem: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as found:  # noqa: BLE001  # it is raised where the test is
            problem.append(found)

    thread = threading.Thread(target=run, name="in_time", daemon=True)
    thread.start()
    thread.join(most)
    assert not thread.is_alive(), "it hangs"
    if problem:
        raise problem.pop()
    return outcome[0]
