"""Results become tables of pyarrow, pandas and polars, whose columns are those of a Parquet file of the records."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from support.factories import any_text, examples, failed_result, header_map, make_result
from support.servers import ScriptServer

from fetchq import Cause, Request, Results, Timing, fetch_all_sync, open_run
from fetchq.core.redirect_hop import HopTiming, RedirectHop
from fetchq.store.sinks.records_parquet import ParquetRecords

FULL = make_result(
    index=1,
    label="00123",
    body=b"caf\xe9",
    charset="latin-1",
    headers=[("Set-Cookie", "a"), ("set-cookie", "b")],
    trailers=header_map([("Digest", "x")]),
    hops=(RedirectHop(301, "http://a/", 0.1, HopTiming()),),
    timing=Timing(wait=0.5, tls=0.25),
)
RESULTS = Results([make_result(), FULL, failed_result(Cause.DNS, index=2, started=None)])

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def test_the_columns_are_those_of_a_parquet_file_and_so_are_their_values() -> None:
    stream = io.BytesIO()
    sink = ParquetRecords(stream)
    sink.write_records(one.to_record() for one in RESULTS)
    sink.close()
    written = parquet.read_table(io.BytesIO(stream.getvalue()))
    assert RESULTS.to_arrow().equals(written)


def test_headers_redirects_and_bodies_are_there_where_they_are_asked_for() -> None:
    table = RESULTS.to_arrow(["headers", "hops", "body", "text"])
    assert table.column_names[-5:] == ["headers", "trailers", "hops", "body", "text"]
    row = table.slice(1, 1).to_pylist()[0]
    assert row["headers"] == [{"name": "Set-Cookie", "value": "a"}, {"name": "set-cookie", "value": "b"}]
    assert (row["trailers"][0]["value"], row["hops"][0]["status"]) == ("x", 301)
    assert (row["body"], row["text"]) == (b"caf\xe9", "café")
    assert RESULTS.to_arrow("body").column_names[-1] == "body"
    with pytest.raises(ValueError, match="'hedders' is none of headers, hops, body, text; did you mean 'headers'"):
        RESULTS.to_arrow(["hedders"])


def test_pandas_and_polars_keep_the_types_and_the_nulls() -> None:
    frame, polars = RESULTS.to_pandas(), RESULTS.to_polars()
    assert frame["status"].dtype == "int32[pyarrow]"
    assert frame["status"].isna().tolist() == [False, False, True]
    assert frame.loc[1, "label"] == "00123"
    assert str(frame["started"].dtype) == "timestamp[us, tz=UTC][pyarrow]"
    assert polars["status"].to_list() == [200, 200, None]
    assert polars.schema["timing_tls"].is_float()
    assert len(Results().to_pandas()) == len(Results().to_polars()) == 0


def test_a_column_that_was_passed_on_has_the_type_of_its_values() -> None:
    rows = [{"sku": 5, "mixed": 1, "big": 2**70}, {"sku": None, "mixed": "a", "late": [1.5]}, None]
    table = Results(make_result(passed=one) for one in rows).to_arrow()
    assert table.schema.field("passed_sku").type == pa.int64()
    assert table.column("passed_sku").to_pylist() == [5, None, None]
    assert table.column("passed_mixed").to_pylist() == ["1", "a", None]
    assert table.column("passed_big").to_pylist() == [str(2**70), None, None]
    assert table.column("passed_late").to_pylist() == [None, "[1.5]", None]


@examples(100)
@given(st.lists(json_values, min_size=1, max_size=4), any_text)
def test_any_values_and_texts_become_a_table(values: list[Any], text: str) -> None:
    results = Results(make_result(passed={"x": json.loads(json.dumps(one))}, label=text) for one in values)
    assert results.to_arrow().num_rows == len(results.to_polars()) == len(results.to_pandas()) == len(values)


def test_a_table_of_a_run_has_the_columns_of_its_list() -> None:
    with ScriptServer() as server:
        rows = [Request(f"{server.url}/{at}", passed={"sku": at}) for at in range(3)]
        frame = fetch_all_sync(rows).to_pandas(include=["text"])
    assert frame["passed_sku"].tolist() == [0, 1, 2]
    assert frame["text"].tolist() == ["ok"] * 3


def test_a_stored_run_becomes_the_same_table(tmp_path: Path) -> None:
    with ScriptServer() as server:
        rows = [Request(f"{server.url}/{at}", passed={"sku": at}) for at in range(3)]
        results = fetch_all_sync(rows, output=tmp_path / "run")
    with open_run(tmp_path / "run") as run:
        assert Results(run).to_arrow().equals(results.to_arrow())


def test_bodies_that_are_not_in_memory_do_not_become_empty_texts(tmp_path: Path) -> None:
    with ScriptServer() as server:
        results = fetch_all_sync([f"{server.url}/"], output=tmp_path / "run", keep_body=False)
    with open_run(tmp_path / "run") as run:
        for without in (results, Results(run)):
            for what in ("body", "text"):
                with pytest.raises(ValueError, match="row 0 has no body in memory"):
                    without.to_arrow([what])
        assert [run.body(one) for one in run] == [b"ok"]


@pytest.mark.parametrize(("package", "install"), [("pandas", "pandas"), ("pyarrow", "fetchq[parquet]")])
def test_who_lacks_a_package_is_told_how_to_install_it(
    package: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "fetchq.store.sinks.record_table")
    with pytest.raises(ImportError) as told:
        RESULTS.to_pandas()
    assert str(told.value).endswith(f'is not installed: pip install "{install}"')
