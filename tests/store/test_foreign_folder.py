"""A run's folder may come from somebody else: it reads no file, sends no secret, and does not choose who is reached."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torture_corrupt
from faults.wire import Asked
from support.cli import Cli
from support.servers import Scripted, reply
from support.store import change_ledger, set_meta

from fetchq import LedgerError, fetch_all_sync, open_run
from fetchq.core.body_spool import DESCRIPTION
from fetchq.store import ledger_connection, ledger_reader
from fetchq.store.folder import FolderError, RunFolder
from fetchq.store.open_session import session_in_folder


class Site(Scripted):
    """Answers each request with its path."""

    def __init__(self) -> None:
        super().__init__(self._page)

    def _page(self, asked: Asked) -> bytes:
        return reply(asked.path.encode())


@pytest.fixture
def site() -> Any:
    with Site() as running:
        yield running


def plant(run: str, **settings: Any) -> None:
    """Change the settings in a ledger, as nothing but a text editor for SQLite would."""
    with closing(sqlite3.connect(Path(run) / "run.db")) as ledger:
        ((text,),) = ledger.execute("SELECT value FROM meta WHERE name = 'settings'")
    set_meta(run, "settings", json.dumps(json.loads(text) | settings))


def unfinished(cli: Cli, site: Site, *options: str) -> str:
    """A run of which no row is done."""
    assert cli("-", "-o", "run", "-q", *options, stdin=f"{site.url}/page\n".encode()).status == 0
    change_ledger("run", "DELETE FROM records")
    set_meta("run", "finished", "null")
    site.log.clear()
    return "run"


PLANTED: dict[str, Any] = {
    "data": "@secret.txt",
    "headers": [["Authorization", "x"]],
    "user": "a:b",
    "cookie": "a=b",
    "cookie_jar": "secret.txt",
    "proxy": "http://127.0.0.1:9",
    "resolve": [["127.0.0.1", 80, "127.0.0.2"]],
    "trust_env": True,
    "insecure": True,
    "location_trusted": True,
    "cert": "secret.txt",
    "cacert": "secret.txt",
    "dns_servers": ["127.0.0.2"],
    "refresh": "other",
    "report": "secret.txt",
}


@pytest.mark.parametrize("command", ["resume", "retry"])
def test_what_only_a_user_may_set_is_not_taken_from_a_ledger(cli: Cli, site: Site, command: str) -> None:
    run = unfinished(cli, site)
    cli.write("secret.txt", "s3cr3t")
    plant(run, **PLANTED)
    problem = cli(command, run).problem
    assert "not to be taken from its folder: give them again" in problem
    for name in PLANTED:
        assert f"--{name.replace('_', '-').replace('headers', 'header')}" in problem, name
    plant(run, **(dict.fromkeys(PLANTED) | {"insecure": True}))
    assert "begun with --insecure, not to be taken from its folder: give it again" in cli(command, run).problem
    assert site.log == []
    assert cli(command, run, "--no-insecure", "-q").status == 0
    assert [one.path for one in site.log] == ["/page"]
    assert (cli.folder / "secret.txt").read_text() == "s3cr3t"


HIGH = {"workers": 1001, "lookahead": 1_000_001, "max_filesize": 10**10 + 1, "max_ratio": 100_001, "retries": 101}


def test_limits_that_hurt_are_not_taken_from_a_ledger(cli: Cli, site: Site) -> None:
    run = unfinished(cli, site)
    plant(run, **HIGH)
    problem = cli("resume", run).problem
    assert problem.endswith("not to be taken from its folder: give them again")
    options = [text for name, value in HIGH.items() for text in (f"--{name.replace('_', '-')}", value)]
    assert all(option in problem for option in options[::2])
    assert site.log == []
    assert cli("resume", run, "-q", *map(str, options)).status == 0
    assert [one.path for one in site.log] == ["/page"]


def test_what_the_user_has_set_for_safety_is_not_weakened_by_a_ledger(cli: Cli, site: Site) -> None:
    run = unfinished(cli, site)
    plant(run, block_private=False, allow_host=[], deny_host=[])
    own = cli.folder / "home" / "config" / "fetchq" / "fetchq.toml"
    own.parent.mkdir(parents=True, exist_ok=True)
    for line in ("block_private = true", "deny_host = ['127.0.0.0/8']", "allow_host = ['example.org']"):
        own.write_text(line)
        for command in (["resume", run], ["retry", run, "--where", "1"]):
            assert cli(*command, "-q").status == 1
    own.unlink()
    plant(run, allow_host=["127.0.0.1"])
    assert "begun with --allow-host, not to be taken from its folder" in cli("retry", run, "--where", "1").problem
    assert site.log == []


def test_a_body_is_not_read_through_a_link(cli: Cli, site: Site) -> None:
    urls = [f"{site.url}/{name}" for name in "ab"]
    fetch_all_sync(urls, output="run")
    Path("secret").mkdir()
    Path("secret/file").write_text("s3cr3t")
    with open_run("run") as run:
        first, second = run
        assert first.path is not None
        assert second.path is not None
        Path("run", first.path).unlink()
        Path("run", first.path).symlink_to(os.path.abspath("secret/file"))
        with pytest.raises(PermissionError, match="symbolic link"):
            run.body(first)
        assert run.body(second) == b"/b"
        Path("run/bodies/000000").rename("moved")
        Path("run/bodies/000000").symlink_to(os.path.abspath("moved"))
        with pytest.raises(PermissionError, match="symbolic link"):
            run.body(second)
    with pytest.raises(PermissionError, match="symbolic link"):
        fetch_all_sync(urls, output="run", resume=True)


@pytest.mark.parametrize(
    "inputs",
    [
        [{"kind": "pipe", "given": "-", "copy": "../../secret.txt"}],
        [{"kind": "pipe", "given": "-", "copy": "/etc/hosts"}],
        [{"kind": "urls", "given": "x", "copy": "..", "count": 1, "digest": ""}],
        [{"kind": "urls", "given": "x", "copy": "0.jsonl", "count": -1, "digest": ""}],
        [{"kind": "file", "given": 5}],
        [{"kind": ["rows"]}],
        ["rows"],
        [],
        {"kind": "rows"},
    ],
)
def test_an_input_that_is_none_is_damage(cli: Cli, site: Site, inputs: object) -> None:
    run = unfinished(cli, site)
    set_meta(run, "inputs", json.dumps(inputs))
    ended = cli("resume", run)
    assert (ended.status, ended.said.count("\n")) == (3, 1)
    assert "damaged: its meta has no good 'inputs'" in ended.said
    assert site.log == []


def test_a_pipe_is_the_one_that_is_named_again_and_not_the_one_that_the_ledger_names(cli: Cli, site: Site) -> None:
    run = unfinished(cli, site)
    os.mkfifo("other")
    set_meta(run, "inputs", json.dumps([{"kind": "pipe", "given": os.path.abspath("other"), "copy": "0"}]))
    assert cli("-", "-o", run, "--resume", "-q", stdin=f"{site.url}/page\n".encode()).status == 0
    assert [one.path for one in site.log] == ["/page"]


@pytest.mark.parametrize("name", ["0", "0.sha256"])
def test_a_copy_of_the_input_is_not_read_through_a_link(cli: Cli, site: Site, name: str) -> None:
    run = unfinished(cli, site)
    Path("secret.txt").write_bytes(Path(run, "input", name).read_bytes())
    Path(run, "input", name).unlink()
    Path(run, "input", name).symlink_to(os.path.abspath("secret.txt"))
    ended = cli("resume", run)
    assert (ended.status, site.log) == (3, [])
    assert "the copy of the run's input" in ended.said


@pytest.mark.parametrize("name", ["run.db", "lock"])
def test_a_ledger_and_a_lock_that_are_links_are_not_followed(cli: Cli, site: Site, name: str) -> None:
    run = unfinished(cli, site)
    Path(run, name).rename("elsewhere")
    before = Path("elsewhere").read_bytes()
    Path(run, name).symlink_to(os.path.abspath("elsewhere"))
    for command in (["resume", run], ["-", "-o", run, "--resume"]):
        ended = cli(*command)
        assert ended.status in (2, 3)
        assert "is a symbolic link" in ended.said
    assert Path("elsewhere").read_bytes() == before
    with pytest.raises((LedgerError, FolderError), match="symbolic link"):
        session_in_folder(run)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM records; END",
        "CREATE VIEW v AS WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r) SELECT * FROM r",
        "DROP INDEX failed",
        "CREATE INDEX x ON records (hex(zeroblob(length(url))))",
    ],
)
def test_a_ledger_with_other_things_in_it_is_refused(cli: Cli, site: Site, sql: str) -> None:
    run = unfinished(cli, site)
    with closing(sqlite3.connect("run/run.db")) as ledger, ledger:
        ledger.execute(sql)
    for command in ("resume", "retry", "export", "report"):
        ended = cli(command, run)
        assert (ended.status, ended.out, ended.said.count("\n")) == (3, b"", 1), command
    assert site.log == []


def test_a_changed_record_is_damage_also_for_a_condition_that_leaves_it_out(cli: Cli, site: Site) -> None:
    fetch_all_sync([site.url], output="run")
    with closing(sqlite3.connect("run/run.db")) as ledger, ledger:
        ledger.execute("UPDATE records SET status = 500")
    for command in (["export", "run", "--where", "status = 200"], ["diff", "run", "run"], ["resume", "run"]):
        ended = cli(*command)
        assert (ended.status, ended.out) == (3, b""), command
        assert "is damaged: a row of its table records has changed" in ended.said
    with open_run("run") as run, pytest.raises(LedgerError, match="damaged"):
        len(run)


@pytest.mark.parametrize(
    ("sql", "command"),
    [
        ('UPDATE records SET "index" = 4611686018427387904', ["resume", "run"]),
        ('UPDATE records SET "index" = -5', ["export", "run"]),
        ("INSERT INTO again VALUES (-1)", ["retry", "run"]),
        ("UPDATE records SET started = 'yesterday'", ["export", "run", "-o", "x.parquet"]),
        ("UPDATE records SET status = 9223372036854775807", ["export", "run", "-o", "x.parquet"]),
        ("UPDATE records SET cause = 'bad luck'", ["report", "run"]),
        ("UPDATE input SET headers = '[5]'", ["resume", "run"]),
        ("UPDATE meta SET value = '{\"file\": \"a\"}' WHERE name = 'store'", ["resume", "run"]),
        ("UPDATE meta SET value = '[]' WHERE name = 'settings'", ["resume", "run"]),
        ("UPDATE meta SET value = '\"x\"' WHERE name = 'generation'", ["resume", "run"]),
    ],
)
def test_a_ledger_that_somebody_has_written_with_care_ends_with_one_line(
    cli: Cli, site: Site, sql: str, command: list[str]
) -> None:
    fetch_all_sync([site.url, "http://127.0.0.1:9/"], output="run", save="warc", retries=0)
    change_ledger("run", 'DELETE FROM records WHERE "index" = 0')
    set_meta("run", "finished", "null")
    change_ledger("run", sql)
    ended = cli(*command)
    (line,) = [line for line in ended.said.splitlines() if "is damaged: " in line]
    assert (ended.status, ended.out, line[:8]) == (3, b"", "fetchq: ")
    assert not Path("x.parquet").exists()


@pytest.mark.parametrize("sql", ["UPDATE records SET error = {}", "UPDATE meta SET value = {} WHERE name = 'settings'"])
def test_a_row_that_would_take_much_memory_is_not_read(
    cli: Cli, site: Site, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    for module in (ledger_connection, ledger_reader):
        monkeypatch.setattr(module, "LONGEST_ROW", 10_000)
    assert cli("-", "-o", "run", "-q", stdin=f"{site.url}/page\n".encode()).status == 0
    change_ledger("run", sql.format("printf('\"%.*c\"', 20000, 'x')"))
    for command in ("resume", "retry", "export", "report"):
        ended = cli(command, "run")
        assert (ended.status, ended.out, ended.said.count("\n")) == (3, b"", 1), command
        assert "takes no row of that length" in ended.said


def test_corrupted_folders_end_with_one_line_and_show_no_wrong_record(tmp_path: Path) -> None:
    met = torture_corrupt.corruptions(6, 1, tmp_path)
    assert met.keys() == {0, 3}


def test_what_a_run_keeps_is_for_its_owner_alone(cli: Cli, site: Site) -> None:
    before = os.umask(0)
    try:
        for save in ("files", "warc", "parquet"):
            assert cli("-", "-o", save, "--save", save, "-q", stdin=f"{site.url}/page\n".encode()).status == 0
    finally:
        os.umask(before)
    for save in ("files", "warc", "parquet"):
        for path in [Path(save), *Path(save).rglob("*")]:
            assert path.stat().st_mode & 0o077 == 0, path
    assert RunFolder("files").temporary.is_dir()


@pytest.mark.parametrize("row", ["1e999", "[" * 100_000, '"x"', "-1"])
def test_a_part_with_a_description_that_is_none_is_deleted(cli: Cli, site: Site, row: str) -> None:
    run = unfinished(cli, site)
    Path(run, "parts").mkdir()
    line = f'{{"row": {row}}}'.encode()
    Path(run, "parts", "1-0").write_bytes(b"x" * 10)
    Path(run, "parts", f"1-0{DESCRIPTION}").write_bytes(hashlib.sha256(line).hexdigest().encode() + b" " + line + b"\n")
    assert cli("resume", run, "-q").status == 0
    assert not Path(run, "parts").exists()
    assert [one.path for one in site.log] == ["/page"]
