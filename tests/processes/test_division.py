"""How hosts and limits are divided among the processes of a run."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.factories import examples

from fetchq import Request, Settings
from fetchq.core.apportion import apportioned
from fetchq.processes.router import Router
from fetchq.processes.run import ProcessRun
from fetchq.processes.shares import first_shares, most_processes, rates_of

needs = st.lists(st.integers(0, 100_000), min_size=1, max_size=8)


@given(needs, st.integers(0, 10_000))
@examples(200)
def test_parts_add_up_to_the_whole_and_each_is_at_least_one(needs: list[int], spare: int) -> None:
    parts = apportioned(len(needs) + spare, needs)
    assert sum(parts) == len(needs) + spare
    assert min(parts) >= 1


@given(needs, st.integers(0, 10_000))
@examples(200)
def test_who_needs_more_gets_no_less(needs: list[int], spare: int) -> None:
    parts = apportioned(len(needs) + spare, needs)
    pairs = sorted(zip(needs, parts, strict=True))
    for (less, smaller), (more, greater) in itertools.pairwise(pairs):
        assert smaller <= greater + (less == more)


def test_equal_needs_get_equal_parts() -> None:
    assert apportioned(10, [5, 5]) == [5, 5]
    assert sorted(apportioned(11, [7, 7, 7])) == [3, 4, 4]
    assert apportioned(9, [0, 0, 0]) == [3, 3, 3]


def test_the_shares_of_all_processes_are_the_limits_of_the_run() -> None:
    settings = Settings(workers=50, rate=200, limit_rate=1_000_001, processes=4)
    for known in (True, False):
        shares = first_shares(settings, [900, 50, 50, 0], known=known)
        assert sum(share.workers for share in shares) == 50
        assert sum(share.rate or 0 for share in shares) == 200
        assert sum(share.limit_rate or 0 for share in shares) == 1_000_001
        assert all(share.rate == int(share.rate or 0) for share in shares)


def test_half_of_the_limits_is_for_hosts_that_are_still_to_come() -> None:
    settings = Settings(workers=100, processes=2)
    assert [share.workers for share in first_shares(settings, [1000, 0], known=False)] == [75, 25]
    assert [share.workers for share in first_shares(settings, [1000, 0], known=True)] == [99, 1]


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({}, 4),
        ({"workers": 3}, 3),
        ({"rate": "3/s"}, 3),
        ({"rate": "10/m"}, 1),
        ({"rate": 2.9}, 2),
        ({"limit_rate": 2}, 2),
    ],
)
def test_there_are_no_more_processes_than_whole_parts(options: dict[str, float], most: int) -> None:
    assert most_processes(Settings(processes=4, **options)) == most  # type: ignore[arg-type]  # a text, too


def test_a_single_process_has_the_whole_rate() -> None:
    assert rates_of(0.5, [3]) == [0.5]
    assert rates_of(7.5, [1, 1]) == [4.0, 3.0]


def rows(*hosts: str) -> list[Request]:
    return [Request(f"http://{host}.test/{index}", index) for index, host in enumerate(hosts)]


@given(st.lists(st.integers(0, 40), max_size=300), st.integers(1, 5), st.integers(0, 300))
@examples(100)
def test_a_host_is_in_one_process_and_each_row_is_dealt_out_once(
    hosts: list[int], processes: int, sampled: int
) -> None:
    given = rows(*(f"host{host}" for host in hosts))
    router = Router(Settings(), processes)
    router.sample(given[:sampled])
    parts = router.divide(given[:50])
    for part, more in zip(parts, router.divide(given[50:]), strict=True):
        part += more
    assert sorted(row.index for part in parts for row in part) == list(range(len(given)))
    places = {(row.url.split("/")[2], place) for place, part in enumerate(parts) for row in part}
    assert len(places) == len(set(hosts))
    assert router.rows == [len(part) for part in parts]


def test_a_host_with_most_of_the_rows_has_a_process_to_itself() -> None:
    given = rows(*["large"] * 900, *(f"host{number}" for number in range(100)))
    router = Router(Settings(), 4)
    sampled = router.sample(given)
    assert router.largest == "http://large.test"
    router.divide(given)
    assert router.largest_is_alone
    assert sorted(sampled)[:3] == [33, 33, 34]


def test_a_host_that_was_large_only_at_first_is_not_remarked_on() -> None:
    first = rows(*["large"] * 900, *(f"host{number}" for number in range(100)))
    router = Router(Settings(), 4)
    router.sample(first)
    router.divide(first)
    run = SimpleNamespace(pool=SimpleNamespace(router=router))
    remark = "http://large.test has 90 % of the URLs, and one of the 4 processes to itself: more would not help."
    assert ProcessRun.remark(run) == remark  # type: ignore[arg-type]
    router.divide(rows(*(f"host{number}" for number in range(3000))))
    assert router.largest_rows == 900
    assert ProcessRun.remark(run) is None  # type: ignore[arg-type]


def test_no_host_is_called_large_in_a_list_of_equal_ones() -> None:
    router = Router(Settings(), 2)
    assert router.sample(rows(*(f"host{number % 40}" for number in range(1000)))) == [500, 500]
    assert router.largest is None


def test_hosts_of_a_domain_stay_together() -> None:
    router = Router(Settings(per_host_by="domain"), 3)
    given = [Request(f"http://{name}.example.org/", index) for index, name in enumerate("abcdefghij")]
    assert sorted(map(len, router.divide(given))) == [0, 0, 10]


def test_rows_that_are_no_urls_are_dealt_out_too() -> None:
    router = Router(Settings(), 2)
    given = [Request(text, index) for index, text in enumerate(["", "nonsense", "http://[", "\ud800", "mailto:a@b"])]
    assert sum(map(len, router.divide(given))) == 5
