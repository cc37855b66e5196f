"""What rows pass on is in their records in every format, whatever becomes of the run."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet
import pytest
from support.cli import Cli
from support.servers import ScriptServer, answer, by_path

from fetchq import FolderError, Request, fetch_all_sync, open_run
from fetchq.core.passed_columns import read_passed

VALUES = ["=1+1", 10**30, None, {"a": [1.5, True]}]
TEXTS = ["=1+1", str(10**30), None, '{"a": [1.5, true]}']


def listed(cli: Cli, server: ScriptServer) -> str:
    rows = [{"url": f"{server.url}/{at // 2}", "sku": value, "n": at} for at, value in enumerate(VALUES)]
    return cli.write("a.jsonl", "\n".join(map(json.dumps, rows)))


@pytest.mark.parametrize("save", ["files", "parquet", "none"])
def test_a_durable_run_keeps_what_rows_pass_on_also_for_duplicates(cli: Cli, save: str) -> None:
    passed = [{"sku": value} for value in VALUES]
    with ScriptServer(by_path({"/1": answer(status=b"404 Not Found")})) as server:
        done = cli(
            listed(cli, server), "-o", "run", "--pass", "sku", "--pass", "n", "--dedupe", "--save", save, "--json"
        )
        assert sorted(server.seen) == ["/0", "/1"]
        assert cli("retry", "run", "--where", "NOT ok", "--format", "csv", "-q").text.count("\r\n") == 3
    records = sorted(map(json.loads, done.lines), key=lambda record: record["index"])
    exported = [json.loads(line) for line in cli("export", "run").lines]
    for kept in (records, exported):
        assert [{"sku": one["passed"]["sku"]} for one in kept] == passed
        assert [one["passed"]["n"] for one in kept] == [0, 1, 2, 3]
    with open_run(cli.folder / "run") as run:
        assert [one.passed for one in run] == [one | {"n": at} for at, one in enumerate(passed)]
    rows = list(csv.DictReader(io.StringIO(cli("export", "run", "--format", "csv").text, newline="")))
    assert [row["passed_sku"] for row in rows] == ["'=1+1", str(10**30), "", '{"a":[1.5,true]}']
    cli("export", "run", "-o", "run.parquet")
    table = pyarrow.parquet.read_table(cli.folder / "run.parquet")
    assert (table["passed_sku"].to_pylist(), table["passed_n"].to_pylist()) == (TEXTS, ["0", "1", "2", "3"])


def test_all_others_are_one_column_of_json_where_columns_are_fixed(cli: Cli) -> None:
    with ScriptServer() as server:
        cli(listed(cli, server), "-o", "run", "--pass", "*", "--format", "csv")
    rows = csv.DictReader(io.StringIO(cli("export", "run", "--format", "csv").text, newline=""))
    assert [json.loads(row["passed"]) for row in rows] == [{"sku": one, "n": at} for at, one in enumerate(VALUES)]


@pytest.mark.parametrize("form", ["jsonl", "csv", "text"])
def test_values_that_are_nested_too_deep_for_a_record_are_an_error_of_their_row(cli: Cli, form: str, mode: str) -> None:
    with ScriptServer() as server:
        rows = [f'{{"url": "{server.url}", "n": {"[" * depth + "]" * depth}}}' for depth in (99, 100, 300, 800, 1000)]
        for columns in ("n", "*"):
            done = cli(cli.write("a.jsonl", "\n".join(rows)), "--pass", columns, "--format", form, "--mode", mode)
            assert (done.status, done.text.count("nested too deep")) == (1, 4)
        assert len(server.seen) == 2


def test_values_that_are_nested_too_deep_in_a_ledger_are_refused() -> None:
    assert read_passed('{"n":%s}' % ("[" * 99 + "]" * 99))
    with pytest.raises(ValueError, match="nested too deep"):
        read_passed('{"n":%s}' % ("[" * 100 + "]" * 100))
    assert len(read_passed(json.dumps({str(n): [n] for n in range(1000)}))) == 1000  # wide, not deep


@pytest.mark.parametrize(("before", "now"), [(["--pass", "n"], []), ([], ["--pass", "n"]), ([], ["--strict-columns"])])
def test_a_run_that_is_resumed_passes_on_the_same_columns(cli: Cli, before: list[str], now: list[str]) -> None:
    with ScriptServer() as server:
        cli.write("a.csv", f"url,n\n{server.url},1\n")
        assert cli("a.csv", "-o", "run", *before).status == 0
        done = cli("a.csv", "-o", "run", "--resume", *now)
    option = (before or now)[0]
    assert (done.status, done.said) == (2, f"fetchq: the run in 'run' was begun with another {option}\n")


@pytest.mark.parametrize("changed", [{"passed": {"a": 2}}, {"checksum": f"sha256:{'b' * 64}"}, {"filename": "b"}])
def test_a_row_of_a_program_that_has_changed_is_another_row(tmp_path: Path, changed: dict[str, str]) -> None:
    fields = {"passed": {"a": 1}, "checksum": f"sha256:{'a' * 64}", "filename": "a"}
    output = str(tmp_path / "run")
    with ScriptServer() as server:
        for again in (False, True):
            (result,) = fetch_all_sync([Request(server.url, **fields)], output=output, resume=again)  # type: ignore[arg-type]  # of any field
            assert result.passed == {"a": 1}
        with pytest.raises(FolderError, match="row 0 is not what it was"):
            fetch_all_sync([Request(server.url, **fields | changed)], output=output, resume=True)  # type: ignore[arg-type]  # of any field


def test_the_arguments_of_a_durable_run_have_no_columns(cli: Cli) -> None:
    with ScriptServer() as server:
        done = cli(server.url, "-o", "run", "--url-column", "link", "--pass", "sku", "--json")
    assert (done.status, done.record.get("passed")) == (0, None)
