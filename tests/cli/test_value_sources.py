"""A message about a wrong setting names what has set it: the option, the variable, or the file and its key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Cli
from support.servers import Scripted

from fetchq.cli.options import variables
from fetchq.cli.value_sources import PREFIX

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as one:
        yield one


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("FETCHQ_WORKERS", "x", "'x' is not a whole number"),
        ("FETCHQ_HEADER", "Content-Length: 1", "the header Content-Length is fetchq's own to send"),
        ("FETCHQ_RETRY_ON", "-", "'-' is not a status or a range, such as 404, 200..=299 or +403"),
        ("FETCHQ_QUIET", "maybe", "'maybe' is not a valid boolean"),
        ("FETCHQ_IPV6", "1", "not together with ipv4"),
        ("FETCHQ_KEY", "a.pem", "a key needs its cert"),
    ],
)
def test_what_a_variable_has_set_is_an_error_of_the_variable(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, why: str
) -> None:
    cli.write("a.pem", "")
    monkeypatch.setenv(variable, value)
    for command in ((), ("compare",)):
        assert cli(*command, "http://127.0.0.1:9/", "--ipv4").problem.startswith(f"fetchq: {variable}: {why}")


def test_an_option_takes_precedence_and_is_named_then(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETCHQ_WORKERS", "2000")
    cli.write("fetchq.toml", 'workers = 5\nmode = "threads"')
    assert cli("http://127.0.0.1:9/").problem == "fetchq: FETCHQ_WORKERS: at most 1000 in mode threads"
    assert cli("http://127.0.0.1:9/", "-w", "3000").problem == "fetchq: --workers: at most 1000 in mode threads"
    assert "'-w' / '--workers': 'x' is not" in cli("http://127.0.0.1:9/", "-w", "x").problem


def test_what_a_file_has_set_is_an_error_of_its_key(cli: Cli) -> None:
    cli.write("fetchq.toml", 'workers = "x"')
    assert cli("http://127.0.0.1:9/").problem == "fetchq: fetchq.toml: workers: 'x' is not a whole number"
    cli.write("mine.toml", "ipv6 = true\nipv4 = true")
    assert (
        cli("http://127.0.0.1:9/", "--config", "mine.toml").problem == "fetchq: mine.toml: ipv6: not together with ipv4"
    )
    cli.write("mine.toml", "worker = 3")
    assert cli("a", "--config", "mine.toml").problem.endswith("has an unknown setting: worker; did you mean workers?")


def test_a_misspelt_variable_is_refused_and_one_like_none_is_named(
    cli: Cli, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FETCHQ_WORKER", "3")
    for command in ((), ("compare",)):
        problem = cli(*command, server.url).problem
        assert problem == "fetchq: FETCHQ_WORKER: there is no such setting; did you mean FETCHQ_WORKERS?"
    monkeypatch.delenv("FETCHQ_WORKER")
    monkeypatch.setenv("FETCHQ_MY_FOLDER", "x")
    monkeypatch.setenv("FETCHQ_REQUIRE_ALL", "1")
    assert cli(server.url).said.startswith("ignored: FETCHQ_MY_FOLDER, since no setting has such a name\n1 URL: ")
    cli.write("fetchq.toml", "workers = 3")
    assert cli(server.url).said.startswith("settings from fetchq.toml; ignored: FETCHQ_MY_FOLDER, since no")
    assert cli(server.url, "-q").said == ""


def test_every_variable_of_the_scripts_and_the_tests_is_known_as_one(
    cli: Cli, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = (ROOT / "scripts", ROOT / "tests", ROOT / ".ci")
    text = "".join(
        path.read_text(errors="replace") for folder in folders for path in folder.rglob("*") if path.is_file()
    )
    used = set(re.findall(r"(?:environ(?:\.get\(|\[)\"|getenv\(\"|\$\{?|export )(FETCHQ_[A-Z_]+)", text))
    assert {"FETCHQ_REQUIRE_ALL", "FETCHQ_BROWSER", "FETCHQ_PYWB"} <= used
    for name in used - variables():
        assert name.startswith(PREFIX)
        monkeypatch.setenv(name, "")
    assert "ignored" not in cli(server.url).said


def test_a_file_in_the_current_folder_may_not_say_what_links_are_relative_to(cli: Cli) -> None:
    cli.write("fetchq.toml", 'base_url = "http://w.test/"')
    assert "may not set base_url, since this folder may come from" in cli("http://127.0.0.1:9/").problem


@pytest.mark.parametrize("pattern", ["[1-3]", "[a-c]", "[0-10:2]", "{a,b}"])
def test_a_url_whose_pattern_was_not_expanded_says_so_where_it_failed(cli: Cli, server: Scripted, pattern: str) -> None:
    url = f"{server.url}/{pattern}"
    hint = f"{url} was asked for as it is: fetchq expands no patterns; "
    hint += "bash does, of {1..3} and {a,b} outside of quotes"
    assert hint not in cli(url).said
    assert hint in cli(url, "--accept", "404").said.splitlines()
    assert cli(url, "--accept", "404", "-q").said == ""
    assert "patterns" not in cli(f"{server.url}/[1-]", "--accept", "404").said
