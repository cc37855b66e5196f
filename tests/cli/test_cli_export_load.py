"""An export is read alike by pandas, polars and DuckDB: the same rows, nulls, times and leading zeros."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from support.factories import failed_result, make_result
from support.runs import make_run
from support.servers import need

from fetchq.core.model import PHASES, Cause, Complete, Result, Timing
from fetchq.store.export import write_records
from fetchq.store.stored_run import open_run

Rows = list[dict[str, Any]]
LABELS = ["00123", "2026-01-31", "12:30", "1e5", "true", "", "NULL", "nan", "a\nb", "\U0001f600", None]


def results() -> list[Result]:
    """More than a row group; columns that are null at first; labels that look like something else."""
    rows = [
        make_result(
            index=at,
            label=LABELS[at % len(LABELS)] if at >= 1000 else None,
            size=2**40 + at,
            sha256="0" * 63 + "1",
            content_type="text/html" if at > 1005 else None,
            started=datetime(2026, 3, 29, 1, 59, 59, at, UTC),
            elapsed=0.1 + at / 3,
            timing=Timing(wait=0.1, receive=at / 3, tls=0.25 if at > 1000 else None),
            complete=Complete.UNVERIFIED,
        )
        for at in range(1050)
    ]
    return [*rows, failed_result(Cause.DNS, index=1050, worker=None, started=None, remote=None, final_url=None)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of an export of them."""
    folder = tmp_path_factory.mktemp("exported")
    make_run(folder / "run", results())
    with open_run(str(folder / "run")) as run, (folder / "records.parquet").open("wb") as stream:
        write_records(run, "parquet", stream, "1")
    return str(folder / "records.parquet")


def expected() -> Rows:
    """The records as JSON Lines have them, with `timing` spread and `started` as a time."""
    rows = []
    for result in results():
        record = result.to_record() | {"started": result.started}
        timing = record.pop("timing")
        rows.append(record | {f"timing_{phase}": timing[phase] for phase in PHASES})
    return rows


def by_pandas(path: str) -> Rows:
    pandas = import_module("pandas")
    frame = pandas.read_parquet(path, dtype_backend="pyarrow").astype(object)
    return [
        {name: None if value is pandas.NA or value is pandas.NaT else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def by_polars(path: str) -> Rows:
    rows: Rows = import_module("polars").read_parquet(path).to_dicts()
    return rows


def by_duckdb(path: str) -> Rows:
    with import_module("duckdb").connect() as connection:
        found = connection.sql(f"FROM '{path}' ORDER BY \"index\"")
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


READERS: dict[str, Callable[[str], Rows]] = {"pandas": by_pandas, "polars": by_polars, "duckdb": by_duckdb}


@pytest.mark.parametrize("package", READERS)
def test_a_parquet_export_is_read_to_the_value(exported: str, package: str) -> None:
    need(find_spec(package), f"{package} is not installed")
    found, rows = READERS[package](exported), expected()
    assert len(found) == len(rows)
    for one, other in zip(found, rows, strict=True):
        assert list(one) == list(other)
        assert one == other
        assert {name: type(value) for name, value in one.items() if name != "started"} == {
            name: str if isinstance(value, str) else type(value) for name, value in other.items() if name != "started"
        }
        assert one["started"] is None or one["started"].utcoffset() is not None


LATE = {"label": "00123", "error": "late", "content_type": "text/html"}
"""Columns that are null in all rows but the last."""


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of JSON Lines in which columns are null in as many rows as DuckDB looks at."""
    path = tmp_path_factory.mktemp("late") / "records.jsonl"
    record = failed_result(Cause.DNS).to_record() | {"started": "2026-01-02T03:04:05.678901Z", "error": None}
    lines = [json.dumps(record | {"cause": None})] * 20_480
    path.write_text("\n".join([*lines, json.dumps(record | LATE)]))
    return str(path)


def json_by_pandas(path: str) -> Rows:
    frame = import_module("pandas").read_json(path, lines=True, dtype=False, dtype_backend="pyarrow")
    rows: Rows = frame.tail(1).to_dict("records")
    return rows


def json_by_polars(path: str) -> Rows:
    rows: Rows = import_module("polars").read_ndjson(path, infer_schema_length=None).tail(1).to_dicts()
    return rows


def json_by_duckdb(path: str) -> Rows:
    with import_module("duckdb").connect() as connection:
        found = connection.sql(f"FROM read_json('{path}', sample_size = -1) WHERE cause IS NOT NULL")
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize(
    ("package", "read"), [("pandas", json_by_pandas), ("polars", json_by_polars), ("duckdb", json_by_duckdb)]
)
def test_json_lines_lose_no_late_value_as_the_readme_reads_them(
    late: str, package: str, read: Callable[[str], Rows]
) -> None:
    need(find_spec(package), f"{package} is not installed")
    (row,) = read(late)
    assert {name: row[name] for name in LATE} == LATE
    assert (row["cause"], row["timing"]["wait"]) == ("dns", 0.5)
