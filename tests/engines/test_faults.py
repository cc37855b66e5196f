"""Fetches every entry of the corpus with both engines: each finds the cause that the rules demand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faults.base import Entry
from faults.corpus import CORPUS, GOOD, PLACES
from faults.server import FAULTS
from faults.site import Site
from faults.trial import difference, fetch

BAD: list[Entry] = [*FAULTS, *PLACES]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as one:
        yield one


@pytest.mark.parametrize("entry", BAD, ids=lambda entry: entry.name)
def test_a_fault_gets_the_same_right_cause_of_both_engines_and_costs_no_other_url(entry: Entry, site: Site) -> None:
    by_aiohttp, by_requests = fetch(entry, "async", site), fetch(entry, "sync", site)
    assert by_aiohttp.problem() is None
    assert by_requests.problem() is None
    assert difference(by_aiohttp.result, by_requests.result) is None


OF_EACH_THEME = {entry.theme: entry for entry in BAD}.values()


@pytest.mark.parametrize("entry", OF_EACH_THEME, ids=lambda entry: entry.name)
def test_threads_fetch_with_the_engine_of_the_sync_mode(entry: Entry, site: Site) -> None:
    """The others are not tried in this mode, as the engine is the same."""
    trial = fetch(entry, "threads", site)
    assert trial.problem() is None
    assert difference(trial.result, fetch(entry, "sync", site).result) is None


def test_no_entry_of_the_corpus_has_been_lost() -> None:
    assert len(FAULTS) >= 418
    assert len(PLACES) >= 40
    assert len(GOOD) >= 323
    assert len({entry.name for entry in CORPUS}) == len(CORPUS)
