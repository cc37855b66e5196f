"""When the deaths of a process are too many."""

from __future__ import annotations

from fetchq.processes.deaths import DeathCount


def test_four_deaths_with_the_same_row_are_too_many() -> None:
    deaths = DeathCount()
    assert [deaths.add(frozenset({7, more})) for more in range(4)] == [False, False, False, True]
    assert str(deaths) == "so did 3 before it, with the same rows"


def test_deaths_with_other_rows_each_time_are_misfortunes() -> None:
    deaths = DeathCount()
    assert not any(deaths.add(frozenset({row, row + 1, row + 2})) for row in range(0, 60, 2))


def test_a_process_that_dies_before_it_has_a_row_is_given_up_too() -> None:
    deaths = DeathCount()
    assert [deaths.add(frozenset()) for _ in range(4)] == [False, False, False, True]
    assert str(deaths) == "so did 3 before it"
