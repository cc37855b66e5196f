"""Writes a page: one HTML file that needs no network, with the plotting library and everything it shows in it.

The library is Apache ECharts, as its package `echarts` has it in `dist/echarts.min.js`. Nothing is loaded, and no
script but the two in the page can run: its Content-Security-Policy has their hashes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files

import orjson

from fetchq._version import __version__
from fetchq.core.text import printable
from fetchq.reports.html.blocks import Fact, Section

__all__ = ["LIBRARY", "page", "size_on_page"]

LIBRARY = "echarts/echarts.min.js"
"""The plotting library, among the assets. CONTRIBUTING says how to replace it with another version."""
_STYLE = "report.css"
_SCRIPTS = ("format.js", "tables.js", "charts.js", "timeline.js", "report.js")


def page(
    title: str, lead: str, sections: Sequence[Section], *, facts: Sequence[Fact] = (), subtitle: str = ""
) -> bytes:
    """The page in UTF-8. `lead`: the sentence at its top; `subtitle`: what was reported on, and when."""
    library, script, style = _asset(LIBRARY), "\n".join(map(_asset, _SCRIPTS)), _asset(_STYLE)
    policy = (
        f"default-src 'none'; script-src {_hash(library)} {_hash(script)}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    shown = "".join(
        f"<div><dt>{_text(fact.label)}</dt><dd>{_text(fact.value)}<small>{_text(fact.detail)}</small></dd></div>"
        for fact in facts
    )
    parts = {
        "policy": policy,
        "title": _text(title),
        "subtitle": _text(subtitle),
        "lead": re.sub(r"--[a-z][a-z-]*", r"<code>\g<0></code>", _text(lead)),
        "facts": shown,
        "version": __version__,
        "style": style,
        "data": _json(sections),
        "library": library,
        "script": script,
    }
    # Split, not formatted step by step: a part may contain what looks like the place of another one.
    pieces = _asset("report.html").split("{{")
    text = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        text += [parts[name], rest]
    return "".join(text).encode()


def size_on_page(value: object) -> int:
    """How many bytes the value takes on a page."""
    return len(_json(value).encode())


def _json(value: object) -> str:
    """The value as JSON in which nothing can end the script element that it is in (HTML 4.12.1.3)."""
    text = orjson.dumps(value).decode()
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _text(text: str) -> str:
    return escape(printable(text))


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return (files("fetchq.reports.html") / "assets" / name).read_text("utf-8")
