"""Rows and Results come out of another process as they were."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import any_text, examples, failed_result, header_map, make_result

from fetchq import Cause, Request, Result
from fetchq.core.body_spool import MAX_IN_MEMORY, Spool
from fetchq.core.model import Timing
from fetchq.core.redirect_hop import HopTiming, RedirectHop
from fetchq.core.unlisted_fields import every_value
from fetchq.processes.transfer import decode_results, decode_rows, encode_results, encode_rows

seconds = st.floats(0, 1e6)
results = st.builds(
    make_result,
    index=st.integers(0, 2**40),
    url=any_text,
    label=st.none() | any_text,
    cause=st.none() | st.sampled_from(Cause),
    reason=st.none() | any_text,
    body=st.binary(max_size=100),
    headers=st.lists(st.tuples(st.sampled_from(["A", "B"]), any_text), max_size=3),
    trailers=st.none() | st.just(header_map([("C", "d")])),
    timing=st.builds(Timing, queued=seconds, tls=st.none() | seconds),
    started=st.none() | st.just(make_result().started),
    passed=st.none() | st.just({"a": [1, None, "b"]}),
    worker=st.none() | st.integers(1, 9),
)


@given(st.lists(results, max_size=5))
@examples(100)
def test_results_are_what_they_were(given: list[Result]) -> None:
    found = decode_results(encode_results(given, "nowhere"))
    assert [every_value(one) for one in found] == [every_value(one) for one in given]


@given(
    st.lists(
        st.builds(
            Request,
            url=any_text,
            index=st.integers(0, 2**40),
            method=st.none() | any_text,
            headers=st.lists(st.tuples(any_text, any_text), max_size=2).map(tuple),
            body=st.none() | st.binary(),
            label=st.none() | any_text,
            priority=st.integers(-5, 5),
        ),
        max_size=5,
    )
)
@examples(100)
def test_rows_are_what_they_were(given: list[Request]) -> None:
    found = decode_rows(encode_rows(given))
    assert [every_value(one) for one in found] == [every_value(one) for one in given]


@pytest.mark.parametrize("size", [MAX_IN_MEMORY, MAX_IN_MEMORY + 1, 1_000_000])
def test_a_large_body_goes_through_a_file_that_is_gone_afterwards(tmp_path: Path, size: int) -> None:
    given = make_result(body=os.urandom(size))
    sent = encode_results([make_result(index=1), given], str(tmp_path))
    assert len(sent) < MAX_IN_MEMORY + 3000
    assert bool(list(tmp_path.iterdir())) == (size > MAX_IN_MEMORY)
    assert decode_results(sent)[1].body == given.body
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 10, MAX_IN_MEMORY + 1])
def test_a_body_on_its_way_to_a_folder_goes_on_in_another_process(tmp_path: Path, size: int) -> None:
    (tmp_path / "tmp").mkdir()
    spool = Spool(str(tmp_path))
    body = os.urandom(size)
    for piece in (body[:5], body[5:]):
        spool.add(piece)
        if spool.due:
            spool.write()
    spool.file_name = "name.txt"
    (found,) = decode_results(encode_results([make_result(_spool=spool)], "nowhere"))
    assert found._spool is not None
    assert b"".join(found._spool.pieces()) == body
    assert (found._spool.size, found._spool.file_name) == (size, "name.txt")
    assert Path(found._spool.path()).read_bytes() == body


def test_what_only_few_results_have_comes_along() -> None:
    hops = (RedirectHop(302, "http://example.org/", 0.5, HopTiming(wait=0.5)),)
    given = [failed_result(Cause.TIMEOUT), make_result(hops=hops, trailers=header_map([("X", "1")]))]
    found = decode_results(encode_results(given, "nowhere"))
    assert found[1].hops == hops
    assert found[1].trailers == given[1].trailers
    assert found[0].cause is Cause.TIMEOUT


class Text(str):
    """A text of a class that only this process knows."""

    __slots__ = ()


def test_a_text_of_a_subclass_is_a_plain_one_in_the_other_process() -> None:
    (found,) = decode_rows(encode_rows([Request(Text("http://example.org/"), label=Text("one"))]))
    assert (type(found.url), found.label, type(found.label)) == (str, "one", str)


def test_a_row_that_has_a_stored_response_keeps_it() -> None:
    stored: Any = {"anything": "that pickle can write"}
    row = Request("http://example.org/", _stored_response=object.__new__(Stored))
    (found,) = decode_rows(encode_rows([row]))
    assert isinstance(found._stored_response, Stored), stored


class Stored:
    """Stands for a response of an earlier run."""
