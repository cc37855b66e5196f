"""Reads the values of header fields as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multidict import MultiMapping

__all__ = ["charset_of", "header_lists", "wire_text"]


def charset_of(content_type: str | None) -> str | None:
    """The charset parameter of a Content-Type, in lower case (RFC 9110, 8.3.2)."""
    for parameter in (content_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip(" \t\"'").lower() or None
    return None


def wire_text(value: str) -> str:
    """A field value as text: bytes that are not UTF-8, which arrive as lone surrogates, are decoded as Latin-1."""
    if value.isascii():
        return value
    raw = value.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def header_lists(headers: MultiMapping[str]) -> dict[str, list[str]]:
    """The values of each field by its name in lower case, like curl's `%{header_json}`."""
    lists: dict[str, list[str]] = {}
    for name, value in headers.items():
        lists.setdefault(wire_text(name).lower(), []).append(wire_text(value))
    return lists
