"""The whole time of a run's workers is divided, without a rest, into what they did or waited for."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
from dnsserver import DnsServer
from faults.wire import Asked, Connection
from hypothesis import given
from hypothesis import strategies as st
from support.cli import Cli
from support.factories import examples
from support.servers import ScriptServer, answer, by_path, hang, late, ok
from support.waiting import PATIENCE

from fetchq import FetchRun, Request, Summary, fetch_all_sync, fetch_iter, open_run
from fetchq.reports.attribution import Attribution, Blocked, Held
from fetchq.scheduling.limit import Limit

DELAY = 0.1


@pytest.fixture
def slow() -> Iterator[ScriptServer]:
    """Answers after a tenth of a second."""
    with ScriptServer(late(DELAY)) as server:
        yield server


def rows(server: ScriptServer, count: int, path: str = "") -> list[str]:
    return [f"{server.url}/{path}{number}" for number in range(count)]


def checked(summary: Summary, workers: int) -> Attribution:
    """The attribution, whose parts add up to workers x duration."""
    found = summary.attribution
    assert found is not None
    assert found.total == pytest.approx(workers * summary.duration, abs=1e-6)
    parts = found.parts()
    assert sum(parts.values()) == pytest.approx(found.total, abs=1e-6)
    assert min(parts.values()) >= 0
    assert all(one.seconds > 0 for one in (*found.held, *found.blocked))
    assert [one.seconds for one in found.held] == sorted((one.seconds for one in found.held), reverse=True)
    return found


def run(urls: Any, mode: str, workers: int, **options: Any) -> Attribution:
    return checked(fetch_all_sync(urls, mode=mode, workers=workers, **options).summary, workers)


async def drain(running: FetchRun) -> None:
    async with running:
        async for _ in running:
            pass


def limits(found: Attribution) -> dict[Limit, str | None]:
    """The limits, with their hosts, that held workers for a tenth of the time or more."""
    return {one.limit: one.host for one in found.held if one.seconds > found.total / 10}


# --- the parts add up, however the run ends ---


def test_a_worker_without_a_row_is_told_from_one_that_waits_for_its_answer(mode: str) -> None:
    with ScriptServer(by_path({"/0": late(0.6), "/1": late(0.1)})) as server:
        found = run(rows(server, 2), mode, 2)
    parts = found.parts()
    working = sum(parts[name] for name in ("dns", "connect", "wait", "receive", "decode", "lag", "own"))
    assert found.wait + found.receive + found.lag >= 0.69
    if mode == "sync":
        assert found.turn == pytest.approx(working, rel=0.5)  # other programs may hold one of them up
    else:
        assert found.finished > 0.3
        assert found.input < found.finished + 0.2
        assert not found.held


def test_a_run_without_rows_has_no_time_for_any_row(mode: str) -> None:
    found = run([], mode, 3)
    assert found.wait == found.connect == found.held_total == 0


def test_rows_that_get_no_attempt_take_no_time_from_the_network(mode: str) -> None:
    found = run(["no url", "ftp://h/"] * 20, mode, 3)
    assert found.wait == found.connect == found.dns == 0


def test_attempts_that_lead_to_no_result_count_as_well(mode: str, no_jitter: None) -> None:
    def busy(conn: Connection, asked: Asked) -> None:
        conn.pause(DELAY)
        answer(b"", status=b"503 Busy")(conn, asked)

    with ScriptServer(busy) as server:
        found = run(rows(server, 2), mode, 2, retries=1, retry_wait=0.3, adapt=False)
        assert len(server.log) == 4
    assert found.wait + found.lag >= 4 * DELAY * 0.99
    assert {one.limit for one in found.held} == {Limit.RETRY_WAIT}


@pytest.mark.parametrize("workers", [1, 7])
async def test_the_parts_add_up_when_the_reader_leaves_early(mode: str, workers: int) -> None:
    with ScriptServer(by_path({"/0": ok}, hang)) as server:
        async with fetch_iter(rows(server, 20), mode=mode, workers=workers) as running:
            async for _ in running:
                if mode != "sync":
                    await server.got(min(workers + 1, 20))
                    time.sleep(DELAY)  # noqa: ASYNC251  # a reader that blocks: meanwhile attempts are under way
                break
    found = checked(running.summary, workers)
    if mode != "sync":
        assert found.wait + found.receive + found.lag > DELAY * 0.9 * workers
        assert found.own < found.total / 2


async def test_the_lookup_of_an_address_counts_as_dns_also_if_the_task_is_cancelled() -> None:
    with DnsServer(silent="silent.test") as dns:
        given: Any = {"workers": 1, "per_host_by": "ip", "dns_servers": dns.address}
        running = fetch_iter(["http://silent.test/"], **given)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(drain(running), 3 * DELAY)
    found = checked(running.summary, 1)
    assert found.dns > found.total / 2


def test_the_parts_add_up_when_the_deadline_passes(mode: str) -> None:
    enough = 0.2 if mode == "sync" else 1.0
    for _ in range(3):  # another program may take the CPU before all workers have sent their requests
        with ScriptServer(hang) as server:
            found = run(rows(server, 20), mode, 5, deadline=0.3)
        if (waiting := found.wait + found.lag) > enough:
            break
    assert waiting > enough


async def test_the_parts_add_up_when_the_source_fails(mode: str, slow: ScriptServer) -> None:
    def source() -> Iterator[str]:
        yield from rows(slow, 3)
        raise ValueError("the source is broken")

    running = fetch_iter(source(), mode=mode, workers=4)
    with pytest.raises(ValueError, match="broken"):
        await drain(running)
    checked(running.summary, 4)


async def test_the_parts_add_up_when_a_callback_fails(mode: str, slow: ScriptServer) -> None:
    def fail(request: Request, _: int) -> None:
        if request.index == 3:
            raise ValueError("no")

    running = fetch_iter(rows(slow, 9), mode=mode, workers=2, on_start=fail)
    with pytest.raises(ValueError, match="no"):
        await drain(running)
    checked(running.summary, 2)


# --- what workers wait for ---


async def test_a_source_that_takes_its_time_is_what_the_workers_wait_for() -> None:
    async def source(server: ScriptServer) -> AsyncIterator[str]:
        for url in rows(server, 5):
            await asyncio.sleep(DELAY)
            yield url

    with ScriptServer() as server:
        await drain(running := fetch_iter(source(server), workers=4))
    assert checked(running.summary, 4).input > 4 * 4 * DELAY


@pytest.mark.parametrize("blocking_mode", ["threads", "sync"])
async def test_a_source_that_blocks_is_what_the_workers_wait_for(blocking_mode: str) -> None:
    def source(server: ScriptServer) -> Iterator[str]:
        for url in rows(server, 5):
            time.sleep(DELAY)
            yield url

    with ScriptServer() as server:
        await drain(running := fetch_iter(source(server), workers=4, mode=blocking_mode))
    assert checked(running.summary, 4).input > 4 * 4 * DELAY


def test_workers_held_by_a_limit_of_the_host_are_told_from_those_without_a_row(slow: ScriptServer) -> None:
    for mode in ("async", "threads"):
        found = run(rows(slow, 8), mode, 4, per_host=1)
        assert limits(found) == {Limit.PER_HOST: slow.url}
        # While row k of 8 is fetched, 3 workers are free, and 7 - k rows wait.
        assert 2 < found.held_total / (found.finished + found.output) < 4.5


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({"rate": "20"}, Limit.RATE),
        ({"host_interval": 0.05}, Limit.HOST_INTERVAL),
        ({"per_host": 1}, Limit.PER_HOST),
    ],
)
def test_the_limit_that_holds_the_workers_is_named_with_its_host(
    options: dict[str, Any], limit: Limit, engine_mode: str
) -> None:
    with ScriptServer() as server:
        found = run(rows(server, 12), engine_mode, 3, **options)
    if limit is Limit.PER_HOST:
        assert engine_mode == "sync" or limit in {one.limit for one in found.held}
    else:
        assert limits(found) == {limit: None if limit is Limit.RATE else server.url}


def test_bytes_that_wait_for_limit_rate_are_held(engine_mode: str) -> None:
    with ScriptServer(answer(b"x" * 60_000)) as server:
        found = run(rows(server, 3), engine_mode, 1, limit_rate=300_000)
    assert limits(found) == {Limit.LIMIT_RATE: None}
    assert found.held_total > 0.2


def test_robots_txt_holds_the_rows_of_its_host_and_its_time_counts(engine_mode: str) -> None:
    with ScriptServer(by_path({"/robots.txt": late(0.3)})) as server:
        found = run(rows(server, 3), engine_mode, 3, robots=True)
    assert found.wait + found.lag >= 0.29
    if engine_mode != "sync":
        assert limits(found) == {Limit.ROBOTS: server.url}


def test_a_callback_is_told_from_the_attempt_after_it(mode: str) -> None:
    with ScriptServer() as server:
        found = run(rows(server, 4), mode, 2, on_start=lambda *_: time.sleep(DELAY))
    assert found.callback >= 4 * DELAY * 0.99
    assert bool(found.blocked) is (mode == "async")


def test_a_reader_that_is_slow_is_what_the_workers_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fetchq.workers.result_buffer.MOST_RESULTS", 2)
    for mode in ("threads", "sync"):
        with ScriptServer() as server:
            found = run(rows(server, 12), mode, 2, on_result=lambda _: time.sleep(0.03))
        assert found.output > found.total / 2, mode


async def test_a_reader_that_is_slow_holds_up_the_workers_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fetchq.workers.result_buffer.MOST_RESULTS", 2)

    async def wait(_: object) -> None:
        await asyncio.sleep(0.03)

    with ScriptServer() as server:
        await drain(running := fetch_iter(rows(server, 12), workers=2, on_result=wait))
    found = checked(running.summary, 2)
    assert found.output > found.total / 2
    assert found.blocked == ()


async def test_another_task_that_blocks_the_loop_is_named() -> None:
    async def greedy_task() -> None:
        await asyncio.sleep(0.05)
        time.sleep(0.5)  # noqa: ASYNC251

    with ScriptServer(late(0.3)) as server:
        task = asyncio.create_task(greedy_task())
        await drain(running := fetch_iter(rows(server, 4), workers=2))
        await task
    found = checked(running.summary, 2)
    assert [one.where.split(" (")[0] for one in found.blocked] == ["greedy_task"]
    assert found.blocked[0].where.split(" (")[1].startswith(f"{Path(__file__).name}:")
    assert found.blocked[0].seconds > 0.4
    assert found.longest_loop_delay > 0.4


def test_the_cpu_time_of_the_process_is_measured(engine_mode: str) -> None:
    def compute(*_: object) -> None:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass

    with ScriptServer() as server:
        found = run(rows(server, 4), engine_mode, 2, on_start=compute)
    assert found.cpu >= 0.2
    assert (found.loop_cpu >= 0.2) is (engine_mode == "async")


# --- what is kept of it ---

seconds = st.floats(0, 1e6)
texts = st.text(max_size=20)


@given(
    st.builds(
        Attribution,
        workers=st.integers(1, 1000),
        duration=seconds,
        input=seconds,
        lag=seconds,
        own=seconds,
        held=st.lists(st.builds(Held, st.sampled_from(Limit), st.none() | texts, seconds)).map(tuple),
        blocked=st.lists(st.builds(Blocked, texts, seconds)).map(tuple),
    )
)
@examples(50)
def test_an_attribution_is_the_same_after_json(found: Attribution) -> None:
    assert Attribution.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    "values",
    [{}, {"held": 1}, {"held": [{"limit": "luck", "host": None, "seconds": 1}]}, {"workers": None}, {"dns": []}],
)
def test_json_that_is_no_attribution_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Attribution.from_json(Attribution(workers=1, duration=1.0).to_json() | values if values else values)


def test_a_host_that_cannot_be_parsed_shows_no_password(mode: str) -> None:
    with ScriptServer(late(DELAY)) as server:
        found = run([*rows(server, 2), *["u:secret@h/"] * 3], mode, 2, rate=20, host_interval=0.05)
    assert "secret" not in json.dumps(found.to_json())


def sessions(folder: Path | str) -> list[dict[str, Any]]:
    with open_run(folder) as stored:
        found: list[dict[str, Any]] = stored.ledger.meta("sessions", [])
    return found


def test_a_durable_run_keeps_the_attribution_of_each_session_that_did_a_row(
    slow: ScriptServer, tmp_path: Path, mode: str
) -> None:
    options: dict[str, Any] = {"mode": mode, "output": str(tmp_path / "run"), "resume": True}
    summary = fetch_all_sync(rows(slow, 2), workers=2, **options).summary
    fetch_all_sync(rows(slow, 2), workers=2, **options)
    fetch_all_sync(rows(slow, 3), workers=3, **options)
    first, second = sessions(tmp_path / "run")
    assert first["attribution"] == checked(summary, 2).to_json()
    assert (first["workers"], first["mode"], first["duration"]) == (2, mode, summary.duration)
    assert first["started"] < second["started"]
    assert second["attribution"]["workers"] == 3


def test_an_interrupted_session_keeps_its_attribution_and_a_killed_one_has_none(cli: Cli) -> None:
    with ScriptServer(by_path({"/0": ok}, hang)) as server:
        cli.write("urls.txt", "\n".join(rows(server, 4)))
        for number in (signal.SIGKILL, signal.SIGINT):
            process = cli.start("urls.txt", "-o", "run", "-w", "2", "--resume", cwd=cli.folder)
            assert server.wait_for_requests(3 if number is signal.SIGKILL else 5, PATIENCE)
            process.send_signal(number)
            if number is signal.SIGINT:
                process.send_signal(number)
            process.communicate()
    (kept,) = sessions(cli.folder / "run")
    found = Attribution.from_json(kept["attribution"])
    assert sum(found.parts().values()) == pytest.approx(found.total, abs=1e-6)
    assert all(isfinite(one) for one in found.parts().values())
