"""What counts as one host: `--per-host-by host|domain`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from support.cli import Cli
from support.factories import any_text, examples
from support.modes import concurrent
from support.servers import Counted, ScriptServer, answer, by_path

from fetchq import Cause, Settings, SettingsError, fetch_all_sync
from fetchq.http.url import host_of
from fetchq.scheduling.host_key import key_for

BY_DOMAIN = key_for(Settings(per_host_by="domain"))


def test_by_default_nothing_is_looked_at_but_the_host() -> None:
    assert key_for(Settings()) is host_of


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("http://example.org/", "example.org"),
        ("https://user:secret@WWW.Example.ORG.:8443/a?b#c", "example.org"),
        ("http://a.b.c.example.co.uk", "example.co.uk"),
        ("http://one.github.io/", "one.github.io"),
        ("http://co.uk/", "co.uk"),
        ("http://www.b\u00fccher.example/", "xn--bcher-kva.example"),
        ("http://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("http://localhost:8000/", "localhost"),
        ("http://www.unheard-of.tld-that-is-none/", "unheard-of.tld-that-is-none"),
        ("http://192.0.2.1:81/", "192.0.2.1"),
        ("http://127.1/", "127.0.0.1"),
        ("https://[2001:DB8::1]/", "2001:db8::1"),
    ],
)
def test_the_domain_of_a_url_is_what_somebody_has_registered(url: str, domain: str) -> None:
    assert BY_DOMAIN(url) == domain


@examples(100)
@given(any_text)
def test_any_text_has_some_key(text: str) -> None:
    for url in (text, f"http://{text}", f"http://{text}/", f"https://a.{text}.org/"):
        assert isinstance(BY_DOMAIN(url), str)


def test_a_missing_package_is_told_before_anything_is_fetched(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "publicsuffixlist", None)
    with ScriptServer() as server:
        said = cli(server.url, "--per-host-by", "domain").problem
        assert "domain needs the package publicsuffixlist; install it with: pip install 'fetchq[domain]'" in said
        assert server.seen == []
        assert cli(server.url, "--per-host-by", "host").status == 0
    with pytest.raises(SettingsError, match="is not one of host, domain, ip; did you mean domain"):
        Settings(per_host_by="domains")


# --- in a run ---


@contextmanager
def two_servers(script: Any) -> Iterator[tuple[ScriptServer, ScriptServer]]:
    with ScriptServer(script) as one, ScriptServer(script) as other:
        yield one, other


@concurrent
@pytest.mark.parametrize(("by", "most"), [("host", 4), ("domain", 1)])
def test_names_and_ports_of_one_domain_share_its_limit(mode: str, by: str, most: int) -> None:
    counted = Counted()
    with two_servers(counted) as servers:
        places = [(server.port, name) for server in servers for name in ("a.example.test", "b.example.test")]
        urls = [f"http://{name}:{port}/" for port, name in places] * 2
        resolve = [f"{name}:{port}:127.0.0.1" for port, name in places]
        options: dict[str, Any] = {"mode": mode, "resolve": resolve, "per_host": 1, "per_host_by": by}
        results = fetch_all_sync(urls, workers=8, **options)
    assert all(result.ok for result in results)
    assert counted.most <= most
    assert by == "domain" or counted.most > 1


def test_each_host_of_a_domain_is_obeyed_by_its_own_robots_txt(mode: str) -> None:
    robots = [answer(b"User-agent: *\nDisallow: /" + word) for word in (b"a", b"b")]
    with (
        ScriptServer(by_path({"/robots.txt": robots[0]})) as one,
        ScriptServer(by_path({"/robots.txt": robots[1]})) as two,
    ):
        places = [(one.port, "one.example.test"), (two.port, "two.example.test")]
        urls = [f"http://{name}:{port}/{page}" for page in "abab" for port, name in places]
        resolve = [f"{name}:{port}:127.0.0.1" for port, name in places]
        options: dict[str, Any] = {"mode": mode, "resolve": resolve, "per_host_by": "domain", "robots": True}
        results = fetch_all_sync(urls, workers=2, **options)
        assert [server.seen.count("/robots.txt") for server in (one, two)] == [1, 1]
    causes = [result.cause for result in results]
    assert causes == [Cause.BLOCKED, None, None, Cause.BLOCKED] * 2
