"""A field that is kept as it came is parsed once, when it is first read."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from support.factories import make_result

from fetchq.core.fast_dataclass import fast_constructor, fast_replacer
from fetchq.core.lazy_field import keep_unparsed
from fetchq.core.model import begin_result, finish_result

parsed: list[str] = []


@dataclass(frozen=True, slots=True)
class Pair:
    name: str
    number: int


def parse(text: str) -> int:
    parsed.append(text)
    return int(text)


make_pair = fast_constructor(Pair)
kept_number = keep_unparsed(Pair, "number", str, parse)
renamed = fast_replacer(Pair, "name")


def test_it_is_parsed_when_it_is_first_read_and_not_again() -> None:
    parsed.clear()
    pair = make_pair("a", "7")  # type: ignore[arg-type]  # as it came
    copy = renamed(pair, "b")
    assert kept_number(pair) == kept_number(copy) == "7"
    assert not parsed
    assert pair.number == pair.number == 7
    assert parsed == ["7"]
    assert copy == Pair("b", 7) == replace(pair, name="b")


def test_a_result_keeps_its_start_in_seconds_and_shows_a_time_in_utc() -> None:
    draft, other = begin_result(), make_result()
    for name in type(other).__slots__:
        setattr(draft, name, getattr(other, name))
    draft.started = 1.5
    result = finish_result(draft)
    started = datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert pickle.loads(pickle.dumps(result)).started == started
    assert result == replace(other, started=started)
