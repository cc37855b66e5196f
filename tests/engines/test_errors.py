"""From an exception of the network to a cause, however deep the libraries wrap it."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from support.factories import any_text, examples

from fetchq.core.model import Cause
from fetchq.engines.errors import closed_early, network_failure, no_such_name
from fetchq.http.failure import AttemptFailed


def os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def found(problem: BaseException, *, answering: bool = False) -> AttemptFailed:
    failed = network_failure(problem, answering=answering)
    assert failed is not None
    return failed


# --- each kind ---


@pytest.mark.parametrize(
    ("problem", "cause", "message"),
    [
        (os_error(errno.ECONNREFUSED), Cause.CONNECT, "connection refused"),
        (os_error(errno.ENETUNREACH), Cause.CONNECT, "network unreachable"),
        (os_error(errno.EHOSTUNREACH), Cause.CONNECT, "host unreachable"),
        (os_error(errno.ECONNRESET), Cause.CONNECT, "the connection was reset before an answer"),
        (os_error(errno.EPIPE), Cause.CONNECT, "the connection was reset before an answer"),
        (os_error(errno.ECONNABORTED), Cause.CONNECT, "the connection was reset before an answer"),
        (os_error(errno.ENOTCONN), Cause.CONNECT, "the connection was reset before an answer"),
        (ConnectionResetError(), Cause.CONNECT, "the connection was reset before an answer"),
        (ConnectionResetError("Cannot write to closing transport"), Cause.CONNECT, "reset before an answer"),
        (BrokenPipeError(), Cause.CONNECT, "reset before an answer"),
        (os_error(errno.EACCES), Cause.CONNECT, os.strerror(errno.EACCES)),
        (os_error(errno.ETIMEDOUT), Cause.CONNECT, os.strerror(errno.ETIMEDOUT)),
        (OSError(99999, None), Cause.CONNECT, "connection failed"),
        (OSError(errno.EINVAL, None), Cause.CONNECT, "EINVAL"),
        (TimeoutError(), Cause.TIMEOUT, "timed out"),
        (TimeoutError("timed out"), Cause.TIMEOUT, "timed out"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Cause.DNS, "there is no such name"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), Cause.DNS, "no answer: Temporary failure"),
        (socket.gaierror(socket.EAI_FAIL, "Server failure"), Cause.DNS, "no answer: Server failure"),
        (ssl.SSLEOFError(8, "EOF occurred"), Cause.CONNECT, "the connection was closed before an answer"),
        (ssl.SSLZeroReturnError(6, "closed"), Cause.CONNECT, "the connection was closed before an answer"),
    ],
)
def test_each_exception_of_the_network_has_its_cause(problem: BaseException, cause: Cause, message: str) -> None:
    failed = found(problem)
    assert failed.cause is cause
    assert message in failed.message


@pytest.mark.parametrize(
    "problem",
    [
        os_error(errno.ECONNRESET),
        os_error(errno.EPIPE),
        os_error(errno.EHOSTUNREACH),
        ssl.SSLEOFError(8, "EOF occurred"),
        ssl.SSLZeroReturnError(6, "closed"),
    ],
)
def test_a_connection_that_ends_inside_an_answer_leaves_it_incomplete(problem: OSError) -> None:
    assert found(problem, answering=True).cause is Cause.INCOMPLETE
    assert found(problem, answering=False).cause is Cause.CONNECT


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
@pytest.mark.parametrize("answering", [True, False])
def test_a_machine_without_descriptors_is_a_local_limit_and_the_server_is_not_to_blame(
    code: int, answering: bool
) -> None:
    failed = found(os_error(code), answering=answering)
    assert (failed.local_limit, failed.permanent) == (True, False)
    assert "this machine is at a limit" in failed.message


def test_only_a_name_that_does_not_exist_is_permanent() -> None:
    assert found(socket.gaierror(socket.EAI_NONAME, "")).permanent
    assert not found(socket.gaierror(socket.EAI_AGAIN, "")).permanent
    assert no_such_name().permanent
    assert no_such_name().cause is Cause.DNS


def test_a_failure_that_is_already_one_stays_as_it_is() -> None:
    failed = AttemptFailed(Cause.TOO_LARGE, "too much")
    assert network_failure(failed, answering=True) is failed


@pytest.mark.parametrize("problem", [ValueError("x"), OSError("no number"), KeyError(ConnectionError), Exception()])
def test_what_is_not_of_the_network_has_no_cause(problem: Exception) -> None:
    assert network_failure(problem, answering=False) is None


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_an_early_end_says_how_it_came(how: str) -> None:
    assert how in closed_early(answering=True, how=how).message
    assert closed_early(answering=True).cause is Cause.INCOMPLETE
    assert closed_early(answering=False).cause is Cause.CONNECT


# --- TLS, as it really fails ---


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str = "example.org") -> None:
    """A handshake in memory. Raises what the client's side raises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    us = client.wrap_bio(to_client, to_server, server_hostname=name)
    them = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        try:
            us.do_handshake()
        except ssl.SSLWantReadError:
            pass
        else:
            return
        with suppress(ssl.SSLWantReadError):
            them.do_handshake()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(authority: trustme.CA, *, trust: bool = True, **certificate: Any) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client, server = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if trust:
        authority.configure_trust(client)
    name = certificate.pop("name", "example.org")
    authority.issue_cert(name, **certificate).configure_cert(server)
    return client, server


