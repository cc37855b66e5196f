"""Templates for the names of files: what they may be, and what they make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import any_text

from fetchq.core.name_template import FIELDS, NameTemplate
from fetchq.core.settings import Settings, SettingsError


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("../{filename}", "leaves the folder"),
        ("/tmp/{filename}", "leaves the folder"),
        ("{host}/../../{filename}", "leaves the folder"),
        ("{host}\\{filename}", "leaves the folder"),
        (".cache/{filename}", "would hide a folder"),
        ("{host}/.{filename}", "would hide a file"),
        ("{host}/", "names no file, but a folder"),
        ("", "names no file"),
        ("{fielname}", "did you mean {filename}?"),
        ("{Host}", "did you mean {host}?"),
        ("{qqqq}", "only {index}, {label}"),
        ("{}", "only {index}, {label}"),
        ("{host.name}", "did you mean {host}?"),
        ("{index:x}", "a width, as in {index:06}"),
        ("{index:6}", "a width, as in {index:06}"),
        ("{index:{label}}", "a width"),
        ("{sha256:99999}", "a length, as in {sha256:.8}"),
        ("{label!r}", "converts a field"),
        ("{label", "expected '}'"),
        ("label}", "Single '}'"),
        ("a\nb", "cannot be sent"),
    ],
)
def test_a_template_that_is_none_is_refused_with_the_reason(template: str, problem: str) -> None:
    with pytest.raises(SettingsError) as found:
        Settings(output="run", name=template)
    assert found.value.name == "name"
    assert problem in found.value.message
    assert "\n" not in found.value.message


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("{host}/{path}", ["example.org", "a", "b.html"]),
        ("{index:06}{ext}", ["000012.html"]),
        ("{sha256:.8}-{label}.txt", ["01234567-a_b.txt"]),
        ("all/{{{label}}}", ["all", "{a_b}"]),
        ("fixed.html", ["fixed.html"]),
    ],
)
def test_a_template_is_filled_in(template: str, parts: list[str]) -> None:
    values: dict[str, str | int] = {"host": "example.org", "path": "a/./../b.html", "index": 12, "ext": ".html"}
    values |= {"sha256": "0123456789abcdef", "label": "a:b"}
    assert NameTemplate(template).parts(values.__getitem__) == parts


@given(st.sampled_from(FIELDS), any_text)
def test_no_value_leads_out_of_the_folder(field: str, value: str) -> None:
    for part in NameTemplate(f"x/{{{field}}}").parts(lambda _: 7 if field == "index" else value):
        assert part not in ("", ".", "..")
        assert "/" not in part
