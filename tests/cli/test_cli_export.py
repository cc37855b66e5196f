"""`fetchq export DIR`: the records of a run in another form, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.cli import Cli
from support.factories import make_result
from support.runs import NASTY, make_run, nasty_results
from support.store import change_ledger
from support.terminal import ACTIVE

from fetchq import StorageError
from fetchq.cli.practice.server import PracticeServer
from fetchq.core.atomic_file import atomic_write
from fetchq.core.model import PHASES
from fetchq.core.redirect_hop import HopTiming, RedirectHop, hop_records
from fetchq.core.text import without_surrogates
from fetchq.store.export import write_records
from fetchq.store.sinks import RECORD_FORMATS, sink_for
from fetchq.store.stored_run import open_run

MANY = 2500
LATE = """json_extract(CASE WHEN "index" > 2000 THEN '{' ELSE '{}' END, '$.a') IS NULL"""
"""A condition that goes wrong only at a later row."""


@pytest.fixture
def many(tmp_path: Path) -> str:
    """A run of `MANY` rows."""
    return make_run(tmp_path / "many", (make_result(index=at, url=f"http://h/{at}") for at in range(MANY)))


def nothing_left(cli: Cli) -> bool:
    return not list(cli.folder.glob("*-part"))


# --- what is written -----------------------------------------------------------------------------------------------


def test_an_export_is_what_the_run_itself_printed_byte_for_byte(cli: Cli, practice: PracticeServer, mode: str) -> None:
    rows = [{"url": f"{practice.url}/{path}", "label": "=1+\x1b[31m\u202e"} for path in ("json", "status/404", "gzip")]
    cli.write("rows.jsonl", "\n".join(json.dumps(row) for row in [*rows, {"url": "no-url\x9b"}, {"url": "http://a:x"}]))
    for form, ends in (("jsonl", b"\n"), ("csv", b"\r\n")):
        printed = cli("rows.jsonl", "-o", form, "--format", form, "--mode", mode).out
        done = cli("export", form, "--format", form)
        assert (done.status, done.said) == (0, "")
        assert len(done.lines) == (5 if form == "jsonl" else 6)
        # The run prints them as they are done, the export by index.
        assert sorted(done.out.split(ends)) == sorted(printed.split(ends))
    assert [record["index"] for record in map(json.loads, cli("export", "jsonl").lines)] == list(range(5))


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_values_that_would_do_harm_are_written_as_the_sinks_write_them(cli: Cli, form: str) -> None:
    results = nasty_results()
    expected = io.BytesIO()
    sink = sink_for(form, expected)
    sink.write(results)
    sink.flush()
    done = cli("export", make_run(cli.folder / "run", results), "--format", form)
    assert done.out == expected.getvalue()
    assert not ACTIVE.search(done.text.replace("\r\n", "\n"))
    if form == "csv":
        cells = [cell for row in csv.reader(io.StringIO(done.text, newline="")) for cell in row]
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
        assert "'=1+1" in cells


def test_every_value_comes_back_from_json_as_it_was(cli: Cli) -> None:
    lines = cli("export", make_run(cli.folder / "run", nasty_results())).lines
    labels = [json.loads(line)["label"] for line in lines[: len(NASTY)]]
    assert labels == [without_surrogates(text) for text in NASTY]


def test_the_format_is_json_lines_where_neither_an_option_nor_the_name_says_another(cli: Cli, many: str) -> None:
    lines = cli("export", many).out
    assert lines == cli("export", many, "--format", "jsonl", "-o", "-").out
    for name, form in (("a.txt", "jsonl"), ("a.jsonl", "jsonl"), ("a.CSV", "csv")):
        assert cli("export", many, "-o", name) == (0, b"", b"")
        assert (cli.folder / name).read_bytes() == cli("export", many, "--format", form).out
    cli("export", many, "--format", "jsonl", "-o", "b.csv")
    assert (cli.folder / "b.csv").read_bytes() == lines


def test_a_condition_chooses_the_rows(cli: Cli, many: str) -> None:
    done = cli("export", many, "--where", '"index" % 1000 = 7 -- every thousandth')
    assert [json.loads(line)["index"] for line in done.lines] == [7, 1007, 2007]
    assert cli("export", many, "--where", "cause IS NOT NULL") == (0, b"", b"")


def test_no_record_at_all_is_an_empty_file_and_in_csv_its_header(cli: Cli) -> None:
    run = make_run(cli.folder / "run", [])
    assert cli("export", run) == (0, b"", b"")
    assert cli("export", run, "--format", "csv").text.startswith("index,url,")


def test_a_run_that_has_not_ended_is_exported_as_far_as_it_is_and_that_is_said(cli: Cli) -> None:
    run = make_run(cli.folder / "run", [make_result()], finished=False)
    done = cli("export", run)
    assert (done.status, len(done.lines)) == (0, 1)
    assert done.said == f"fetchq: the run in {run!r} has not ended: 1 row is done\n"


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_memory_does_not_grow_with_the_run(tmp_path: Path, form: str) -> None:
    peaks = []
    for rows in (4000, 4000, 8000):  # the first one loads what is loaded once
        path = make_run(tmp_path / str(len(peaks)), (make_result(index=at) for at in range(rows)))
        with open_run(path) as run, open(os.devnull, "wb") as stream:
            tracemalloc.start()
            write_records(run, form, stream, "1")
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[2] < peaks[1] + 200_000  # 4000 rows would be millions


def test_neither_the_network_nor_parquet_is_loaded_for_json(cli: Cli, many: str) -> None:
    code = f"from fetchq.cli import main\ntry: main(['export', {many!r}])\nexcept SystemExit: pass"
    code += "\nimport sys\nprint(*sys.modules, sep='\\n', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.splitlines())
    assert "sqlite3" in loaded
    assert loaded & {"aiohttp", "requests", "asyncio", "urllib3", "ssl", "rich", "pyarrow"} == set()


# --- Parquet -------------------------------------------------------------------------------------------------------


def test_parquet_holds_the_records_in_typed_columns(cli: Cli) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run = make_run(cli.folder / "run", nasty_results())
    assert cli("export", run, "-o", "a.parquet") == (0, b"", b"")
    table = parquet.read_table("a.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["index"], types["ok"], types["status"], types["url"]) == ("int64", "bool", "int32", "string")
    assert (types["started"], types["elapsed"], types["timing_tls"]) == ("timestamp[us, tz=UTC]", "double", "double")
    with open_run(run) as stored:
        records = list(stored.records())
    for record in records:
        timing = record.pop("timing")
        record |= {f"timing_{phase}": timing[phase] for phase in PHASES}
        record["started"] = record["started"] and datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    assert table.to_pylist() == records
    assert [field.name for field in table.schema] == list(records[0])


def test_parquet_holds_the_redirects_as_a_list_of_objects_where_they_are_asked_for(cli: Cli) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    hops = (
        RedirectHop(302, "http://a/", 0.25, HopTiming(wait=0.25)),
        RedirectHop(307, "http://b/", 0.5, HopTiming(0.1, 0.1, 0.1, 0.1, 0.1)),
    )
    run = make_run(cli.folder / "run", [make_result(), make_result(index=1, hops=hops)])
    assert cli("export", run, "-o", "a.parquet", "--include", "hops") == (0, b"", b"")
    table = parquet.read_table("a.parquet")
    timing = "struct<dns: double, connect: double, tls: double, wait: double, receive: double, lag: double>"
    hop = f"struct<status: int32, url: string, elapsed: double, timing: {timing}>"
    assert str(table.schema.field("hops").type) == f"list<element: {hop}>"
    assert table.column("hops").to_pylist() == [[], hop_records(hops)]


def test_parquet_has_row_groups_of_a_thousand_in_zstandard(cli: Cli, many: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    done = cli("export", many, "--format", "parquet")
    metadata = parquet.ParquetFile(io.BytesIO(done.out)).metadata
    assert [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)] == [1000, 1000, 500]
    assert metadata.row_group(0).column(1).compression == "ZSTD"
    assert parquet.read_table(io.BytesIO(done.out)).column("index").to_pylist() == list(range(MANY))


def test_a_parquet_file_of_no_record_can_be_read(cli: Cli) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    cli("export", make_run(cli.folder / "run", []), "-o", "a.parquet")
    assert parquet.read_table("a.parquet").num_rows == 0


def test_results_that_were_never_in_a_ledger_can_go_into_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from fetchq.store.sinks.records_parquet import ParquetRecords

    stream = io.BytesIO()
    sink = ParquetRecords(stream)
    sink.write_records(result.to_record() for result in nasty_results())
    sink.flush()
    sink.close()
    labels = parquet.read_table(io.BytesIO(stream.getvalue())).column("label").to_pylist()
    assert labels[: len(NASTY)] == [without_surrogates(text) for text in NASTY]


def test_what_is_no_whole_parquet_file_does_not_look_like_one(cli: Cli, many: str) -> None:
    pytest.importorskip("pyarrow")
    done = cli("export", many, "--format", "parquet", "--where", LATE)
    assert done.status == 2
    assert done.out.startswith(b"PAR1")
    assert not done.out.endswith(b"PAR1")


def test_without_pyarrow_parquet_is_wrong_usage_that_says_what_to_install(
    cli: Cli, many: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "fetchq.store.sinks.records_parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = cli("export", many, "-o", "a.parquet")
    assert done.problem == 'fetchq: Parquet needs pyarrow: pip install "fetchq[parquet]"'
    assert not (cli.folder / "a.parquet").exists()


def test_parquet_does_not_go_to_a_terminal(cli: Cli, many: str) -> None:
    pytest.importorskip("pyarrow")
    status, shown = cli.on_terminal("export", many, "--format", "parquet", err=False)
    assert (status, shown) == (2, b"")
    assert cli.beside.startswith(b"fetchq: Parquet is not for a terminal")


# --- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    ["nope = 1", "index = 1", "1; DROP TABLE records", "", ")", "count(*) > 1", "url = ?", "\udcff", LATE, "'\x1b[31m"],
)
@pytest.mark.parametrize("form", RECORD_FORMATS)
def test_a_wrong_condition_is_wrong_usage_and_leaves_no_file(cli: Cli, many: str, where: str, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    cli.write("out", "as it was")
    done = cli("export", many, "--format", form, "-o", "out", "--where", where)
    assert done.problem.startswith("fetchq: --where: not a condition over the columns of the record: ")
    assert not ACTIVE.search(done.problem)
    assert (cli.folder / "out").read_text() == "as it was"
    assert nothing_left(cli)


def test_a_folder_without_a_run_is_wrong_usage(cli: Cli) -> None:
    for folder in ("none", "home", "\x1b[31m", "a" * 300):
        assert "there is no run in" in cli("export", folder).problem


@pytest.mark.parametrize("output", ["home", "none/out", "run/run.db", "run/run.db-wal", "run/lock", ""])
def test_a_file_that_cannot_be_is_wrong_usage(cli: Cli, output: str) -> None:
    run = make_run(cli.folder / "run", [make_result()])
    assert repr(output.removesuffix("/out")) in cli("export", run, "-o", output).problem
    assert len(cli("export", run).lines) == 1


def test_redirects_in_a_ledger_that_are_none_end_with_3(cli: Cli, practice: PracticeServer) -> None:
    cli(f"{practice.url}/json", "-o", "run", "-q")
    change_ledger("run", "UPDATE records SET hops = '[{}]'")
    ended = cli("export", "run", "--include", "hops", "--format", "jsonl")
    assert ended.status == 3
    assert "is damaged: row 0: these are not redirects" in ended.said
    with open_run("run") as run, pytest.raises(StorageError, match="is damaged: row 0"):
        list(run)


def test_a_damaged_ledger_ends_with_3(cli: Cli, many: str) -> None:
    ledger = Path(many) / "run.db"
    content = bytearray(ledger.read_bytes())
    content[len(content) // 2 :] = b"\xa5" * (len(content) - len(content) // 2)
    ledger.write_bytes(content)
    done = cli("export", many, "-o", "out")
    assert done.status == 3
    assert done.said.startswith("fetchq: the ledger ")
    assert done.said.count("\n") == 1
    assert not (cli.folder / "out").exists()
    assert nothing_left(cli)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
@pytest.mark.parametrize("form", RECORD_FORMATS)
def test_a_full_disk_ends_with_3_and_one_line(cli: Cli, many: str, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    done = cli.run("export", many, "--format", form, "-o", "/dev/full")
    assert done == (3, b"", b"fetchq: '/dev/full' cannot be written: No space left on device\n")
    assert Path("/dev/full").is_char_device()
    with open("/dev/full", "wb") as full:
        done = cli.run("export", many, "--format", form, stdout=full)
    assert (done.status, done.said) == (3, "fetchq: this cannot be written: No space left on device\n")


@pytest.mark.parametrize("form", RECORD_FORMATS)
def test_a_reader_that_has_seen_enough_ends_it_quietly(cli: Cli, many: str, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    ours, theirs = os.pipe()
    process = cli.start("export", many, "--format", form, stdout=theirs)
    os.close(theirs)
    assert os.read(ours, 10)
    os.close(ours)
    _, err = process.communicate()
    assert (process.returncode, err) == (1, b"")


# --- a file that is whole or not there -----------------------------------------------------------------------------


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with atomic_write(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_text() == "old"
        assert (tmp_path / "out.fetchq-part").read_text() == "new"
    assert path.read_text() == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_a_file_keeps_its_rights_and_those_beside_it_are_left_alone(tmp_path: Path) -> None:
    path, other = tmp_path / "out", tmp_path / "out.part"
    other.write_text("somebody's")
    for rights in (0o600, 0o666):
        path.touch()
        path.chmod(rights)
        with atomic_write(path) as stream:
            stream.write(b"new")
        assert path.stat().st_mode & 0o777 == rights
    assert other.read_text() == "somebody's"


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_file_that_is_given_up_leaves_nothing(tmp_path: Path, problem: type[BaseException]) -> None:
    def give_up() -> None:
        with atomic_write(tmp_path / "out") as stream:
            stream.write(b"new")
            raise problem

    with pytest.raises(problem):
        give_up()
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_has_left_is_replaced_and_a_link_in_its_place_not_followed(tmp_path: Path) -> None:
    for leave in (lambda part: part.write_text("old" * 99), lambda part: part.symlink_to(tmp_path / "victim")):
        leave(tmp_path / "out.fetchq-part")
        with atomic_write(tmp_path / "out") as stream:
            stream.write(b"new")
        assert [one.name for one in tmp_path.iterdir()] == ["out"]
        assert (tmp_path / "out").read_text() == "new"


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_refused_before_anything_is_fetched_or_written(
    cli: Cli, practice: PracticeServer, there: bool
) -> None:
    """Whoever gives a folder away may have planted it."""
    run = make_run(cli.folder / "run", [make_result()])
    if there:
        cli.write("precious", "old")
    for name in ("out.csv", "run/report.html"):
        (cli.folder / name).symlink_to(cli.folder / "precious")
    calls = [["export", run, "-o", "out.csv"], ["report", run]]
    fetch = f"{practice.url}/json"
    calls += [[fetch, option, "out.csv"] for option in ("--report", "--har", "--trace", "--cookie-jar")]
    calls.append(["compare", fetch, "--mode", "sync", "--mode", "threads", "--rounds", "1", "--report", "out.csv"])
    for call in calls:
        assert ": it is a symbolic link; name the file itself" in cli(*call).problem, call
    with pytest.raises(OSError, match="symbolic link"), atomic_write("out.csv"):
        pass
    assert (cli.folder / "precious").exists() == there
    assert not there or (cli.folder / "precious").read_text() == "old"


def test_a_link_to_a_device_and_a_descriptor_are_written(cli: Cli) -> None:
    run = make_run(cli.folder / "run", [make_result()])
    (cli.folder / "nowhere").symlink_to(os.devnull)
    for name in (os.devnull, "nowhere"):
        assert cli("export", run, "-o", name).status == 0
    for name in ("/dev/stdout", "/dev/fd/1"):
        with (cli.folder / "all").open("wb") as file:
            file.write(b"before\n")
            file.flush()
            assert cli.run("export", run, "-o", name, stdout=file).status == 0
        assert [line[:7] for line in (cli.folder / "all").read_text().splitlines()] == ["before", '{"index']


def test_of_two_that_write_the_same_file_the_first_gives_up(tmp_path: Path) -> None:
    first, second = atomic_write(tmp_path / "out"), atomic_write(tmp_path / "out")
    first.__enter__().write(b"half of the first")
    second.__enter__().write(b"all of the second")
    with pytest.raises(FileExistsError, match="another program"):
        first.__exit__(None, None, None)
    assert not (tmp_path / "out").exists()
    second.__exit__(None, None, None)
    assert (tmp_path / "out").read_bytes() == b"all of the second"
