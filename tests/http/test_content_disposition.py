"""The names that servers suggest in Content-Disposition, by RFC 6266 and as they really come."""

from __future__ import annotations

import pytest
from hypothesis import given
from support.factories import any_text

from fetchq.http.content_disposition import suggested_name


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ('attachment; filename="report.pdf"', "report.pdf"),
        ("attachment; filename=report.pdf", "report.pdf"),
        ("Attachment;FILENAME=report.pdf;size=5", "report.pdf"),
        ('inline; filename="a;b.txt"', "a;b.txt"),
        ("attachment; filename=my report.pdf", "my report.pdf"),  # unquoted blanks, which RFC 6266 does not allow
        (r'attachment; filename="a \"b\" c.txt"', 'a "b" c.txt'),
        ("attachment; filename*=UTF-8''%e2%82%ac%20rates.txt", "€ rates.txt"),
        ("attachment; filename=\"EURO rates.txt\"; filename*=utf-8'en'%e2%82%ac.txt", "€.txt"),
        ("attachment; filename*=utf-8''%e2%82%ac.txt; filename=EURO.txt", "€.txt"),
        ("attachment; filename*=iso-8859-1''%e9.txt", "é.txt"),
        ("attachment; filename*=utf-8''%ff.txt; filename=plain.txt", "plain.txt"),
        ("attachment; filename*=koi8-r''%ff.txt; filename=plain.txt", "plain.txt"),
        ("attachment; filename*=plain.txt", None),
        ('attachment; filename="/etc/passwd"', "passwd"),
        (r'attachment; filename="C:\dir\a.txt"', "a.txt"),
        ("filename=a.txt", "a.txt"),
        ('attachment; filename=""', None),
        ("attachment; filename=dir/", None),
        ('attachment; x="; filename=evil"; filename=good', "good"),
        ("attachment", None),
        ("", None),
        (None, None),
    ],
)
def test_the_suggested_name_is_found(field: str | None, name: str | None) -> None:
    assert suggested_name(field) == name


@given(any_text)
def test_no_field_suggests_a_folder(text: str) -> None:
    name = suggested_name(f"attachment; filename={text}")
    assert name is None or not {"/", "\\"} & set(name)
