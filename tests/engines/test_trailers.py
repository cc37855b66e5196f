"""The trailers of an answer are in its record, and its `wait` ends with the first byte of the final head."""

from __future__ import annotations

import csv
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
from faults.wire import CHUNKED, Asked, Connection, chunk, head, length
from support.servers import ScriptServer

from fetchq import fetch_all_sync

WIRE = head(CHUNKED) + chunk(b"hello") + b"0\r\nX-Sum: 1\r\nx-sum: caf\xe9\r\nServer-Timing: total;dur=2\r\n\r\n"
FOUND = {"x-sum": ["1", "café"], "server-timing": ["total;dur=2"]}


def play(conn: Connection, asked: Asked) -> None:
    conn.send(head(CHUNKED) + chunk(b"hello") + b"0\r\n\r\n" if asked.path == "/none" else WIRE)


def test_trailers_are_in_the_result_and_in_its_record_with_the_headers(mode: str) -> None:
    with ScriptServer(play) as server:
        result, without = fetch_all_sync([server.url, f"{server.url}/none"], mode=mode, workers=1, retries=0)
    assert result.trailers is not None
    assert result.trailers.getall("X-SUM") == ["1", "caf\udce9"]
    assert "x-sum" not in result.headers
    assert result.to_record(["headers"])["trailers"] == FOUND
    assert "trailers" not in result.to_record(["text"])
    assert without.trailers is None
    assert "trailers" not in without.to_record(["headers"])
    for one in (result, without):
        assert pickle.loads(pickle.dumps(one)) == one


def test_trailers_are_a_column_of_csv_beside_the_headers(cli: Any) -> None:
    with ScriptServer(play) as server:
        done = cli("--format", "csv", "--include", "headers", "--workers", "1", server.url, f"{server.url}/none")
    rows = list(csv.DictReader(io.StringIO(done.out.decode())))
    assert [row["trailers"] for row in rows] == ['{"x-sum":["1","café"],"server-timing":["total;dur=2"]}', ""]


def test_trailers_are_a_column_of_parquet_beside_the_headers(cli: Any, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with ScriptServer(play) as server:
        cli("-o", "run", "--save", "parquet", "--workers", "1", server.url, f"{server.url}/none")
    table = parquet.read_table(tmp_path / "run" / "parquet" / "part-00000.parquet")
    assert table["trailers"].to_pylist() == [
        [
            {"name": "X-Sum", "value": "1"},
            {"name": "x-sum", "value": "café"},
            {"name": "Server-Timing", "value": "total;dur=2"},
        ],
        None,
    ]


HINTS = head(b"Link: </a>", status=b"HTTP/1.1 103 Early Hints")


@pytest.mark.parametrize("cut", [0, 10], ids=["apart", "in the status line"])
def test_the_wait_ends_with_the_first_byte_of_the_final_answer(mode: str, cut: int) -> None:
    def hinted(conn: Connection, _: Asked) -> None:
        final = head(length(5)) + b"hello"
        conn.send(HINTS[: len(HINTS) - cut])
        conn.pause(0.2)
        conn.send(HINTS[len(HINTS) - cut :] + final[:1])
        conn.pause(0.1)
        conn.send(final[1:])

    with ScriptServer(hinted) as server:
        (result,) = fetch_all_sync([server.url], mode=mode, retries=0)
    assert result.ok
    assert result.timing.wait >= 0.19  # as precisely as the kernel tells
    assert result.timing.wait + result.timing.receive >= 0.29
