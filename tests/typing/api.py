"""Calls of the public functions, for type checkers alone: right ones with the types they have, and wrong ones.

Each `type: ignore` is an error that must be there: both checkers are told to complain about a needless one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from copy import deepcopy
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

import polars
from yarl import URL

from fetchq import (
    Attribution,
    Cause,
    Comparison,
    FetchRun,
    Request,
    Result,
    Results,
    Settings,
    Summary,
    Timing,
    Verdict,
    compare,
    fetch_all,
    fetch_all_sync,
    fetch_iter,
    open_run,
)

URLS = ["http://localhost:8000/json"]
MIXED: list[str | URL | Request] = ["http://h/", URL("http://h/"), Request("http://h/", method="POST", body=b"x")]


async def rows() -> AsyncIterator[str]:
    yield URLS[0]


def generated() -> Iterator[Request]:
    yield Request(URLS[0], label="first", priority=5)
    yield Request(URLS[0], headers={"A": "b"})
    yield Request(URLS[0], headers=[("A", "b")], method="PUT", body=b"x")


async def on_start(request: Request, worker: int) -> None:
    print(request.url, worker)


async def right() -> None:
    assert_type(await fetch_all(URLS), Results)
    assert_type(await fetch_all(MIXED, workers=20, timeout=None, connect_timeout=1.5, deadline=None), Results)
    assert_type(await fetch_all(rows(), timeout="2m", rate="50/s", max_filesize="100M", retries="3"), Results)
    assert_type(await fetch_all(generated(), headers={"A": "b"}, accept=[200, 404], retry_on="500..=599"), Results)
    assert_type(await fetch_all(URLS, headers=["A: b", ("C", "d")], resolve=[("h", 80, "::1")], data="text"), Results)
    assert_type(await fetch_all(URLS, output=Path("run"), resume=True, save="warc", dedupe="yes"), Results)
    assert_type(await fetch_all(URLS, on_start=on_start, on_result=print), Results)
    async with fetch_iter(rows(), workers=20) as run:
        assert_type(run, FetchRun)
        async for result in run:
            assert_type(result, Result)
        assert_type(await run.summary, Summary)
        assert_type(run.summary.attribution, Attribution | None)
        assert_type(run.summary.verdict, Verdict | None)
    async for result in fetch_iter(URLS, dns_servers="192.0.2.1"):
        assert_type(result.timing, Timing)
    async with aclosing(fetch_iter(iter(URLS), settings=Settings())) as results:
        assert_type(await anext(results), Result)
        assert_type([result.cause async for result in results], list[Cause | None])


def right_without_a_loop() -> None:
    results = fetch_all_sync(URLS, mode="threads", cacert=Path("ca.pem"), on_result=lambda result: result.ok)
    assert_type(results[0], Result)
    assert_type(results[1:], list[Result])
    first, second = results
    assert_type((first.status, second.body), tuple[int | None, bytes])
    summary = results.summary
    assert_type((summary.total, summary.ok, summary.failed, summary.size), tuple[int, int, int, int])
    assert_type((summary.duration, summary.concurrency), tuple[float, float])
    assert_type(summary.elapsed.percentile(99), float)
    assert_type(summary.causes["timeout"], int)
    assert_type(summary.phases["wait"], float)
    assert_type(summary.workers[1].busy, float)
    settings = Settings(workers="20", deadline="200ms", limit_rate="1M/s", host_interval=1)
    assert_type((settings.workers, settings.deadline), tuple[int, float | None])
    assert_type(replace(settings, retries=0), Settings)
    with open_run("run") as run:
        assert_type(next(iter(run)), Result)


def right_settings() -> None:
    Settings(deadline="200ms", headers=["Accept: text/html"], timeout="5s", rate="5/s", accept="200..=299")
    Settings(timeout=None, connect_timeout="none", read_timeout=0.5, per_host=None, rate=None, limit_rate="none")
    Settings(auth=("me", "secret"), cookies={"a": "b"}, params={"q": 1, "page": "2"}, json={"a": [1, None]})
    Settings(auth="me:secret", cookies=[("a", "b")], params=[("q", 1), ("q", 2)], method="POST", data=b"x")
    Settings(bearer="token", user_agent="me/1.0", cookie="a=b", cookie_jar=Path("jar.txt"), trust_env=True)
    Settings(proxy="http://proxy:3128", cert="me.pem", key=Path("me.key"), insecure="no", ipv4=True)
    Settings(block_private=True, allow_host="*.example.org", deny_host=["10.0.0.0/8", "localhost"])
    Settings(output="run", save="parquet", overwrite=True, report="report.html", har="run.har", trace=Path("t.json"))
    Settings(retries=0, retry_wait="1s", retry_on=[429, 503], max_retry_after=0, min_speed="1k", robots=True)
    Request(URLS[0], method="POST", json={"a": 1}, params={"q": "x"}, auth=("me", "secret"), cookies={"a": "b"})
    Request(URLS[0], bearer="token", checksum="sha256:" + "0" * 64, filename="a.txt", passed={"sku": 5})


def right_results() -> None:
    results = fetch_all_sync(URLS, progress=True, json=[1, 2], auth="me:secret")
    assert_type(results.to_polars(), polars.DataFrame)
    assert_type(results.to_polars(include=["headers", "text"]), polars.DataFrame)
    assert_type(len(results.to_pandas(["body"])), int)
    assert_type(Results(one for one in results if not one.ok).summary, Summary)
    one = results[0]
    assert_type((one.to_record(), one.to_record(["headers"])), tuple[dict[str, Any], dict[str, Any]])
    assert_type((asdict(one), hash(one), deepcopy(one)), tuple[dict[str, Any], int, Result])
    assert_type((one.headers["content-type"], one.headers.get("etag")), tuple[str, str | None])
    assert_type((one.text(), one.body, one.sha256), tuple[str, bytes, str | None])
    assert_type((one.started, one.elapsed, one.timing.wait), tuple[datetime | None, float, float])
    assert_type({one: one.final_url for one in results}, dict[Result, str | None])
    assert_type(replace(one, label="x"), Result)
    one.raise_for_failure()


def right_comparisons() -> None:
    found = compare(URLS, modes=("sync", "async"), workers=(2, 20), rounds=10, cold=True, timeout="5s")
    assert_type(found, Comparison)
    compare(MIXED, modes="sync", workers=2, limit=100, seed=7, settings=Settings())
    compare(iter(URLS), vary={"per_host": (2, 4), "adapt": [True, False]})
    assert_type(found.fastest.median, float)
    assert_type([run.peak_memory for run in found.slowest.runs], list[int])
    assert_type(found.pair(found.fastest, found.slowest).is_faster, bool)


async def wrong() -> None:
    compare(URLS, mode="sync")  # type: ignore[call-arg]
    compare(URLS, workers=2.5)  # type: ignore[arg-type]
    compare(rows())  # type: ignore[arg-type]
    await fetch_all(URLS, wokers=20)  # type: ignore[call-arg]
    await fetch_all(URLS, workers=[20])  # type: ignore[arg-type]
    await fetch_all(URLS, retries=None)  # type: ignore[arg-type]
    await fetch_all([1, 2])  # type: ignore[list-item]
    await fetch_all(URLS, 20)  # type: ignore[call-arg, arg-type]
    await fetch_all(URLS, on_result=len)  # type: ignore[arg-type]
    fetch_iter(URLS, header=["A: b"])  # type: ignore[call-arg]
    fetch_iter(URLS, on_start=lambda request: None)  # type: ignore[arg-type, misc]
    fetch_all_sync(rows())  # type: ignore[arg-type]
    fetch_all_sync(URLS, headers=[("A", 1)])  # type: ignore[list-item]
    fetch_all_sync(URLS, settings={"workers": 20})  # type: ignore[arg-type]
    fetch_all_sync(URLS, jsn={"a": 1})  # type: ignore[call-arg]
    fetch_all_sync(URLS, progres=True)  # type: ignore[call-arg]
    fetch_all_sync(URLS).to_pandas(includes=["text"])  # type: ignore[call-arg]
    fetch_all_sync(URLS)[0].to_json()  # type: ignore[attr-defined]
    print(fetch_all_sync(URLS)[0].spool)  # type: ignore[attr-defined]
    Settings(auth=5)  # type: ignore[arg-type]
    Settings(max_file_size="1M")  # type: ignore[call-arg]
    Settings(resume=None)  # type: ignore[arg-type]
    Request(URLS[0], parms={"q": "x"})  # type: ignore[call-arg]
    Request(URLS[0], headers="A: b")  # type: ignore[arg-type]
    Request(URLS[0], body="text")  # type: ignore[arg-type]
    Settings().workers = 5  # type: ignore[misc]
