"""Dialling tries one address after the other, soon side by side, and leaves open the one socket that it returns."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.leaks import nothing_left
from support.servers import need
from support.waiting import A_MOMENT, HUNG

from fetchq.engines.requests import dial as module
from fetchq.engines.requests.dial import Address, dial, look_up


def patient() -> float:
    return perf_counter() + HUNG


def unchecked() -> None:
    pass


def address_of(sock: socket.socket) -> Address:
    return socket.AF_INET, sock.getsockname()


@contextmanager
def listening() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield address_of(listener)


@contextmanager
def refusing() -> Iterator[Address]:
    """Nobody listens there, and nobody will meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield address_of(taken)


@contextmanager
def unanswering() -> Iterator[Address]:
    """A SYN gets no answer there: the listener's queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            with socket.socket() as probe:
                probe.settimeout(A_MOMENT)
                need(probe.connect_ex(listener.getsockname()) != 0, "a full queue answers on this system")
            yield address_of(listener)
        finally:
            for filler in fillers:
                filler.close()


# --- dialling --------------------------------------------------------------------------------------------------------


def test_the_first_address_is_dialled_and_no_other() -> None:
    with (
        nothing_left(),
        listening() as first,
        listening() as second,
        dial([first, second], patient(), unchecked) as sock,
    ):
        assert sock.getpeername() == first[1]


def test_what_comes_back_is_connected_and_blocking() -> None:
    with nothing_left(), listening() as there, dial([there], patient(), unchecked) as sock:
        assert sock.getpeername() == there[1]
        assert sock.getblocking()


@pytest.mark.parametrize("bad", [1, 2, 5])
def test_the_next_address_is_dialled_at_once_where_one_refuses(bad: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAGGER", 10 * HUNG)
    with (
        nothing_left(),
        refusing() as closed,
        listening() as there,
        dial([closed] * bad + [there], patient(), unchecked) as sock,
    ):
        assert sock.getpeername() == there[1]


def test_the_next_address_is_dialled_beside_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAGGER", 0.02)
    with nothing_left(), unanswering() as silent, listening() as there:
        began = perf_counter()
        with dial([silent, silent, there], patient(), unchecked) as sock:
            assert sock.getpeername() == there[1]
        assert perf_counter() - began >= 2 * 0.02, "each has some time for itself"


def test_an_address_that_cannot_even_be_tried_is_passed_over() -> None:
    # A socket of one family cannot be connected to an address of another.
    wrong: Address = (socket.AF_UNIX, ("/nonexistent/socket",))
    with nothing_left(), listening() as there, dial([wrong, there], patient(), unchecked) as sock:
        assert sock.getpeername() == there[1]


def test_where_every_address_refuses_the_error_says_so() -> None:
    with nothing_left(), refusing() as closed, pytest.raises(ConnectionRefusedError) as found:
        dial([closed, closed], patient(), unchecked)
    assert found.value.errno == errno.ECONNREFUSED


def test_without_an_address_the_error_says_that_there_is_none() -> None:
    with nothing_left(), pytest.raises(OSError, match="no address") as found:
        dial([], patient(), unchecked)
    assert found.value.errno == errno.EADDRNOTAVAIL


def test_an_address_that_does_not_answer_ends_in_timeouterror_when_the_time_is_up() -> None:
    with nothing_left(), unanswering() as silent:
        until = perf_counter() + 0.05
        with pytest.raises(TimeoutError):
            dial([silent], until, unchecked)
        assert perf_counter() >= until


def test_addresses_that_wait_for_their_turn_do_not_prolong_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAGGER", 10 * HUNG)
    with nothing_left(), unanswering() as silent, listening() as never_tried, pytest.raises(TimeoutError):
        dial([silent, never_tried], perf_counter() + 0.05, unchecked)


def test_when_the_time_is_up_before_it_begins_nothing_is_dialled() -> None:
    with nothing_left(), listening() as there, pytest.raises(TimeoutError):
        dial([there], perf_counter(), unchecked)


def test_what_check_raises_ends_the_dialling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAGGER", 0.001)
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt

    with nothing_left(), unanswering() as silent, pytest.raises(KeyboardInterrupt):
        dial([silent, silent], patient(), check)
    assert calls == 5


def test_check_is_called_again_and_again_while_nothing_happens() -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt

    with nothing_left(), unanswering() as silent, pytest.raises(KeyboardInterrupt):
        dial([silent], perf_counter() + HUNG, check)


@given(st.lists(st.sampled_from(["open", "closed"]), max_size=6))
@settings(max_examples=30, deadline=None)
def test_of_any_addresses_the_first_that_answers_is_taken(kinds: list[str]) -> None:
    with nothing_left(), listening() as open_, refusing() as closed:
        addresses = [open_ if kind == "open" else closed for kind in kinds]
        if "open" in kinds:
            with dial(addresses, patient(), unchecked) as sock:
                assert sock.getpeername() == open_[1]
        else:
            with pytest.raises(OSError, match=r"refused|no address"):
                dial(addresses, patient(), unchecked)


# --- looking up ------------------------------------------------------------------------------------------------------


def found(*addresses: str) -> list[tuple[int, int, int, str, tuple[str | int, ...]]]:
    """What getaddrinfo gives for them, each for TCP and then, as some systems do, once more."""
    answers = []
    for address in addresses * 2:
        if ":" in address:
            answers.append((socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 80, 0, 0)))
        else:
            answers.append((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)))
    return answers


def hosts(addresses: list[Address]) -> list[object]:
    return [address[0] for _, address in addresses]


def test_the_families_take_turns_and_ipv6_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = found("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answers)
    assert hosts(look_up("h", 80, socket.AF_UNSPEC)) == [
        "2001:db8::1",
        "192.0.2.1",
        "2001:db8::2",
        "192.0.2.2",
        "192.0.2.3",
    ]


@pytest.mark.parametrize("addresses", [["192.0.2.1", "192.0.2.2"], ["2001:db8::1", "2001:db8::2"], []])
def test_addresses_of_one_family_keep_their_order(addresses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found(*addresses))
    assert hosts(look_up("h", 80, socket.AF_UNSPEC)) == addresses


def test_a_real_name_is_found_and_the_family_is_obeyed() -> None:
    assert look_up("localhost", 81, socket.AF_INET) == [(socket.AF_INET, ("127.0.0.1", 81))]
    with pytest.raises(socket.gaierror):
        look_up("no-such-name.invalid", 80, socket.AF_UNSPEC)
