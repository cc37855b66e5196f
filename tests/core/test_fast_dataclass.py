"""Frozen objects made and changed quickly are like those that dataclasses makes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from support.factories import make_result

from fetchq.core.fast_dataclass import fast_constructor, fast_draft, fast_replacer
from fetchq.core.model import Result, Timing


def test_what_is_made_quickly_is_the_same_as_what_is_made_the_usual_way() -> None:
    made = fast_constructor(Timing)(1.0, wait=2.0)
    assert made == Timing(1.0, wait=2.0)
    assert type(made) is Timing
    with pytest.raises(FrozenInstanceError):
        made.wait = 3.0  # type: ignore[misc]


def test_a_draft_becomes_what_the_usual_way_makes_of_its_fields() -> None:
    begin, finish = fast_draft(Timing)
    draft = begin()
    draft.wait = 2.0
    with pytest.raises(AttributeError):
        draft.weight = 2.0
    made = finish(draft)
    assert made == Timing(wait=2.0)
    assert type(made) is Timing
    with pytest.raises(FrozenInstanceError):
        made.wait = 3.0  # type: ignore[misc]


@pytest.mark.parametrize("changes", [{"path": "x"}, {"elapsed": 9.0, "path": None, "index": 3}])
def test_what_is_changed_quickly_is_the_same_as_what_replace_gives(changes: dict[str, Any]) -> None:
    old = make_result(label="a", path="y", headers=[("A", "b")])
    changed = fast_replacer(Result, *changes)(old, *changes.values())
    assert changed == replace(old, **changes)
    assert changed.headers == old.headers
    assert (type(changed), old.path) == (Result, "y")
