"""`--name`, `--output-flat` and `--save-headers`: files and headers where people want them; `-o` that names a file."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from faults.wire import Asked, Connection, head, length
from pyarrow import parquet
from support.cli import Cli
from support.servers import ScriptServer

from fetchq import Request, fetch_all_sync, open_run
from fetchq.core.model import Result
from fetchq.store import wiping
from fetchq.store.folder import RunFolder


def tree(folder: str = "run") -> dict[str, str]:
    """The files that are not fetchq's own, with their contents."""
    own = ("run.db", "lock", "tmp", "input")
    found = [one for one in Path(folder).rglob("*") if one.is_file()]
    return {name: one.read_text() for one in found if not (name := str(one.relative_to(folder))).startswith(own)}


def echo(conn: Connection, asked: Asked) -> None:
    """Answers with the path; a missing page with 404; a `get` with a name of its own."""
    body = asked.path.encode()
    lines = [b'Content-Disposition: attachment; filename="dir/report.pdf"'] if asked.path == "/get" else []
    status = b"404 Not Found" if "missing" in asked.path else b"200 OK"
    lines += [b"X-Note: caf\xe9", b"Set-Cookie: a=1", b"Set-Cookie: b=2", b'ETag: "x"']
    conn.send(head(length(len(body)), *lines, status=b"HTTP/1.1 " + status) + body)


@pytest.fixture
def server() -> ScriptServer:
    return ScriptServer(echo)


def test_files_get_the_names_of_a_template(cli: Cli, server: ScriptServer, mode: str) -> None:
    with server:
        rows = [f"{server.url}/{path}" for path in ("a/x.html", "b/x.html", "get", "missing.html")]
        cli.write("urls.txt", "\n".join(rows))
        ended = cli("urls.txt", "-o", "run", "--name", "{filename}", "--mode", mode, "-w", "1", "--json")
    assert [record["path"] for record in ended.records] == [
        "files/x.html",
        "files/x.1.html",
        "files/report.pdf",
        f"bodies/000000/00000003-{server.netloc.replace(':', '_')}-missing.html",
    ]
    assert tree() == {
        record["path"]: f"/{record['url'].partition('//')[2].partition('/')[2]}" for record in ended.records
    }
    assert cli("export", "run").records == [record | {"started": record["started"]} for record in ended.records]


def test_flat_files_lie_beside_the_ledger_as_wget_names_them(cli: Cli, server: ScriptServer) -> None:
    with server:
        urls = [f"{server.url}/{path}" for path in ("a/x.html?q=1", "", "x.html", "y/x.html", "run.db", "get")]
        assert cli(*urls, "-o", "run", "--output-flat", "-w", "1", "-q").status == 0
    names = ["x.html@q=1", "index.html", "x.html", "x.1.html", "_run.db", "get"]
    assert sorted(
        one for one in os.listdir("run") if one not in ("run.db", "lock", "tmp", "input", "bodies")
    ) == sorted(names)
    with open_run("run") as run:
        assert [result.path for result in run] == names
        assert [run.body(result) for result in run][3] == b"/y/x.html"


def test_overwrite_takes_away_the_flat_files_of_the_run_alone(cli: Cli, server: ScriptServer) -> None:
    with server:
        urls = [f"{server.url}/{path}" for path in ("a/1", "b/2", "missing")]
        options = ["-o", "run", "--output-flat", "--name", "{path}", "-q"]
        cli(*urls, *options)
        cli("retry", "run", "--where", "ok", "-q")
        cli.write("run/notes", "mine")
        cli.write("run/a/notes", "mine")
        assert cli(urls[0].replace("a/1", "c/3"), *options, "--overwrite").status == 0
    assert tree() == {"notes": "mine", "a/notes": "mine", "c/3": "/c/3"}


