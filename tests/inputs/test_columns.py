"""Rows are read as they are meant: what they may say, which keys and columns are mistakes, and which are passed on."""

from __future__ import annotations

import base64
import io
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq import Request
from fetchq.core.request_parts import with_query
from fetchq.inputs.iterables import number
from fetchq.inputs.opening import open_sources

URL = "https://example.org/a"
DIGEST = "ab" * 32


def read(text: str, form: str = "jsonl", **options: Any) -> list[Request]:
    source = open_sources(["-"], input_format=form, stdin=io.BytesIO(text.encode()), **options)
    return [request for batch in source for request in batch]


def row(passed: tuple[str, ...] = (), **keys: Any) -> Request:
    (request,) = read(json.dumps({"url": URL} | keys, ensure_ascii=False), passed=passed)
    return request


def cells(header: str, line: str, passed: tuple[str, ...] = ()) -> Request:
    (request,) = read(f"url,{header}\n{URL},{line}\n", "csv", passed=passed)
    return request


def basic(text: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(text.encode()).decode()


# --- what a row may say -----------------------------------------------------------------------------------------


def test_a_json_row_and_a_csv_row_and_a_request_say_the_same() -> None:
    parts = {"json": {"a": [1, "é"]}, "params": {"q": "a b"}, "auth": "me:p:w", "cookies": "a=1; b=2"}
    fields = {"checksum": f"sha256:{DIGEST}", "filename": "é.txt"}
    wanted = Request(f"{URL}?q=a+b", 0, body='{"a":[1,"é"]}'.encode(), **fields)
    headers = (("Content-Type", "application/json"), basic("me:p:w"), ("Cookie", "a=1; b=2"))
    found = [
        row(**parts, **fields),
        *number([Request(URL, **parts, **fields)]),
        cells(
            "json,params,auth,cookies,checksum,filename",
            f'"{{""a"": [1, ""é""]}}",q=a+b,me:p:w,a=1; b=2,SHA256:{DIGEST.upper()},é.txt',
        ),
    ]
    for one in found:
        assert (one, one.headers) == (Request(wanted.url, 0, None, headers, wanted.body, **fields), headers)


@pytest.mark.parametrize("value", [None, {}, [], 0, False, "text", [10**40], {"": "\u2028"}])
def test_any_json_value_but_null_is_a_body(value: Any) -> None:
    body = row(json=value).body
    assert body == next(number([Request(URL, json=value)])).body
    assert (None if body is None else json.loads(body)) == value


def test_a_bearer_token_and_pairs_are_taken_too() -> None:
    assert row(bearer="abc=").headers == (("Authorization", "Bearer abc="),)
    assert row(auth=["me", "p:w"]).headers == (basic("me:p:w"),)
    assert row(cookies=[["a", 1], ["a", "2"]]).headers == (("Cookie", "a=1; a=2"),)
    assert row(params=[["a", 1], ["a", True]], url=f"{URL}?b#c").url == f"{URL}?b&a=1&a=true#c"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@examples(60)
@given(st.dictionaries(TEXTS, st.lists(TEXTS, min_size=1)), st.sampled_from(["", "?", "?a=1", "?a&", "?#f", "#f?x"]))
def test_params_are_added_to_the_query_as_a_form_has_them(params: dict[str, list[str]], end: str) -> None:
    before = urlsplit(URL + end)
    after = urlsplit(Request(URL + end, params=params).url)
    assert after._replace(query="") == before._replace(query="")
    added = [(name, value) for name, values in params.items() for value in values]
    kept = parse_qsl(before.query, keep_blank_values=True)
    assert parse_qsl(after.query, keep_blank_values=True, max_num_fields=None) == kept + added


def test_params_may_be_a_text_that_is_taken_as_it_is() -> None:
    assert row(params="?a=%20&b").url == f"{URL}?a=%20&b"
    assert with_query(URL, "") == URL
    assert cells("params", '"{""a"":[1,2]}"').url == f"{URL}?a=1&a=2"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"json": 1, "body": ""}, "'json' and 'body' are both the body; give one of them"),
        ({"auth": "SECRET"}, "'auth' is given as user:password"),
        ({"auth": ["a:b", "SECRET"]}, "'auth' is a user, without a colon, and a password, both texts"),
        (
            {"auth": "a:b", "bearer": "SECRET"},
            "'auth' and 'bearer' are both the header Authorization; give one of them",
        ),
        ({"bearer": "Bearer SECRET"}, "a bearer token is one word of ASCII characters, without 'Bearer'"),
        ({"auth": "a:b", "headers": {"AUTHORIZATION": "x"}}, "'auth' and a header Authorization; give one of them"),
        ({"params": 5}, "'params' is neither names with their values nor a text"),
        ({"params": {"a": {"SECRET": 1}}}, "'params' has a value that is neither a text nor a number"),
        ({"cookies": {"a": "SECRET; b=c"}}, "'cookies' has a name or a value that cannot be sent"),
        ({"checksum": "md5:abc"}, "the checksum is of a kind that fetchq does not know (md5); it knows sha256:..."),
        ({"checksum": DIGEST}, "the checksum does not say its kind: sha256:..."),
        ({"checksum": "sha256:abc"}, "the checksum is not sha256: with 64 hexadecimal digits"),
        ({"filename": 5}, "'filename' is not a text"),
    ],
)
def test_a_row_that_cannot_be_meant_says_what_is_wrong_and_no_secret(keys: dict[str, Any], problem: str) -> None:
    found = row(**keys)
    assert (found.url, found.problem) == (URL, f"line 1: {problem}")
    if "filename" not in keys and "body" not in keys:
        (found,) = number([Request(URL, **keys)])
        assert found.problem == problem
    assert "SECRET" not in str(found)


