"""`fetchq cluster`: from a list to its records, in processes of this machine and without any, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from support.cli import Cli, ended
from support.jobs import Gate, damaged, everywhere, exported, hosts_list, marker_values
from support.servers import Counted, ScriptServer, answer, by_path
from support.waiting import PATIENCE

from fetchq.cluster.local_storage import LocalStorage
from fetchq.cluster.storage import check_writable
from fetchq.core.disk import StorageError

ROWS = 60


@pytest.fixture
def server() -> Iterator[ScriptServer]:
    with everywhere(by_path({"/7": answer(status=b"404 Not Found")})) as one:
        yield one


def test_a_list_is_fetched_by_two_processes_and_a_second_call_makes_no_request(cli: Cli, server: ScriptServer) -> None:
    cli.write("urls.txt", hosts_list(server, ROWS, 10))
    made = cli("cluster", "prepare", "urls.txt", "job/", "--shards", "12", "--retries", "0")
    assert made.status == 0, made
    assert "60 rows in 12 shards" in made.said
    assert "nothing" not in cli("cluster", "status", "job/").text
    done = cli.run("cluster", "run", "job/", "--on", "local:2")
    assert done.status == 1, done
    assert "12 of 12 shards are done: 60 of 60 rows, 59 ok, 1 failed (1 status)" in done.said
    assert sorted(server.seen) == sorted(f"/{row}" for row in range(ROWS))
    assert exported(cli, "job") == list(range(ROWS))
    again = cli("cluster", "run", "job/", "--on", "local:2")
    assert (again.status, len(server.log)) == (1, ROWS)
    assert "all shards are done already" in again.said
    assert cli("cluster", "finish", "job/").status == 0
    manifest = json.loads((cli.folder / "job/manifest.json").read_bytes())
    assert (manifest["rows"], manifest["ok"], manifest["failed"]) == (60, 59, 1)
    assert "all is done" in cli("cluster", "status", "job/").text


def test_a_job_in_memory_is_run_shard_by_shard_and_read_before_it_is_done(cli: Cli, server: ScriptServer) -> None:
    import duckdb
    import pandas

    place = f"memory://{uuid4().hex}"
    cli.write("urls.txt", hosts_list(server, ROWS, 1))
    assert cli("cluster", "prepare", "urls.txt", place, "--shards", "3", "--save", "none").status == 0
    refused = cli("cluster", "run-shard", place, "1")
    assert refused.status == 3
    assert f"shard 1 comes after shard 0 in its lane, which is not done: fetchq cluster run-shard {place} 0" in (
        refused.said
    )
    assert cli("cluster", "run-shard", place, "0").status == 0, "though one of its rows has failed"
    found = cli("export", place)
    assert [record["index"] for record in found.records] == list(range(20))
    assert "2 of the 3 shards" in found.said
    assert cli("export", place, "-o", "part.parquet").status == 0
    assert len(pandas.read_parquet("part.parquet")) == 20
    assert duckdb.sql("SELECT count(*), max(index) FROM 'part.parquet'").fetchall() == [(20, 19)]
    assert cli("cluster", "run-shard", place, "--lane", "0").status == 0
    assert exported(cli, place) == list(range(ROWS))
    assert len(server.log) == ROWS
    assert "is done already" in cli("cluster", "run-shard", place, "2").said
    assert cli("cluster", "finish", place).status == 0
    local = cli("cluster", "run", place, "--on", "local:1")
    assert "all shards are done already" in local.said


def test_records_of_shards_that_are_done_are_read_while_others_are_running(cli: Cli) -> None:
    import duckdb
    import pandas

    gate = Gate(20)
    with everywhere(gate) as server:
        cli.write("urls.txt", hosts_list(server, 40, 1))
        cli("cluster", "prepare", "urls.txt", "job", "--shards", "2", "--workers", "1")
        process = cli.start("cluster", "run", "job", "--on", "local:1")
        assert server.wait_for_requests(21)
        assert exported(cli, "job") == list(range(20))
        assert sorted(pandas.read_parquet("job/records")["index"]) == list(range(20))
        assert duckdb.sql("SELECT count(DISTINCT index) FROM 'job/records/*.parquet'").fetchall() == [(20,)]
        status = cli("cluster", "status", "job").text
        assert "1 of 2 shards are done" in status
        assert "lane 0 is being run" in status
        gate.opened.set()
        assert ended(process).status == 0
    assert exported(cli, "job") == list(range(40))


def test_the_limit_of_a_host_holds_over_all_processes(cli: Cli) -> None:
    counted = Counted()
    with ScriptServer(counted) as server:
        cli.write("urls.txt", "".join(f"{server.url}/{row}\n" for row in range(40)))
        cli("cluster", "prepare", "urls.txt", "job", "--shards", "4", "--per-host", "4")
        assert cli.run("cluster", "run", "job", "--on", "local:3").status == 0
    assert 2 <= counted.most <= 4
    assert exported(cli, "job") == list(range(40))


# --- kills ---------------------------------------------------------------------------------------------------------


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes that run shards for a driver."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        found = [int(pid) for pid in file.read().split()]
    return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def begun(cli: Cli, server: ScriptServer, *options: str) -> subprocess.Popen[bytes]:
    """A job of 40 rows in two shards, of which the second one is under way, and is held by the server."""
    cli.write("urls.txt", hosts_list(server, 40, 1))
    cli("cluster", "prepare", "urls.txt", "job", "--shards", "2", "--workers", "2")
    process = cli.start("cluster", "run", "job", "--on", "local:2", *options)
    assert server.wait_for_requests(24)
    return process


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="this system does not tell the children of a process")
def test_a_process_that_is_killed_costs_its_attempt_alone(cli: Cli) -> None:
    gate = Gate(22)
    with everywhere(gate) as server:
        process = begun(cli, server)
        for pid in children_of(process):
            os.kill(pid, signal.SIGKILL)
        gate.opened.set()
        done = ended(process)
    assert done.status == 0, done
    assert "shard 1 failed, and is tried again (1 of 3): its process has died" in done.said
    assert exported(cli, "job") == list(range(40))


def test_when_the_driver_is_killed_its_processes_end_and_the_next_one_goes_on(cli: Cli) -> None:
    gate = Gate(22)
    with everywhere(gate) as server:
        process = begun(cli, server)
        process.kill()
        process.wait(PATIENCE)
        first = marker_values(cli.folder / "job", 0)
        gate.opened.set()
        done = cli.run("cluster", "run", "job", "--on", "local:2")
        assert done.status == 0, done
        assert exported(cli, "job") == list(range(40))
        assert marker_values(cli.folder / "job", 0) == first
        asked = len(server.log)
        assert cli("cluster", "run", "job", "--on", "local:2").status == 0
        assert len(server.log) == asked


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_driver_that_is_interrupted_keeps_what_is_done_and_says_how_to_go_on(
    cli: Cli, number: signal.Signals
) -> None:
    gate = Gate(22)
    with everywhere(gate) as server:
        process = begun(cli, server)
        process.send_signal(number)
        assert process.stderr is not None
        while b"stopping" not in process.stderr.readline():
            pass
        process.send_signal(number)
        done = ended(process)
        gate.opened.set()
        assert done.status == 128 + number
        assert "go on with: fetchq cluster run job --on local:2" in done.said
        assert cli.run("cluster", "run", "job", "--on", "local:2").status == 0
    assert exported(cli, "job") == list(range(40))


def test_a_job_with_a_rate_has_no_more_lanes_than_whole_starts_per_second(cli: Cli, server: ScriptServer) -> None:
    cli.write("urls.txt", hosts_list(server, 9, 9))
    cli("cluster", "prepare", "urls.txt", "job", "--shards", "9", "--rate", "2.5/s")
    assert len(json.loads((cli.folder / "job/job.json").read_bytes())["lanes"]) == 2


@pytest.mark.parametrize("name", ["run.db", "notes.txt", "input/notes.txt"])
def test_prepare_leaves_the_folder_of_others_alone(cli: Cli, name: str) -> None:
    (cli.folder / "job/input").mkdir(parents=True)
    (cli.folder / "job" / name).write_text("of others")
    cli.write("urls.txt", "http://a.test/")
    refused = cli("cluster", "prepare", "urls.txt", "job", "--shards", "1")
    assert f"'job' holds other files ('{name}') and no job; name a new folder" in refused.problem
    assert (cli.folder / "job" / name).read_text() == "of others"
    assert not (cli.folder / "job/job.json").exists()


def test_a_lane_of_one_shard_has_three_attempts_unless_its_input_has_changed(cli: Cli, server: ScriptServer) -> None:
    cli.write("urls.txt", hosts_list(server, 1, 1))
    cli("cluster", "prepare", "urls.txt", "job", "--shards", "1")
    records = cli.folder / "job/attempts"
    records.write_text("which is no folder")
    done = cli.run("cluster", "run-shard", "job", "--lane", "0")
    assert (done.status, done.said.count("shard 0 failed: ")) == (3, 3)
    records.unlink()
    with damaged(cli.folder / "job/input/lane-00.jsonl"):
        done = cli.run("cluster", "run-shard", "job", "--lane", "0")
    assert (done.status, done.said.count("shard 0 failed: ")) == (3, 1)


def test_prepare_refuses_a_folder_in_which_no_lease_could_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StorageError, match="cannot be written: Operation not permitted"):
        check_writable(LocalStorage(str(tmp_path / "job")))


def test_a_shard_that_kills_its_process_is_given_up_alone(cli: Cli, server: ScriptServer) -> None:
    """The module that a process imports is patched by the site's start-up code, which it runs, too."""
    (cli.folder / "site").mkdir()
    patch = """
import os, sys
class Poison:
    def find_spec(self, name, path=None, target=None):
        if name == "fetchq.cluster.attempt":
            sys.meta_path.remove(self)
            import fetchq.cluster.shard_run as module
            class Run(module.ShardRun):
                def make(self):
                    if self._task.shard.number == 1: os._exit(9)
                    return super().make()
            module.ShardRun = Run
sys.meta_path.insert(0, Poison())
"""
    (cli.folder / "site/sitecustomize.py").write_text(patch)
    cli.write("urls.txt", hosts_list(server, 6, 1))
    cli("cluster", "prepare", "urls.txt", "job", "--shards", "3")
    done = cli.run("cluster", "run", "job", "--on", "local:2", env={"PYTHONPATH": str(cli.folder / "site")})
    assert done.status == 3
    assert "shard 1 is given up: its process has died" in done.said
    assert "2 of 3 shards are done" in done.said
    assert exported(cli, "job") == [0, 1, 4, 5]
    assert "shard 1 has failed 3 times: its process was killed" in cli("cluster", "status", "job").text
    assert cli.run("cluster", "run", "job", "--on", "local:2").status == 0
    assert exported(cli, "job") == list(range(6))


