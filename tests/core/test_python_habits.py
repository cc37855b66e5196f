"""What Python programs do with any dataclass works with a Result: copies, dictionaries, sets, JSON, web frameworks."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import any_text, examples, failed_result, header_map, make_result

from fetchq import Cause, Request, Result, Results
from fetchq.core.model import RECORD_FIELDS
from fetchq.core.redirect_hop import HopTiming, RedirectHop
from fetchq.core.unlisted_fields import every_field

FULL = make_result(
    body=b"\x89PNG\xff",
    headers=[("Set-Cookie", "a"), ("set-cookie", "b")],
    trailers=header_map([("Digest", "x")]),
    hops=(RedirectHop(301, "http://a/", 0.1, HopTiming()),),
)
FAILED = failed_result(Cause.DNS, index=1, started=None)
OWN = {"_spool", "_sent", "_duplicate_of", "_exchanges"}
"""What a run keeps in a Result for itself."""


def test_asdict_gives_the_record_with_headers_trailers_and_redirects_but_no_body() -> None:
    given = dataclasses.asdict(FULL)
    assert list(given) == [*RECORD_FIELDS, "headers", "trailers", "hops", "passed"]
    assert given["headers"].getall("SET-cookie") == ["a", "b"]
    assert given["hops"][0]["timing"]["dns"] == 0.0
    assert given["timing"] == dataclasses.asdict(FULL.timing)
    assert len(dataclasses.astuple(FAILED)) == len(given)


def test_what_a_run_keeps_for_itself_is_nowhere_to_be_seen() -> None:
    assert {one.name for one in every_field(Result)} >= OWN
    assert not {one.name for one in dataclasses.fields(Result)} & OWN
    assert not {name.removeprefix("_") for name in OWN} & set(dir(FULL))
    assert not [name for name in OWN if name in repr(FULL)]
    assert dataclasses.replace(FULL, _duplicate_of=0) == FULL


def test_a_changed_copy_keeps_the_body_and_what_the_run_keeps() -> None:
    changed = dataclasses.replace(dataclasses.replace(FULL, _duplicate_of=7), label="x")
    assert (changed.label, changed.body, changed._duplicate_of) == ("x", FULL.body, 7)
    assert changed != FULL
    assert dataclasses.replace(FULL, body=b"") != FULL


@examples(50)
@given(label=st.none() | any_text, body=st.binary(max_size=5), status=st.none() | st.integers(200, 299))
def test_equal_results_have_one_hash(label: str | None, body: bytes, status: int | None) -> None:
    one = make_result(label=label, body=body, status=status, headers=[("A", "b")])
    for same in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one)), dataclasses.replace(one)):
        assert same == one
        assert hash(same) == hash(one)
    assert len({one, copy.copy(one), dataclasses.replace(one, index=9)}) == 2


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_request_shows_only_what_callers_set_and_its_copies_keep_the_rest(copied: Any) -> None:
    request = dataclasses.replace(Request("http://h/", label="x", headers={"A": "b"}), _part="p", _duplicate_of=3)
    assert copied(request) == request
    assert (copied(request)._part, copied(request)._duplicate_of) == ("p", 3)
    assert not [name for name in dataclasses.asdict(request) if name in ("part", "duplicate_of") or name[0] == "_"]


def test_a_record_can_be_written_by_json() -> None:
    record = FULL.to_record(["headers", "hops", "base64"])
    assert json.loads(json.dumps(record)) == record
    assert record["started"] == "2026-01-02T03:04:05.678901Z"
    assert FAILED.to_record()["started"] is None
    assert FULL.to_record("headers")["headers"] == {"set-cookie": ["a", "b"]}
    with pytest.raises(ValueError, match="'txt' is none of headers, hops, text, base64; did you mean 'text'"):
        FULL.to_record(["hops", "txt"])


def test_results_can_be_copied_and_pickled_with_their_summary() -> None:
    results = Results([FULL, FAILED])
    for same in (copy.copy(results), copy.deepcopy(results), pickle.loads(pickle.dumps(results))):
        assert type(same) is Results
        assert same == results
        assert same.summary == results.summary
