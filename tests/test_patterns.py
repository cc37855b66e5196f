"""No regular expression takes time that grows with the square of a text, or faster."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from support.pattern_steps import Pattern, growing

import fetchq
from fetchq.inputs import csv, json

PACKAGE = Path(fetchq.__file__).parent
ANCHORED = {"match", "fullmatch"}
ANYWHERE = {"search", "sub", "subn", "split", "findall", "finditer"}
BUILT = [  # those that a function builds, as it does for some delimiter, or some fields
    ("inputs/csv.py", re.compile(csv._STAYS_OPEN % ((",",) * 4)), "fullmatch"),
    ("inputs/json.py", re.compile(json._VALUE % "url"), "search"),
    ("core/lazy_headers.py", re.compile(rb"\n(?=[ae])(accept|etag):([^\r]*)", re.IGNORECASE), "findall"),
]


def used() -> Iterator[tuple[str, re.Pattern[Any], str]]:
    """Each pattern of the package, with its module, and the method by which it is used there."""
    yield from BUILT
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if "import re\n" not in text and "SCHEME" not in text:
            continue
        name = path.relative_to(PACKAGE)
        names = vars(import_module(".".join(["fetchq", *name.with_suffix("").parts]).removesuffix(".__init__")))
        for node in ast.walk(ast.parse(text)):
            yield from ((str(name), *found) for found in _found(node, names))


def _found(node: ast.AST, names: dict[str, Any]) -> Iterator[tuple[re.Pattern[Any], str]]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in ANCHORED | ANYWHERE:
        if isinstance(names.get(node.value.id), re.Pattern):
            yield names[node.value.id], node.attr
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in ANCHORED | ANYWHERE
        and not isinstance(node.args[0], ast.BinOp)  # `BUILT` has it
    ):
        expression = ast.unparse(ast.Tuple([node.args[0], *(one.value for one in node.keywords if one.arg == "flags")]))
        flags = re.IGNORECASE if any("IGNORECASE" in ast.unparse(one) for one in node.args[1:]) else 0
        yield re.compile(eval(expression, names | {"re": re})[0], flags), node.func.attr


def test_no_pattern_of_the_package_takes_more_than_linear_time() -> None:
    patterns = {
        (pattern.pattern, pattern.flags, how in ANYWHERE, how == "fullmatch"): (module, pattern, how)
        for module, pattern, how in used()
    }
    assert len(patterns) > 70
    slow = {}
    for module, pattern, how in patterns.values():
        found = growing(Pattern(pattern, anywhere=how in ANYWHERE, whole=how == "fullmatch"))
        if found is not None:
            slow[f"{module}: {pattern.pattern!r}.{how}"] = found
    assert not slow, "\n".join(f"{name} {found}" for name, found in slow.items())


@pytest.mark.parametrize(
    ("slow", "quick"),
    [
        (r"^([^:/@]*:?[/\\]*).*@", r"^([^:/@]*+:?+[/\\]*+).*@"),
        (r"^coding:[ \t]*([^\r\n]*?)[ \t]*\r?$", r"^coding:([^\r\n]*+)"),
        (r"(?<!a)(a+)+b", r"(?<!a)(a++)++b"),
        (r"a++b", r"(?<!a)a++b"),
    ],
)
def test_the_search_finds_what_is_slow(slow: str, quick: str) -> None:
    assert growing(Pattern(re.compile(slow), anywhere=True, whole=False)) is not None
    assert growing(Pattern(re.compile(quick), anywhere=True, whole=False)) is None