# --- what is refused -----------------------------------------------------------------------------------------------

REFUSED = {
    "--processes 2": "--processes: fetchq cluster run --on local:N has N processes",
    "--deadline 5": "--deadline: a job ends when its list is done",
    "--max-failures 5": "--max-failures: a job does not count failed rows",
    "--fail-fast": "--fail-fast: a job does not count failed rows",
    "--output x": "--output: a job has a folder of its own",
    "--resume": "--resume: fetchq cluster run goes on with a job",
    "--overwrite": "--overwrite: delete the job",
    "--dedupe": "--dedupe: a job does not compare",
    "--refresh x": "--refresh: a job has no earlier run",
    "--name {index}": "--name: a job names bodies by itself",
    "--output-flat": "--output-flat: a job names bodies by itself",
    "--mode-bits 644": "--mode-bits: the storage of a job decides",
    "--cookie-jar x": "--cookie-jar: the shards of a job run in several processes",
    "--report x": "--report: a job has no page",
    "--har x": "--har: a job keeps no exchanges",
    "--trace x": "--trace: a job keeps no exchanges",
    "--json": "No such option '--json'",
    "--shards 0": "Invalid value for '--shards'",
}


@pytest.mark.parametrize("options", REFUSED)
def test_what_has_no_meaning_over_shards_is_refused_with_the_reason(cli: Cli, options: str) -> None:
    cli.write("urls.txt", "http://a.test/\n")
    refused = cli("cluster", "prepare", "urls.txt", "job", "--shards", "1", *options.split())
    assert REFUSED[options] in refused.problem
    assert not (cli.folder / "job").exists()


