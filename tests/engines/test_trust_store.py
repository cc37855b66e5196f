"""When certificate authorities are loaded, which takes long: as late as possible, and once."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.leaks import nothing_left
from support.servers import ScriptServer
from support.tls import Authority
from support.waiting import HUNG, PATIENCE

from fetchq import Cause, Settings, fetch_all_sync
from fetchq.engines import tls


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads in which certificate authorities are loaded, as if none had been before."""
    loaded: list[threading.Thread] = []
    create = ssl.create_default_context

    def noted(**options: Any) -> ssl.SSLContext:
        loaded.append(threading.current_thread())
        return create(**options)

    monkeypatch.setattr(ssl, "create_default_context", noted)
    tls._system_context.cache_clear()
    return loaded


def test_plain_http_loads_none(mode: str, loads: list[threading.Thread]) -> None:
    with ScriptServer() as server:
        (result,) = fetch_all_sync([server.url], mode=mode)
    assert result.ok
    assert loads == []


def test_the_runs_of_a_process_load_those_of_the_system_once_and_not_in_the_event_loop(
    mode: str, loads: list[threading.Thread], authority: Authority
) -> None:
    with ScriptServer(tls=authority.server()) as server:
        for _ in range(2):
            results = fetch_all_sync([server.url, server.url], mode=mode, workers=2, retries=0)
            assert [result.cause for result in results] == [Cause.TLS, Cause.TLS]  # the system does not trust it
    assert len(loads) == 1
    assert mode != "async" or loads[0] is not threading.main_thread()


def test_other_files_of_the_environment_are_loaded_anew(
    mode: str, loads: list[threading.Thread], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptServer(tls=authority.server()) as server:
        assert not fetch_all_sync([server.url], mode=mode, retries=0)[0].ok
        monkeypatch.setenv("SSL_CERT_FILE", authority.cacert)
        assert fetch_all_sync([server.url], mode=mode, retries=0)[0].ok
    assert len(loads) == 2


def test_a_certificate_file_of_the_settings_is_loaded_before_the_first_request(
    loads: list[threading.Thread], authority: Authority
) -> None:
    contexts = tls.TlsContexts(Settings(cacert=authority.cacert))
    assert len(loads) == 1
    assert contexts.get(anonymous=False) is contexts.get(anonymous=True) is not None


@pytest.mark.usefixtures("loads")
def test_a_connection_that_the_server_resets_meanwhile_ends_at_once_in_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else asyncio would begin TLS on a closed connection. The other engine loads them before it connects."""
    left = threading.Event()
    load = tls.TlsContexts.load

    def slow(contexts: tls.TlsContexts) -> None:
        assert left.wait(PATIENCE)
        load(contexts)

    def leave(server: socket.socket) -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            connection.close()
            left.set()

    monkeypatch.setattr(tls.TlsContexts, "load", slow)
    with nothing_left(), socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=leave, args=(server,))
        thread.start()
        (result,) = fetch_all_sync([f"https://127.0.0.1:{server.getsockname()[1]}/"], retries=0, timeout=HUNG)
        thread.join()
    assert result.cause is Cause.CONNECT