def test_a_run_that_is_thrown_away_by_halves_is_so_wholly_the_next_time(
    cli: Cli, server: ScriptServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with server:
        options = ["-o", "run", "--output-flat", "-q"]
        cli(f"{server.url}/a", f"{server.url}/b", *options)
        cli.write("run/notes", "mine")
        with monkeypatch.context() as patch:
            patch.setattr(wiping, "remove_empty_folders", kill)
            with pytest.raises(KeyboardInterrupt):
                wiping.wipe(RunFolder("run"))
        assert "notes" in tree()
        assert len(tree()) == 2
        assert not Path("run/run.db").exists()
        assert cli(f"{server.url}/c", *options).status == 0
    assert tree() == {"notes": "mine", "c": "/c"}


def test_a_resumed_run_keeps_its_names_and_a_retry_gets_the_one_that_was_meant(cli: Cli, server: ScriptServer) -> None:
    with server:
        server.script = lambda conn, asked: conn.send(head(length(4), status=b"HTTP/1.1 503 No") + b"sick")
        url = f"{server.url}/x.html"
        options = ["-o", "run", "--name", "{filename}", "-q"]
        assert cli(url, *options, "--retries", "0").status == 1
        server.script = echo
        assert cli("retry", "run", "-q").status == 0
        with open_run("run") as run:
            assert [result.path for result in run] == ["files/x.html"]
        assert cli("retry", "run", "--where", "ok", "-q").status == 0
        with open_run("run") as run:
            assert [result.path for result in run] == ["files/x.1.html"]
        assert "was begun with another --name" in cli(url, *options[:2], "--resume", "--name", "{host}").problem


def test_equal_rows_share_a_file_and_what_has_not_changed_gets_its_name_again(cli: Cli, server: ScriptServer) -> None:
    with server:
        urls = [f"{server.url}/x"] * 2
        assert cli(*urls, "-o", "run", "--dedupe", "--name", "{filename}", "-q").status == 0
        assert tree() == {"files/x": "/x"}
        server.script = lambda conn, asked: conn.send(head(b'ETag: "x"', status=b"HTTP/1.1 304 Not Modified"))
        assert cli(*urls, "-o", "new", "--refresh", "run", "--name", "{filename}", "-q").status == 0
    assert tree("new") == {"files/x": "/x", "files/x.1": "/x"}


def test_a_program_names_the_file_of_each_row(cli: Cli, server: ScriptServer, mode: str) -> None:
    with server:
        rows = [Request(f"{server.url}/{name}", filename=f"mine/{name}.txt") for name in "ab"]
        results = fetch_all_sync(rows, output="run", name="{filename}", mode=mode)
    assert [result.path for result in results] == ["files/mine/a.txt", "files/mine/b.txt"]
    assert tree() == {"files/mine/a.txt": "/a", "files/mine/b.txt": "/b"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--name", "../{filename}"], "'../{filename}' leaves the folder of the run"),
        (["--name", "{filname}"], "did you mean {filename}?"),
        (["--name", "{filename}", "--save", "warc"], "--name: with save=warc, bodies are no files of their own"),
        (["--output-flat", "--save", "none"], "--output-flat: with save=none"),
    ],
)
def test_what_cannot_be_named_is_refused_before_there_is_a_folder(cli: Cli, options: list[str], problem: str) -> None:
    assert problem in cli("http://127.0.0.1:9/", "-o", "run", *options).problem
    assert not Path("run").exists()


@pytest.mark.parametrize("options", [["--name", "{filename}"], ["--output-flat"], ["--save-headers"]])
def test_what_a_durable_run_does_needs_a_folder(cli: Cli, options: list[str]) -> None:
    assert f"{options[0]}: it needs an output folder" in cli("http://127.0.0.1:9/", *options).problem


# --- headers ---


def test_the_headers_are_exported_as_the_run_printed_them(cli: Cli, server: ScriptServer, mode: str) -> None:
    with server:
        urls = [f"{server.url}/a", f"{server.url}/missing", "no-url", f"{server.url}/a"]
        cli.write("urls.txt", "\n".join(urls))
        for form in ("jsonl", "csv"):
            options = ["-o", form, "--save-headers", "--dedupe", "--mode", mode]
            printed = cli("urls.txt", *options, "--include", "headers", "--format", form, "-q").out
            exported = cli("export", form, "--format", form, "--include", "headers").out
            assert sorted(printed.splitlines()) == sorted(exported.splitlines())
    with open_run("jsonl") as run:
        first, missing, unusable, equal = run
    assert first.headers.getall("set-cookie") == ["a=1", "b=2"]
    assert first.headers["X-NOTE"].encode("utf-8", "surrogateescape") == b"caf\xe9"
    assert missing.headers["content-length"] == "8"
    assert not unusable.headers
    assert equal.headers == first.headers


def test_parquet_has_the_headers_as_lists_of_names_and_values(cli: Cli, server: ScriptServer) -> None:
    with server:
        assert cli(f"{server.url}/a", "http://:x/", "-o", "run", "--save-headers", "-q").status == 1
    assert cli("export", "run", "--include", "headers", "--include", "hops", "-o", "run.parquet").status == 0
    table = parquet.read_table("run.parquet", columns=["headers", "trailers", "hops"])
    first, unusable = table.to_pylist()
    assert {"name": "set-cookie", "value": "b=2"} in first["headers"]
    assert unusable == {"headers": [], "trailers": None, "hops": []}


