"""International names become what browsers make of them (UTS #46, non-transitional), or are refused: no other host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.http.international import domain_to_ascii
from fetchq.http.url import Refused, host_of, parse_url


def host(name: str) -> str | None:
    try:
        return parse_url(f"http://{name}/").url.raw_host
    except Refused:
        return None


@pytest.mark.parametrize(
    ("name", "ascii_name"),
    [
        ("stra\u00dfe.example", "xn--strae-oqa.example"),
        ("\U0001f600\u00df.example", "xn--zca1967w.example"),
        ("-x.\u00df", "-x.xn--zca"),
        ("\u2603.example", "xn--n3h.example"),
        ("B\u00dcCHER.Example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("\u03b1\u03c3\u03c2.example", "xn--mxa8ac.example"),
        ("\u65e5\u672c\u3002example", "xn--wgv71a.example"),
        ("\uff45xample.example", "example.example"),
        ("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.example", "xn--mgba3gch31f060k.example"),
        ("\u0dc1\u0dca\u200d\u0dbb\u0dd3.example", "xn--10cl1a0b660p.example"),
        ("soft\u00adhyphen.example", "softhyphen.example"),
        ("i\ufe0f.example", "i.example"),
        ("\u2764\ufe0f.example", "xn--qei.example"),
        ("XN--BCHER-KVA.\u00fc.example", "xn--bcher-kva.xn--tda.example"),
        ("\u05d0\u05d1.example", "xn--4dbc.example"),
        ("\uff11\uff12\uff17.1", "127.0.0.1"),
        ("ex%41mple.example", "example.example"),
        ("b%C3%BCcher.example", "xn--bcher-kva.example"),
        ("%31%32%37.0.0.1", "127.0.0.1"),
    ],
)
def test_a_name_is_encoded_as_in_browsers(name: str, ascii_name: str) -> None:
    assert host(name) == ascii_name


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a\u200db.example", id="a joiner between Latin letters"),
        pytest.param("a\u200cb.example", id="a non-joiner between Latin letters"),
        pytest.param("\u0300a.example", id="a mark without a letter before it"),
        pytest.param("\u05d0a.example", id="both directions in one label"),
        pytest.param("1.\u05d0b\u05d0.example", id="a digit before a label from right to left"),
        pytest.param("xn--a.\u00fc.example", id="an A-label that nothing is encoded as"),
        pytest.param("xn--bcher-kv\u00e4.example", id="an A-label that is not in ASCII"),
        pytest.param("xn--abc-.\u00fc.example", id="an A-label of ASCII alone"),
        pytest.param("xn--strasse-\u00df.example", id="an A-label of letters that are not in ASCII"),
        pytest.param("a\u2100b.example", id="a slash in the letters"),
        pytest.param("a\uff05b.example", id="a percent sign in the letters"),
        pytest.param("a\uffffb.example", id="a character that is none"),
        pytest.param("\u00ad", id="nothing is left"),
        pytest.param("a.\u00ad.example", id="a label of which nothing is left"),
        pytest.param("\u00fc" * 70 + ".example", id="a label that DNS cannot have"),
        pytest.param("a\u00ad" * 5_000, id="a name that is far too long"),
        pytest.param("%FF.example", id="not UTF-8"),
        pytest.param("a%2fb.example", id="an encoded slash"),
        pytest.param("a%40b.example", id="an encoded at sign"),
        pytest.param("a%25b.example", id="an encoded percent sign"),
        pytest.param("a%zz.example", id="a percent sign that encodes nothing"),
    ],
)
def test_a_name_that_browsers_refuse_is_refused(name: str) -> None:
    assert host(name) is None


@examples(500)
@given(
    st.text(
        st.sampled_from("aB1-.\u00df\u03c2\u00fc\u0308\u200c\u200d\u00ad\ufe0f\u3002\u05d0\u0664\U0001f600\u094d\u0915")
    )
    | st.text()
    | st.text(max_size=4).map("xn--{}.\u00fc".format)
)
def test_a_name_once_encoded_stays_as_it_is_and_a_sharp_s_stays_one(name: str) -> None:
    encoded = domain_to_ascii(name)
    if encoded is None:
        return
    assert encoded.isascii()
    assert domain_to_ascii(encoded) == encoded
    assert encoded == encoded.lower()
    if not name.isascii() and set(name) <= set("ab\u00df\u03c2\U0001f600"):
        assert encoded.removeprefix("xn--").encode().decode("punycode") == name


def test_a_name_in_ascii_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fetchq.http.url.domain_to_ascii", None)
    assert host("XN--anything.example") == "xn--anything.example"


@pytest.mark.parametrize(
    "url",
    ["http://B\u00dcCHER.example:81/", "http://xn--bcher-kva.example:81/a", "http://u:p@b%C3%BCcher.example:81"],
)
def test_all_ways_to_write_a_name_count_as_one_host(url: str) -> None:
    assert host_of(url) == "http://xn--bcher-kva.example:81"