# --- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("metod", "did you mean 'method'?"),
        ("Method", "did you mean 'method'?"),
        ("data", "did you mean 'body'?"),
        ("token", "did you mean 'bearer'?"),
        ("lable", "did you mean 'label'?"),
        ("path", "--pass path puts it into the record"),
        ("sku", "--pass sku puts it into the record"),
    ],
)
def test_an_unknown_key_is_an_error_of_its_row_that_names_the_nearest_right_word(key: str, hint: str) -> None:
    assert row(**{key: "x"}).problem == f"line 1: unknown key {key!r}; {hint}"
    for passed in ((key,), ("*",)):
        found = row(passed, **{key: "x"})
        assert (found.problem, found.passed) == (None, f'{{"{key}":"x"}}')


def test_a_word_that_the_row_has_already_is_not_what_is_meant() -> None:
    assert (
        row(method="PUT", methods=1).problem == "line 1: unknown key 'methods'; --pass methods puts it into the record"
    )


def test_what_a_row_passes_on_is_in_the_record_of_an_unusable_row_too() -> None:
    found = row(("id",), id=7, metod="POST")
    assert (found.problem, found.passed) == ("line 1: unknown key 'metod'; did you mean 'method'?", '{"id":7}')


# --- passed on --------------------------------------------------------------------------------------------------


@examples(60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
        lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
        max_leaves=5,
    )
)
def test_a_value_of_json_is_passed_on_unchanged(value: Any) -> None:
    passed = row(("*",), id=value).passed
    assert passed is not None
    assert json.loads(passed) == {"id": value}
    (same,) = number([Request(URL, passed={"id": value})])
    assert same.passed == passed


def test_the_named_columns_are_in_each_row_and_all_others_where_they_are() -> None:
    assert row(("a", "b"), b=1).passed == '{"a":null,"b":1}'
    assert row(("*",), method="GET").passed == "{}"
    assert cells("a,method,b", "1,GET,", ("*",)).passed == '{"a":"1","b":""}'
    assert cells("a,b", "1,2", ("b",)).passed == '{"b":"2"}'
    assert cells("a,b", "1,2").passed is None
    found = read(f'"{URL}"\n7\n{{"url": 7, "b": 8}}\n{{', passed=("a", "b"))
    assert [one.passed for one in found] == [*['{"a":null,"b":null}'] * 2, '{"a":null,"b":8}', '{"a":null,"b":null}']
