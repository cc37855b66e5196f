"""A job on a Dask cluster: workers and schedulers that die, other versions, and no workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.cli import Cli, ended
from support.jobs import Dask, Gate, everywhere, exported, hosts_list, marker_values, prepared
from support.servers import Counted, ScriptServer, closed_port, need

from fetchq._version import __version__
from fetchq.cluster.driver import Driver
from fetchq.cluster.opened_storage import open_storage
from fetchq.cluster.stored_job import JobRecords
from fetchq.core.model import Request
from fetchq.core.settings import Settings

need(find_spec("distributed"), "distributed is not installed")


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    (tmp_path / "dask").mkdir()
    with Dask(tmp_path / "dask") as one:
        yield one


def prepare(cli: Cli, server: ScriptServer, *options: str, rows: int = 60, hosts: int = 10, shards: int = 12) -> None:
    cli.write("urls.txt", hosts_list(server, rows, hosts))
    assert cli("cluster", "prepare", "urls.txt", "job", "--shards", str(shards), *options).status == 0


def test_two_workers_fetch_each_row_once_and_keep_the_limit_of_a_host(cli: Cli, dask: Dask) -> None:
    counted = Counted()
    dask.work(2)
    with everywhere(counted) as server:
        prepare(cli, server, "--per-host", "4", rows=40, hosts=1, shards=4)
        done = cli.run("cluster", "run", "job", "--on", dask.address)
        assert done.status == 0, done
        assert sorted(server.seen) == sorted(f"/{row}" for row in range(40))
        again = cli.run("cluster", "run", "job", "--on", dask.address)
        assert (again.status, len(server.log)) == (0, 40)
    assert 2 <= counted.most <= 4
    assert exported(cli, "job") == list(range(40))


def test_a_worker_that_is_killed_costs_no_row_and_no_shard_that_is_done(cli: Cli, dask: Dask) -> None:
    gate = Gate(25)
    dask.work(2)
    with everywhere(gate) as server:
        prepare(cli, server, "--workers", "2", rows=40, hosts=1, shards=2)
        process = cli.start("cluster", "run", "job", "--on", dask.address)
        assert server.wait_for_requests(26)
        first = marker_values(cli.folder / "job", 0)
        (lease,) = (cli.folder / "job/leases").iterdir()
        pid = json.loads(lease.read_bytes())["pid"]
        (victim,) = (one for one in dask.workers if one.pid == pid)
        victim.kill()
        gate.opened.set()
        done = ended(process)
        assert done.status == 0, done
    assert marker_values(cli.folder / "job", 0) == first
    assert exported(cli, "job") == list(range(40))


def test_when_the_scheduler_is_killed_the_command_says_so_and_goes_on_with_another_one(
    cli: Cli, dask: Dask, tmp_path: Path
) -> None:
    gate = Gate(25)
    dask.work(1)
    with everywhere(gate) as server:
        prepare(cli, server, "--workers", "2", rows=40, hosts=1, shards=2)
        process = cli.start("cluster", "run", "job", "--on", dask.address)
        assert server.wait_for_requests(26)
        dask.scheduler.kill()
        done = ended(process)
        assert done.status == 3
        last = done.said.splitlines()[-1]
        assert last == (
            f"fetchq: the Dask scheduler at {dask.address} is gone; "
            f"go on with: fetchq cluster run job --on {dask.address}"
        )
        gate.opened.set()
        with Dask(tmp_path / "dask") as other:
            other.work(1)
            again = cli.run("cluster", "run", "job", "--on", other.address)
            assert again.status == 0, again
    assert exported(cli, "job") == list(range(40))


def test_when_the_driver_is_killed_what_its_workers_have_done_counts(cli: Cli, dask: Dask) -> None:
    gate = Gate(25)
    dask.work(1)
    with everywhere(gate) as server:
        prepare(cli, server, "--workers", "2", rows=40, hosts=1, shards=2)
        process = cli.start("cluster", "run", "job", "--on", dask.address)
        assert server.wait_for_requests(26)
        process.kill()
        gate.opened.set()
        again = cli.run("cluster", "run", "job", "--on", dask.address)
        assert again.status == 0, again
        assert len(server.log) == 40, "the shard that was under way is not fetched again"
    assert exported(cli, "job") == list(range(40))


def test_a_worker_with_another_version_is_refused_in_one_line(cli: Cli, dask: Dask) -> None:
    dask.work(1, patch="import fetchq._version as version; version.__version__ = '0.0.7'")
    with everywhere() as server:
        prepare(cli, server)
        refused = cli.run("cluster", "run", "job", "--on", dask.address)
        assert f"this is fetchq {__version__}, but tcp://127.0.0.1:" in refused.problem
        assert "has fetchq 0.0.7: install the same version there" in refused.problem
        assert server.log == []


def test_a_worker_without_fetchq_is_refused_in_one_line(cli: Cli, dask: Dask) -> None:
    dask.work(1, patch="sys.modules['fetchq.cluster.dask_workers'] = None")
    with everywhere() as server:
        prepare(cli, server)
        refused = cli.run("cluster", "run", "job", "--on", dask.address)
        assert "has no fetchq" in refused.problem
        assert server.log == []


def test_a_scheduler_without_workers_is_waited_for_so_long_and_no_longer(cli: Cli, dask: Dask) -> None:
    with everywhere() as server:
        prepare(cli, server)
        refused = cli.run("cluster", "run", "job", "--on", dask.address, "--worker-timeout", "0.1")
    assert refused.problem == (
        f"fetchq: the Dask scheduler at {dask.address} has no workers after 0.1 s: "
        f"dask worker {dask.address} starts one"
    )


def test_a_scheduler_that_is_not_there_is_said_in_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with everywhere() as server, closed_port() as url:
        prepare(cli, server)
        address = url.replace("http", "tcp")
        patch = "import fetchq.cluster.dask_workers as d; d.CONNECT_TIMEOUT = 0.3"
        refused = cli.run("cluster", "run", "job", "--on", address, patch=patch)
    assert f"there is no Dask scheduler at {address}" in refused.problem


def test_workers_that_do_not_have_the_folder_are_refused_in_one_line(cli: Cli, dask: Dask) -> None:
    dask.work(1, patch="import fetchq.cluster.local_storage as s; s.LocalStorage.exists = lambda *_: False")
    with everywhere() as server:
        prepare(cli, server)
        refused = cli.run("cluster", "run", "job", "--on", dask.address)
        assert refused.status == 2
        assert f"there is no '{cli.folder}/job' on " in refused.said
        assert "all machines need the same folder, or a URL" in refused.said
        assert server.log == []


def test_an_address_that_needs_certificates_is_refused_where_dask_has_none(cli: Cli) -> None:
    cli.write("urls.txt", "http://a.test/\n")
    cli("cluster", "prepare", "urls.txt", "job", "--shards", "1")
    refused = cli.run("cluster", "run", "job", "--on", "tls://127.0.0.1:1")
    assert "needs certificates: distributed.comm.tls in Dask's configuration" in refused.problem


def test_a_program_runs_a_job_on_a_cluster_of_its_own(tmp_path: Path) -> None:
    from distributed import LocalCluster

    from fetchq.cluster.dask_workers import DaskWorkers

    storage = open_storage(str(tmp_path / "job"))
    with (
        everywhere() as server,
        LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # None would take port 8787, too
        ) as cluster,
    ):
        urls = hosts_list(server, 60, 10).split()
        job = prepared(storage, [Request(url, row) for row, url in enumerate(urls)], 12)
        driver = Driver(storage, job, Settings(save="none"))
        assert driver.prepare() == 12
        workers = DaskWorkers(cluster.scheduler_address)
        try:
            assert workers.slots() == 4
            driver.drive(workers)
        finally:
            workers.close()
    assert (driver.outcome.shards, driver.outcome.ok) == (12, 60)
    assert sorted(record["index"] for record in JobRecords(storage, job).records()) == list(range(60))
