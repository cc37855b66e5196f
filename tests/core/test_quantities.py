"""Numbers, times, sizes, rates and statuses are read from what a person types. See test_parsers for all readers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.core.quantities import read_byte_rate, read_int, read_rate, read_seconds, read_size, read_statuses


@examples(100)
@given(st.integers())
def test_a_whole_number_is_read_from_itself_and_from_its_text(number: int) -> None:
    assert read_int(number) == read_int(str(number)) == number


@pytest.mark.parametrize("wrong", [True, 1.0, "1.0", "", "ten", "0x10", None, b"1", [1]])
def test_what_is_not_a_whole_number_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        read_int(wrong)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("30s", 30.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("500ms", 0.5),
        ("2m", 120.0),
        ("1.5 h", 5400.0),
        (" 7 s ", 7.0),
        (7, 7.0),
        (0.25, 0.25),
        (-1, -1.0),
    ],
)
def test_a_time_is_read_with_and_without_its_unit(text: object, seconds: float) -> None:
    assert read_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "wrong", ["", "s", "1d", "-1", "1e3", "1m30s", "nan", "inf", "1 2", True, None, b"1", math.inf, math.nan]
)
def test_what_is_not_a_time_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        read_seconds(wrong)


@pytest.mark.parametrize(
    ("text", "rate"), [("50/s", 50), ("50", 50), (" 10 / m ", 1 / 6), ("36/h", 0.01), (".5/s", 0.5), (3, 3), (0.1, 0.1)]
)
def test_a_rate_is_read_with_and_without_its_unit(text: object, rate: float) -> None:
    assert read_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize(("text", "rate"), [("1M/s", 1_000_000), ("64k", 64_000), (5, 5)])
def test_a_rate_of_bytes_is_a_size_per_second(text: object, rate: int) -> None:
    assert read_byte_rate(text) == rate


@pytest.mark.parametrize("endless", ["9" * 400, "9" * 400 + "h", 10**400], ids=["text", "hours", "number"])
def test_a_time_beyond_all_numbers_is_refused_not_taken_for_infinite(endless: object) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        read_seconds(endless)


@examples(100)
@given(st.floats(0, 1e7))
def test_a_time_is_read_from_its_own_text(seconds: float) -> None:
    assert read_seconds(f"{seconds:f}") == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("64k", 64_000),
        ("64kB", 64_000),
        ("64K", 64_000),
        ("100M", 100_000_000),
        ("100m", 100_000_000),
        ("1.5G", 1_500_000_000),
        ("2 g", 2_000_000_000),
        (" 10 B ", 10),
        (".5k", 500),
        (123, 123),
    ],
)
def test_a_size_is_read_with_and_without_its_unit(text: object, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("wrong", ["", "k", "-1", "1T", "1e6", "12 34", "1kk", 1.5, True, None, b"1"])
def test_what_is_not_a_size_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        read_size(wrong)


def test_a_size_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a size"):
        read_size("9" * 400)


# --- statuses ---


@pytest.mark.parametrize(
    ("given_value", "statuses"),
    [
        ("200", {200}),
        ("200..=202", {200, 201, 202}),
        ("200..202", {200, 201}),
        (" 200..=200 , 404 ,", {200, 404}),
        ("", set()),
        (204, {204}),
        ([200, 404, 404], {200, 404}),
        (range(500, 503), {500, 501, 502}),
        (frozenset(), set()),
    ],
)
def test_statuses_are_read_from_ranges_lists_and_numbers(given_value: object, statuses: set[int]) -> None:
    assert read_statuses(given_value) == statuses


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("+403", {403, 429, 500, 503}),
        (" +403 , +404", {403, 404, 429, 500, 503}),
        ("-500", {429, 503}),
        ("+403,-500..=599", {403, 429}),
        ("-429,500", {500, 503}),
        ("400..=404,-404", {400, 401, 402, 403}),
        ("403,+404", {403, 404}),
        ("-404", {429, 500, 503}),
        ("503,-503", set()),
        ("", set()),
    ],
)
def test_a_sign_adds_to_the_statuses_before_it_or_takes_away_and_the_first_one_from_the_default(
    text: str, statuses: set[int]
) -> None:
    assert read_statuses(text, default=frozenset({429, 500, 503})) == statuses


@pytest.mark.parametrize(
    "wrong",
    ["20", "2000", "200-299", "299..=200", "200..200", "abc", "099", 99, 1000, True, [True], ["200"], None, 2.0],
)
def test_what_is_no_status_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"status|is empty"):
        read_statuses(wrong)


@pytest.mark.parametrize("wrong", ["+", "-", "+-403", "+ 403", "++403", "+4xx", "+404..404"])
def test_a_sign_needs_a_status(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"status|is empty"):
        read_statuses(wrong)


@examples(100)
@given(st.frozensets(st.integers(100, 999)))
def test_statuses_are_read_from_their_own_text(statuses: frozenset[int]) -> None:
    assert read_statuses(",".join(map(str, statuses))) == statuses
