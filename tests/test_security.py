"""SECURITY.md promises nothing that no test holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
PROMISED = PAGE.partition("### What is not promised")[0]


def in_file(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_the_page_names_is_there() -> None:
    named = NAMED.findall(PROMISED)
    assert len(named) == PROMISED.count("::")
    assert [f"{file}::{name}" for file, name in named if name not in in_file(file)] == []


def test_every_promise_names_a_test() -> None:
    promises = re.split(r"^- ", PROMISED, flags=re.MULTILINE)[1:]
    assert len(promises) > 30
    assert [promise for promise in promises if not NAMED.search(promise)] == []
