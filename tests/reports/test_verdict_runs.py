"""Real runs with a known limit: the verdict names it, and what it advises makes the run faster.

`scripts/bench verdicts` has more of them, and checks how exact the predictions are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from support.servers import ScriptServer, hang, late
from verdicts import Case, judge, servers

from fetchq import Result, fetch_all_sync, fetch_iter
from fetchq.reports.verdict import Bottleneck

HERE = "http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def names() -> Iterator[dict[str, str]]:
    with servers() as found:
        yield found


@pytest.mark.parametrize(
    "case",
    [
        Case("workers", [f"{HERE}/100"] * 24, {"workers": 3}),
        Case("per_host", [f"{HERE}/50"] * 24, {"workers": 12, "per_host": 2}),
        Case("rate", [f"{HERE}/20"] * 16, {"workers": 8, "rate": "20/s"}),
        Case("tls", ["https://127.0.0.1:{tls}/10?close"] * 6, {"workers": 2, "cacert": "{ca}"}),
        Case("callback", [f"{HERE}/50"] * 20, {"workers": 5}, trouble="blocking callback"),
        Case("sync", [f"{HERE}/200"] * 4, {"workers": 4, "mode": "sync"}),
        Case("workers", [f"{HERE}/100"] * 16, {"workers": 2, "mode": "threads"}),
    ],
    ids=lambda case: f"{case.limit}-{case.options.get('mode', 'async')}",
)
def test_the_limit_is_named_and_what_the_verdict_says_makes_the_run_faster(case: Case, names: dict[str, str]) -> None:
    judged = judge(case, names)
    assert judged.verdict["bottleneck"] == case.limit, judged
    assert judged.verdict["predicted"] is not None, judged
    assert judged.after is not None
    assert judged.after < judged.before, judged


def test_a_run_without_a_limit_is_told_so_as_measured(names: dict[str, str]) -> None:
    judged = judge(Case("none", [f"{HERE}/{ms}" for ms in (300, 500, 700)], {"workers": 5}, predicts=False), names)
    assert judged.verdict["bottleneck"] == "none", judged
    assert judged.verdict["predicted"] is None


async def test_a_run_has_a_verdict_when_it_has_ended_even_if_it_was_left_early() -> None:
    with ScriptServer(late(0.02)) as server:
        async with fetch_iter((f"{server.url}/{number}" for number in range(1000)), workers=2) as run:
            async for _ in run:
                if run.summary.total >= 10:
                    break
            assert run.summary.verdict is None
        assert run.summary.verdict is not None
        assert run.summary.attribution is not None


def test_every_mode_has_a_verdict(mode: str) -> None:
    with ScriptServer(late(0.05)) as server:
        urls = [f"{server.url}/{number}" for number in range(8)]
        verdict = fetch_all_sync(urls, mode=mode, workers=2).summary.verdict
    assert verdict is not None
    assert verdict.bottleneck == ("sync" if mode == "sync" else "workers"), verdict


@pytest.mark.parametrize("how", ["deadline", "left", "error"])
async def test_a_run_that_ended_early_is_neither_called_unlimited_nor_is_anything_predicted_for_it(
    how: str, mode: str
) -> None:
    def fail(result: Result) -> None:
        if how == "error" and result.index == 1:
            raise ZeroDivisionError

    with ScriptServer(late(0.2)) as server:
        urls = [f"{server.url}/{number}" for number in range(8)]
        deadline = 0.15 if how == "deadline" else None
        async with fetch_iter(urls, workers=2, mode=mode, deadline=deadline, on_result=fail) as run:
            with suppress(ZeroDivisionError):
                async for _ in run:
                    if how == "left":
                        break
    verdict = run.summary.verdict
    assert verdict is not None
    assert verdict.bottleneck is not Bottleneck.NONE
    assert verdict.predicted is None


def test_a_run_whose_few_rows_timed_out_is_not_called_unlimited(mode: str) -> None:
    with ScriptServer(hang) as server:
        run = fetch_all_sync([server.url], workers=3, mode=mode, timeout=0.15, retries=0)
    assert run.summary.verdict is not None
    assert run.summary.verdict.bottleneck is Bottleneck.RETRIES
    assert "(1 timeout)" in run.summary.verdict.text
