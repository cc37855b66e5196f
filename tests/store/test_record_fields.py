"""A field of the record is written in one place: every format derives its columns from the annotations of Result."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import fetchq

PACKAGE = Path(fetchq.__file__).parent
WRITE_AND_READ = """
import csv, io, json, sys
from pathlib import Path

import pyarrow.parquet as pq
from support.factories import make_result

from fetchq import open_run
from fetchq.store.ledger import Ledger
from fetchq.store.sinks import record_sink_for

Path("run").mkdir()
result = make_result(elapsed=1.5, proxy_port=8080, cached=True)
ledger = Ledger.create(Path("run/run.db"), {})
ledger.commit([result])
assert list(ledger.records("proxy_port = 8080 AND cached"))
ledger.close()
with open_run("run") as run:
    (back,) = run
    assert (back.proxy_port, back.cached) == (8080, True), back
    (record,) = run.records()
assert record == json.loads(json.dumps(record)) | {"started": record["started"]}
assert (record["proxy_port"], record["cached"]) == (8080, True), record


def written(format):
    stream = io.BytesIO()
    sink = record_sink_for(format, stream)
    sink.write_records([record])
    sink.close()
    return stream.getvalue()


assert json.loads(written("jsonl"))["proxy_port"] == 8080
(line,) = csv.DictReader(io.StringIO(written("csv").decode()))
assert (line["proxy_port"], line["cached"], line["elapsed"]) == ("8080", "true", "1.5"), line
# In this thread, since pyarrow 26 may abort a process that exits right after its first read with threads.
(row,) = pq.ParquetFile(io.BytesIO(written("parquet"))).read(use_threads=False).to_pylist()
assert (row["proxy_port"], row["cached"], row["elapsed"]) == (8080, True, 1.5), row
"""


def test_a_field_added_to_the_model_is_a_column_of_every_format_and_of_the_ledger(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "fetchq", ignore=shutil.ignore_patterns("__pycache__"))
    model = tmp_path / "fetchq/core/model.py"
    before = "    started: datetime | None\n"
    source = model.read_text()
    assert source.count(before) == 1
    model.write_text(source.replace(before, f"    proxy_port: int | None\n    cached: bool\n{before}"))
    tests = tmp_path / "support"
    shutil.copytree(Path(__file__).parent.parent / "support", tests, ignore=shutil.ignore_patterns("__pycache__"))
    factories = tests / "factories.py"
    factories.write_text(
        factories.read_text().replace('"worker": 1,', '"worker": 1, "proxy_port": 1, "cached": False,')
    )
    found = subprocess.run(
        [sys.executable, "-c", WRITE_AND_READ], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