def test_a_retry_replaces_the_headers(cli: Cli, server: ScriptServer) -> None:
    with server:
        assert cli(f"{server.url}/a", "-o", "run", "--save-headers", "-q").status == 0
        server.script = lambda conn, asked: conn.send(head(b"X-New: 1", length(0)))
        assert cli("retry", "run", "--where", "ok", "-q").status == 0
        assert [*_only("run").headers] == ["X-New", "Content-Length"]
        server.script = lambda conn, asked: conn.close()
        assert cli("retry", "run", "--where", "ok", "-q", "--retries", "0").status == 1
    assert not _only("run").headers
    assert json.loads(cli("export", "run", "--include", "headers").out)["headers"] == {}


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE headers SET fields = x'413a20310d0a'", "a row of its table headers has changed"),
        ('UPDATE headers SET "index" = -1', "its table headers has a row that cannot be"),
        ("DROP TABLE headers; CREATE TABLE headers (a)", "it has not the tables of one"),
        ("DROP TABLE headers; CREATE VIEW headers AS SELECT 1", "it has not the tables of one"),
    ],
)
def test_headers_that_somebody_has_changed_are_damage(cli: Cli, server: ScriptServer, sql: str, problem: str) -> None:
    with server:
        assert cli(f"{server.url}/a", "-o", "run", "--save-headers", "-q").status == 0
    with closing(sqlite3.connect("run/run.db")) as connection:
        connection.executescript(sql)
    for command in ("export", "retry"):
        ended = cli(command, "run")
        assert (ended.status, ended.out) == (3, b"")
        assert problem in ended.said


def test_headers_that_were_not_kept_are_said_to_be_missing(cli: Cli, server: ScriptServer) -> None:
    with server:
        cli(f"{server.url}/a", "-o", "run", "-q")
    problem = cli("export", "run", "--include", "headers", "-o", "out.jsonl").problem
    assert "--include headers: the run in 'run' kept none" in problem
    assert "--save-headers" in problem
    assert not Path("out.jsonl").exists()
    assert dict(_only("run").headers) == {"ETag": '"x"'}


def _only(folder: str) -> Result:
    with open_run(folder) as run:
        (result,) = run
    return result


# --- -o with the name of a file ---


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("out.jsonl", "--json > out.jsonl"),
        ("my out.csv", "--format csv > 'my out.csv'"),
        ("page.HTML", "--report page.HTML"),
        ("x.parquet", "-o DIR; fetchq export DIR -o x.parquet"),
        ("x.warc.gz", "-o DIR --save warc"),
    ],
)
def test_an_output_folder_with_the_name_of_a_file_is_asked_about(cli: Cli, name: str, meant: str) -> None:
    problem = cli("http://127.0.0.1:9/", "-o", name).problem
    assert f"did you mean: fetchq ... {meant}?" in problem
    assert not Path(name).exists()


def test_a_folder_that_is_there_or_ends_with_a_slash_is_taken(cli: Cli, server: ScriptServer) -> None:
    with server:
        os.mkdir("a.json")
        for output in ("a.json", "b.csv/"):
            assert cli(f"{server.url}/a", "-o", output, "-q").status == 0
            assert Path(output, "run.db").exists()
        assert cli(f"{server.url}/a", "-o", "b.csv", "--resume", "-q").status == 0


# --- a whole job ---


def test_five_hundred_files_are_where_the_list_and_the_server_say(cli: Cli) -> None:
    """A list with names of its own for some rows; the server names the others, and some of these alike."""

    def serve(conn: Connection, asked: Asked) -> None:
        number = int(asked.path[1:])
        name = f'Content-Disposition: attachment; filename="report {number % 200}.pdf"'.encode()
        conn.send(head(length(len(asked.path)), name) + asked.path.encode())

    with ScriptServer(serve) as server:
        rows = [f"{server.url}/{number},{f'mine/{number}.bin' if number % 5 == 0 else ''}" for number in range(500)]
        cli.write("list.csv", "\n".join(["url,filename", *rows]))
        assert cli("list.csv", "-o", "run", "--name", "{filename}", "-q").status == 0
    with open_run("run") as run:
        results = list(run)
    assert len({result.path for result in results}) == 500
    for number, result in enumerate(results):
        assert result.path is not None
        assert Path("run", result.path).read_text() == f"/{number}"
        wanted = f"files/mine/{number}" if number % 5 == 0 else f"files/report {number % 200}"
        assert result.path.partition(".")[0] == wanted
