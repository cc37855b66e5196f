#!/usr/bin/env bash
# DuckDB 2.0.1, polars 2.1.0 and pandas 3.1.1 read the same JSON Lines: `label` and `error` are null in 20,480 rows, and
# "00123" and "late" in one more.
#
# One would guess that each gives the last row as it is, or says that it cannot. DuckDB looks at 20,480 rows, gives the
# columns the type "NULL", and reads null for whatever follows, without a word. polars refuses the file. pandas makes a
# number of the text "00123". Only told to look at all rows, or to leave the types alone, do they give what is there.
#
# Seen in the last row:
#   duckdb                             None, None
#   duckdb, sample_size = -1           '00123', 'late'
#   polars                             ComputeError: got non-null value for NULL-typed column
#   polars, infer_schema_length=None   '00123', 'late'
#   pandas                             123.0, 'late'
#   pandas, dtype=False                '00123', 'late'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1 polars==2.1.0 pandas==3.1.1 2>/dev/null
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

import duckdb
import pandas
import polars

with open("late.jsonl", "w") as file:
    for number in range(20_480):
        file.write(json.dumps({"index": number, "label": None, "error": None}) + "\n")
    file.write(json.dumps({"index": 20_480, "label": "00123", "error": "late"}) + "\n")


def by_duckdb(source: str) -> str:
    ((label, error),) = duckdb.sql(f"SELECT label, error FROM {source} WHERE index = 20480").fetchall()
    return f"{label!r}, {error!r}"


def by_polars(**options: object) -> str:
    try:
        row = polars.read_ndjson("late.jsonl", **options).row(-1, named=True)
    except polars.exceptions.ComputeError as error:
        return f"ComputeError: {str(error).partition(':')[0]}"
    return f"{row['label']!r}, {row['error']!r}"


def by_pandas(**options: object) -> str:
    row = pandas.read_json("late.jsonl", lines=True, **options).iloc[-1]
    label = row["label"] if isinstance(row["label"], str) else float(row["label"])
    return f"{label!r}, {row['error']!r}"


seen = {
    "duckdb": by_duckdb("'late.jsonl'"),
    "duckdb, sample_size = -1": by_duckdb("read_json('late.jsonl', sample_size = -1)"),
    "polars": by_polars(),
    "polars, infer_schema_length=None": by_polars(infer_schema_length=None),
    "pandas": by_pandas(),
    "pandas, dtype=False": by_pandas(dtype=False),
}
for name, what in seen.items():
    print(f"{name:34} {what}")
whole = "'00123', 'late'"
expected = {
    "duckdb": "None, None",
    "duckdb, sample_size = -1": whole,
    "polars": "ComputeError: got non-null value for NULL-typed column",
    "polars, infer_schema_length=None": whole,
    "pandas": "123.0, 'late'",
    "pandas, dtype=False": whole,
}
sys.exit(seen != expected)
PYTHON