def raised(call: Callable[..., object], *args: Any) -> ssl.SSLError:
    with pytest.raises(ssl.SSLError) as caught:
        call(*args)
    return caught.value


def test_an_unknown_issuer_is_named(authority: trustme.CA) -> None:
    failed = found(raised(handshake, *contexts(authority, trust=False)))
    assert failed.cause is Cause.TLS
    assert "certificate is not valid" in failed.message
    assert "issuer" in failed.message or "self-signed" in failed.message


def test_a_wrong_host_is_named(authority: trustme.CA) -> None:
    failed = found(raised(handshake, *contexts(authority, name="other.example")))
    assert failed.cause is Cause.TLS
    assert "example.org" in failed.message


def test_an_expired_certificate_is_named(authority: trustme.CA) -> None:
    failed = found(raised(handshake, *contexts(authority, not_after=datetime(2020, 1, 1, tzinfo=UTC))))
    assert failed.cause is Cause.TLS
    assert "expired" in failed.message


def plain_http_in_the_handshake() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    us = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="example.org")
    incoming.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    us.do_handshake()


def test_plain_http_where_tls_is_expected_is_a_tls_failure() -> None:
    failed = found(raised(plain_http_in_the_handshake))
    assert failed.cause is Cause.TLS
    assert failed.message.startswith("TLS failed: ")
    assert "_" not in failed.message


def test_a_connection_that_is_closed_in_the_handshake_is_closed_early() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    us = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="example.org")
    incoming.write_eof()
    assert found(raised(us.do_handshake)).message == "the connection was closed before an answer"


@pytest.mark.parametrize("kind", [ssl.SSLError, ssl.SSLCertVerificationError])
def test_a_tls_error_that_was_not_made_by_openssl_is_one_all_the_same(kind: type[ssl.SSLError]) -> None:
    failed = found(kind("bad handshake"))  # it has neither a reason nor a verify_message
    assert failed.cause is Cause.TLS
    assert "bad handshake" in failed.message


# --- wrapped by a library ---


class Wrapped(Exception):
    """As libraries make them: what went wrong is an attribute."""

    os_error: object = None
    reason: object = None


def by_cause(inner: BaseException) -> Exception:
    outer = Exception("outer")
    outer.__cause__ = inner
    return outer


def by_context(inner: BaseException) -> Exception:
    outer = Exception("outer")
    outer.__context__ = inner
    return outer


def by_argument(inner: BaseException) -> Exception:
    return Exception("Connection aborted.", inner)


def by_reason(inner: BaseException) -> Exception:
    outer = Wrapped()
    outer.reason = inner
    return outer


def by_os_error(inner: BaseException) -> Exception:
    outer = Wrapped()
    outer.os_error = inner
    return outer


WRAPPERS = [by_cause, by_context, by_argument, by_reason, by_os_error]


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("again", WRAPPERS)
def test_the_exception_of_the_network_is_found_inside_others(
    wrap: Callable[[BaseException], Exception], again: Callable[[BaseException], Exception]
) -> None:
    assert found(again(wrap(os_error(errno.ECONNREFUSED)))).message == "connection refused"


def test_what_tls_says_itself_goes_before_what_a_library_makes_of_it() -> None:
    class Dressed(ssl.SSLError):
        """As aiohttp makes them: an SSLError whose words are its own."""

    said = raised(plain_http_in_the_handshake)
    outer = Dressed("cannot connect to host")
    outer.__cause__ = said
    assert found(outer).message == found(said).message
    assert "cannot connect" not in found(outer).message


def test_the_outermost_exception_of_the_network_counts() -> None:
    outer = TimeoutError()
    outer.__context__ = os_error(errno.ECONNREFUSED)
    assert found(by_argument(outer)).cause is Cause.TIMEOUT


def test_a_context_that_was_set_aside_does_not_count() -> None:
    outer = by_context(os_error(errno.ECONNREFUSED))
    outer.__suppress_context__ = True
    assert network_failure(outer, answering=False) is None


def test_exceptions_in_a_circle_are_looked_at_once() -> None:
    first, second = Exception(), Exception()
    first.__cause__, second.__cause__ = second, first
    first.args = (second, first)
    assert network_failure(first, answering=False) is None


def test_an_error_without_a_number_inside_a_numbered_one_is_passed_over() -> None:
    outer = OSError("Multiple exceptions")
    outer.__cause__ = os_error(errno.EHOSTUNREACH)
    assert found(outer).message == "host unreachable"


leaves = st.sampled_from(
    [ConnectionResetError(), TimeoutError(), ValueError("x"), os_error(errno.EMFILE), OSError("x"), KeyError("x")]
) | any_text.map(lambda text: OSError(errno.EIO, text))
trees = st.recursive(leaves, lambda inner: st.builds(lambda wrap, one: wrap(one), st.sampled_from(WRAPPERS), inner))


@examples(200)
@given(trees, st.booleans())
def test_any_tree_of_exceptions_has_one_cause_or_none(problem: BaseException, answering: bool) -> None:
    failed = network_failure(problem, answering=answering)
    if failed is not None:
        assert failed.cause in (Cause.CONNECT, Cause.INCOMPLETE, Cause.TIMEOUT)
        assert failed.message


def test_tls_that_waited_for_a_connection_that_was_reset_is_no_tls_failure() -> None:
    reset = os_error(errno.ECONNRESET)
    reset.__context__ = ssl.SSLWantReadError(2, "The operation did not complete (read)")
    assert found(reset).cause is Cause.CONNECT
