"""The TLS context of a run: whom it trusts, and what it shows of itself. The handshakes are made in memory."""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from support.leaks import nothing_left
from support.waiting import PATIENCE

from fetchq.core.settings import Settings, SettingsError
from fetchq.engines.handshake import TimedSSLSocket
from fetchq.engines.tls import tls_context

HOST = "example.org"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def cacert(authority: trustme.CA, tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return str(file)


@pytest.fixture
def server(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def connect(client: ssl.SSLContext, server: ssl.SSLContext, host: str = HOST) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends of a connection, its handshake done. Raises what either end raises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    us = client.wrap_bio(to_client, to_server, server_hostname=host)
    them = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [us, them]
    for turn in range(12):
        end = waiting[turn % len(waiting)]
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        waiting.remove(end)
        if not waiting:
            return us, them
    raise AssertionError("the handshake does not end")


# --- whom it trusts ---


def test_the_cas_that_were_given_are_trusted(cacert: str, server: ssl.SSLContext) -> None:
    us, _ = connect(tls_context(Settings(cacert=cacert)), server)
    assert us.getpeercert()


def test_the_cas_that_were_given_replace_those_of_the_system(cacert: str) -> None:
    assert tls_context(Settings(cacert=cacert)).cert_store_stats()["x509_ca"] == 1


def test_an_issuer_nobody_knows_is_not_trusted(server: ssl.SSLContext) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(tls_context(Settings()), server)


def test_the_name_in_the_certificate_must_be_that_of_the_host(cacert: str, server: ssl.SSLContext) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="other"):
        connect(tls_context(Settings(cacert=cacert)), server, "other.example")


def test_insecure_trusts_everybody_and_only_when_asked_for(server: ssl.SSLContext) -> None:
    context = tls_context(Settings(insecure=True))
    connect(context, server, "other.example")
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_NONE)
    context = tls_context(Settings())
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_nothing_older_than_tls_1_2_is_spoken() -> None:
    assert tls_context(Settings()).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_http_1_1_is_what_is_spoken_inside(cacert: str, server: ssl.SSLContext) -> None:
    us, them = connect(tls_context(Settings(cacert=cacert)), server)
    assert us.selected_alpn_protocol() == them.selected_alpn_protocol() == "http/1.1"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps its issuers elsewhere")
class TestTheIssuersOfTheSystem:
    def test_are_used_where_they_are_a_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cacert: str) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", cacert)
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "missing"))
        assert tls_context(Settings()).cert_store_stats()["x509_ca"] == 1

    def test_are_used_where_they_are_a_folder(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cacert: str
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
        monkeypatch.setenv("SSL_CERT_DIR", os.path.dirname(cacert))
        assert tls_context(Settings()).cert_store_stats()["x509_ca"] == 0  # a folder is read when it is needed

    @pytest.mark.parametrize("folder", ["missing", "empty"])
    def test_are_those_of_a_package_where_there_are_none(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str
    ) -> None:
        (tmp_path / "empty").mkdir()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / folder))
        assert tls_context(Settings()).cert_store_stats()["x509_ca"] > 50


# --- what it shows of itself ---


@pytest.mark.parametrize("apart", [True, False])
def test_a_certificate_of_the_client_is_shown(
    authority: trustme.CA, cacert: str, server: ssl.SSLContext, tmp_path: Path, apart: bool
) -> None:
    own = authority.issue_cert("client.example")
    if apart:
        own.private_key_pem.write_to_path(tmp_path / "key.pem")
        own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        settings = Settings(cacert=cacert, cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"))
    else:
        own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
        settings = Settings(cacert=cacert, cert=str(tmp_path / "both.pem"))
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    _, them = connect(tls_context(settings), server)
    shown = them.getpeercert()
    assert shown is not None
    assert ("DNS", "client.example") in shown["subjectAltName"]


# --- files that cannot be used ---

NOT_PEM = {"empty": b"", "text": b"hello\n", "bytes": b"\xff\x00" * 50, "cut": b"-----BEGIN CERTIFICATE-----\nAAAA\n"}


@pytest.mark.parametrize("kind", NOT_PEM)
@pytest.mark.parametrize("name", ["cacert", "cert"])
def test_a_file_without_certificates_is_a_wrong_setting(tmp_path: Path, name: str, kind: str) -> None:
    file = tmp_path / "wrong.pem"
    file.write_bytes(NOT_PEM[kind])
    settings = Settings(**{name: str(file)})  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"wrong\.pem") as caught:
        tls_context(settings)
    assert caught.value.name == name


@pytest.mark.parametrize("name", ["cacert", "cert"])
def test_a_file_that_has_gone_is_a_wrong_setting(tmp_path: Path, name: str) -> None:
    file = tmp_path / "gone.pem"
    file.touch()
    settings = Settings(**{name: str(file)})  # type: ignore[arg-type]
    file.unlink()
    with pytest.raises(SettingsError, match=r"gone\.pem") as caught:
        tls_context(settings)
    assert caught.value.name == name


def test_a_certificate_without_its_key_is_a_wrong_setting(authority: trustme.CA, tmp_path: Path) -> None:
    authority.issue_cert("client.example").cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    with pytest.raises(SettingsError, match="no certificate and key"):
        tls_context(Settings(cert=str(tmp_path / "cert.pem")))


def test_a_key_of_another_certificate_is_a_wrong_setting(authority: trustme.CA, tmp_path: Path) -> None:
    authority.issue_cert("client.example").cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.issue_cert("client.example").private_key_pem.write_to_path(tmp_path / "key.pem")
    with pytest.raises(SettingsError, match="no certificate and key"):
        tls_context(Settings(cert=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem")))


ENCRYPTED = """
import sys
from fetchq import Settings, SettingsError
from fetchq.engines.tls import tls_context
try:
    tls_context(Settings(cert=sys.argv[1], key=sys.argv[2]))
except SettingsError as problem:
    print(problem.name)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a console cannot be taken away there")
def test_an_encrypted_key_is_a_wrong_setting_and_nobody_is_asked_for_its_password(
    authority: trustme.CA, tmp_path: Path
) -> None:
    own = authority.issue_cert("client.example")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    key = serialization.load_pem_private_key(own.private_key_pem.bytes(), None)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    # In a session of its own it has no terminal to ask on; where it asks all the same, stderr shows it.
    ran = subprocess.run(
        [sys.executable, "-c", ENCRYPTED, str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert (ran.stdout.strip(), ran.stderr) in (("cert", ""), ("key", ""))


# --- a thread's socket ---


def test_a_connection_that_was_reset_before_tls_leaves_no_socket_open() -> None:
    context = tls_context(Settings(insecure=True))
    context.sslsocket_class = TimedSSLSocket
    with nothing_left(), socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        theirs.close()
        assert select.select([ours], [], [], PATIENCE)[0]
        with pytest.raises(ConnectionResetError):
            context.wrap_socket(ours, server_hostname=HOST)
