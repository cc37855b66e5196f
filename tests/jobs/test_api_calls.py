"""A job: 1,000 calls of an API from a CSV list, with a bearer token, whose answers go into pandas and DuckDB."""

from __future__ import annotations

import csv
import json
from collections import Counter

import duckdb
import pandas
from faults.wire import Asked, Connection
from support.cli import Cli
from support.servers import ScriptServer, answer

CALLS = 1000
TOKEN = "t0ken.abc="


def api(conn: Connection, asked: Asked) -> None:
    """Answers an order with its number; every hundredth is not taken."""
    if asked.header("Authorization") != f"Bearer {TOKEN}" or asked.header("Content-Type") != "application/json":
        answer(b"{}", status=b"401 Unauthorized")(conn, asked)
        return
    n = json.loads(asked.body)["n"]
    status = b"422 Unprocessable Content" if n % 100 == 0 else b"201 Created"
    answer(json.dumps({"id": n}).encode(), b"Content-Type: application/json", status=status)(conn, asked)


def test_a_thousand_posts_from_csv_are_tables_in_pandas_and_duckdb(cli: Cli) -> None:
    with ScriptServer(api) as server:
        with (cli.folder / "orders.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["url", "body", "sku", "batch"])
            for n in range(CALLS):
                writer.writerow([server.url, json.dumps({"n": n}), f"{n:05}", n % 7])
        options = ["--bearer", TOKEN, "--data-type", "json", "--strict-columns", "--pass", "sku", "--pass", "batch"]
        done = cli("orders.csv", *options, "-o", "run", "-q", "--no-adapt")
        assert Counter(asked.method for asked in server.log) == {"POST": CALLS}
    assert done.status == 1
    cli("export", "run", "-o", "answers.parquet")
    path = str(cli.folder / "answers.parquet")

    frame = pandas.read_parquet(path, dtype_backend="pyarrow")
    assert frame["passed_sku"].tolist() == [f"{n:05}" for n in range(CALLS)]
    assert frame.groupby("status").size().to_dict() == {201: 990, 422: 10}
    failed = duckdb.sql(f"SELECT passed_sku FROM '{path}' WHERE NOT ok ORDER BY 1").fetchall()
    assert failed == [(f"{n:05}",) for n in range(0, CALLS, 100)]
    assert TOKEN.encode() not in b"".join(one.read_bytes() for one in (cli.folder / "run").rglob("*") if one.is_file())