def test_a_variable_and_a_config_file_are_refused_likewise(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.write("urls.txt", "http://a.test/\n")
    cli.write("fetchq.toml", "dedupe = true\n")
    assert "fetchq.toml: dedupe: a job does not" in cli(
        "cluster", "prepare", "urls.txt", "job", "--shards", "1"
    ).problem.replace("'", "")
    os.unlink("fetchq.toml")
    monkeypatch.setenv("FETCHQ_DEADLINE", "5")
    assert "FETCHQ_DEADLINE: a job ends" in cli("cluster", "prepare", "urls.txt", "job", "--shards", "1").problem


def test_a_job_that_is_prepared_already_stays_as_it_is(cli: Cli) -> None:
    cli.write("urls.txt", "http://a.test/\nhttp://b.test/\n")
    prepare = ("cluster", "prepare", "urls.txt", "job", "--shards", "2")
    assert cli(*prepare).status == 0
    assert "prepared already" in cli(*prepare).said
    assert "with another --timeout" in cli(*prepare, "--timeout", "7").problem
    cli.write("urls.txt", "http://c.test/\n")
    assert "of another list" in cli(*prepare).problem


def test_a_list_that_is_missing_or_empty_or_shorter_than_the_number_of_shards(cli: Cli) -> None:
    assert "'nowhere.txt' cannot be read" in cli("cluster", "prepare", "nowhere.txt", "job", "--shards", "1").problem
    cli.write("urls.txt", "")
    assert "no URLs" in cli("cluster", "prepare", "urls.txt", "job", "--shards", "1").said
    cli.write("urls.txt", "http://a.test/\nhttp://a.test/2\n")
    made = cli("cluster", "prepare", "urls.txt", "job2", "--shards", "9")
    assert "2 rows in 2 shards and 1 lane; there are no more rows than that for --shards 9" in made.said


def test_what_is_no_job_or_cannot_be_one_is_said_in_one_line(cli: Cli) -> None:
    assert "needs one of its commands: prepare, run, run-shard" in cli("cluster").problem
    assert "No such command 'nonsense'" in cli("cluster", "nonsense").problem
    cli.write("file", "")
    for command in (("run", "nowhere", "--on", "local:1"), ("run-shard", "nowhere", "0"), ("status", "nowhere")):
        assert "there is no job in 'nowhere'" in cli("cluster", *command).problem
    assert "there is no job in 'nowhere'" in cli("cluster", "finish", "nowhere").problem
    cli.write("urls.txt", "http://a.test/\n")
    assert "cannot be" in cli("cluster", "prepare", "urls.txt", "file", "--shards", "1").problem
    cli("cluster", "prepare", "urls.txt", "job", "--shards", "1")
    assert "name a shard" in cli("cluster", "run-shard", "job").problem
    assert "the job has shards 0 to 0" in cli("cluster", "run-shard", "job", "1").problem
    assert "the job has lanes 0 to 0" in cli("cluster", "run-shard", "job", "--lane", "1").problem
    refused = cli("cluster", "run", "job", "--on", "local:1", "--worker-timeout", "3")
    assert "--worker-timeout: only a Dask cluster" in refused.problem
    for place in ("nonsense", "ucx://a:1", "local:0", "local:x", "tcp://"):
        assert "--on" in cli("cluster", "run", "job", "--on", place).problem
    assert "is a job, not a run" in cli("report", "job").problem
    assert "is a job, not a run" in cli("resume", "job").problem
    assert "is a job, not a run" in cli("retry", "job").problem
    assert "is a job, not a run" in cli("diff", "job", "job").problem


def test_a_job_in_memory_is_not_run_by_processes(cli: Cli) -> None:
    place = f"memory://{uuid4().hex}"
    cli.write("urls.txt", "http://a.test/\n")
    cli("cluster", "prepare", "urls.txt", place, "--shards", "1")
    assert "in the memory of this process" in cli("cluster", "run", place, "--on", "local:1").problem


def test_input_that_has_changed_is_not_fetched(cli: Cli, server: ScriptServer) -> None:
    cli.write("urls.txt", hosts_list(server, 2, 1))
    cli("cluster", "prepare", "urls.txt", "job", "--shards", "1")
    with damaged(cli.folder / "job/input/lane-00.jsonl"):
        done = cli("cluster", "run-shard", "job", "0")
    assert done.status == 3
    assert "its input input/lane-00.jsonl has changed; prepare the job anew" in done.said
    assert server.log == []


@pytest.mark.parametrize("missing", ["fsspec", "distributed"])
def test_without_the_extra_it_says_what_to_install(cli: Cli, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    from importlib.util import find_spec

    cli.write("urls.txt", "http://a.test/\n")
    cli("cluster", "prepare", "urls.txt", "job", "--shards", "1")
    monkeypatch.setattr("fetchq.cli.opened_job.find_spec", lambda name: None if name == missing else find_spec(name))
    refused = cli("cluster", "run", "job", "--on", "tcp://127.0.0.1:1")
    assert refused.problem == 'fetchq: fetchq cluster needs more packages: pip install "fetchq[cluster]"'


def test_a_secret_is_not_kept_and_must_be_given_again(cli: Cli, server: ScriptServer) -> None:
    cli.write("urls.txt", hosts_list(server, 1, 1))
    cli("cluster", "prepare", "urls.txt", "job", "--shards", "1", "--user", "me:hunter2")
    for path in (cli.folder / "job").rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes()
    refused = cli("cluster", "run-shard", "job", "0")
    assert "was begun with --user" in refused.problem
    assert cli("cluster", "run-shard", "job", "0", "--user", "me:hunter2").status == 0
    assert any(name.lower() == "authorization" for name, _ in server.log[0].headers)
    for path in (cli.folder / "job").rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes()


def test_while_another_process_has_the_lane_a_shard_waits_and_says_so(cli: Cli) -> None:
    gate = Gate(0)
    with everywhere(gate) as server:
        cli.write("urls.txt", hosts_list(server, 1, 1))
        cli("cluster", "prepare", "urls.txt", "job", "--shards", "1")
        first = cli.start("cluster", "run-shard", "job", "0")
        assert server.wait_for_requests(1)
        second = cli.start("cluster", "run-shard", "job", "0")
        assert second.stderr is not None
        assert b"lane 0 is held by another process: waiting for it" in second.stderr.readline()
        gate.opened.set()
        assert ended(first).status == ended(second).status == 0
        assert len(server.log) == 1


def test_a_rate_that_cannot_be_reached_with_so_few_processes_is_remarked_on(cli: Cli, server: ScriptServer) -> None:
    cli.write("urls.txt", hosts_list(server, 6, 6))
    cli("cluster", "prepare", "urls.txt", "job", "--shards", "6", "--lanes", "4", "--rate", "1000/s")
    lanes = len(json.loads((cli.folder / "job/job.json").read_bytes())["lanes"])
    assert 1 < lanes <= 4
    done = cli("cluster", "run", "job", "--on", "local:1")
    assert done.status == 0
    assert f"--rate is divided among {lanes} lanes, of which 1 run at a time" in done.said


def test_the_commands_are_quiet_when_asked(cli: Cli, server: ScriptServer) -> None:
    cli.write("urls.txt", hosts_list(server, 2, 1))
    cli("cluster", "prepare", "urls.txt", "job", "--shards", "2")
    assert cli("cluster", "prepare", "urls.txt", "job", "--shards", "2", "-q").said == ""
    assert cli("cluster", "run-shard", "job", "0", "-q").said == ""
    done = cli("cluster", "run", "job", "--on", "local:1", "-q")
    assert (done.status, done.said) == (0, "")
