"""Large bodies in records: they are the same whether they are written whole or piece by piece."""

from __future__ import annotations

import base64
import csv
import io
import json
import sys

import pytest
from support.cli import Cli
from support.servers import ScriptServer, answer

from fetchq.core import scratch_file

TEXT = "".join(f'{number} "quoted", \x01 and \u202e, ü and \U0001f600\n' for number in range(20_000))
BODY = TEXT.encode()


@pytest.mark.parametrize("way", [(), ("-o", "run"), ("-o", "run", "--save", "warc"), ("-o", "run", "--save", "none")])
@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_large_body_is_in_its_record_as_a_small_one_would_be(cli: Cli, way: tuple[str, ...], mode: str) -> None:
    with ScriptServer(answer(BODY, b"Content-Type: text/plain; charset=utf-8")) as server:
        done = cli(server.url, "--mode", mode, "--json", "--include", "text", *way)
        assert [json.loads(line)["body"] for line in done.out.splitlines()] == [TEXT]
    assert scratch_file._file._file is None  # nothing of it is left


def test_a_large_body_is_in_csv_and_base64(cli: Cli) -> None:
    csv.field_size_limit(sys.maxsize)
    with ScriptServer(answer(BODY, b"Content-Type: text/plain; charset=utf-8")) as server:
        shown = cli(server.url, "--format", "csv", "--include", "text").out.decode()
        (row,) = csv.DictReader(io.StringIO(shown))
        assert row["body"] == TEXT.replace("\x01", "\\u0001").replace("\u202e", "\\u202e").replace("\n", "\\u000a")
        coded = cli(server.url, "--json", "--include", "base64").out
        assert base64.b64decode(json.loads(coded)["body"]) == BODY
