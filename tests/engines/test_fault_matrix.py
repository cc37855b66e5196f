"""The corpus is served by hand, and fetched by other programs, of which only verdicts are shown."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fault_matrix
import fault_peers
import pytest
from fault_matrix import Found, Row
from fault_peers import Peer, Verdict, try_out
from faults.by_hand import served
from faults.corpus import CORPUS, chosen
from faults.server import fault_named
from faults.site import Site

ROOT = Path(__file__).parent.parent.parent
RIGHT = {"aiohttp": Found("incomplete", None), "requests": Found("incomplete", None)}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as one:
        yield one


# --- by hand ---


def test_every_entry_is_served_at_a_url_of_its_own(site: Site) -> None:
    with served(CORPUS, site) as urls:
        assert {entry.name for entry in CORPUS} <= set(urls)
        assert len(set(urls.values())) == len(urls)


def test_they_are_listed_with_what_they_do_and_where_they_are_and_end_when_asked() -> None:
    command = [sys.executable, "-m", "tests.faults", "short-body", "origins"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = list(iter(process.stdout.readline, "\n"))  # the blank line before the first family
        assert lines == []
        said = ""
        while "Ctrl-C ends it" not in said:
            said += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert "  short-body  [incomplete]  http://127.0.0.1:" in said
    assert "      6.3: closes cleanly before Content-Length is reached.\n" in said
    assert "  redirect-ping-pong  [redirect]  http://127.0.0.1:" in said


def test_a_word_that_is_no_name_and_no_family_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        chosen(["framing", "nonsense"])


def test_the_table_of_the_readme_counts_no_entry_that_is_not_there() -> None:
    lines = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) right \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    shown = Counter({theme: int(number) for theme, number, right in lines if number == right})
    there = Counter(entry.theme for entry in CORPUS)
    assert shown.pop("all") == shown.total() <= len(CORPUS)
    assert shown.keys() == there.keys()
    assert shown <= there


# --- other programs ---

SAID = {
    Verdict.TOOK: 'printf hello > "$0"',
    Verdict.OTHER: 'printf "not hello" > "$0"',
    Verdict.NOTHING: "exit 0",
    Verdict.REFUSED: "exit 7",
    Verdict.PART: 'printf hel > "$0"; exit 7',
    Verdict.SIGNAL: "kill -TERM $$",
    Verdict.ENDLESS: "exec sleep 60",
}


@pytest.mark.parametrize("verdict", SAID)
def test_a_program_is_judged_by_how_it_ends_and_what_it_leaves(
    verdict: Verdict, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault_peers, "LIMIT", 0.3 if verdict is Verdict.ENDLESS else 60)
    peer = Peer("sh", lambda url, file, cacert, settings: ["sh", "-c", SAID[verdict], str(file)])
    assert try_out(peer, fault_named("length-twice"), site) is verdict


def test_of_a_program_that_hung_or_crashed_only_the_number_is_shown_in_that_family(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ["short-body", "no-body", "short-by-one"]
    verdicts = [Verdict.REFUSED, Verdict.SIGNAL, Verdict.PART]
    rows = [
        Row(fault_named(name), RIGHT, {"one": verdict, "other": Verdict.TOOK})
        for name, verdict in zip(names, verdicts, strict=True)
    ]
    fault_matrix.show_family("framing", rows)
    said = capsys.readouterr().out.splitlines()
    shown = {line.split()[0]: line.split()[1:] for line in said if line.startswith("  ")}
    for name in names:
        assert shown[name] == ["incomplete", "incomplete", "incomplete", "ok", "took", "it"]
    assert "  one: part 1, refused 1, signal 1" in said


def test_a_verdict_of_fetchq_that_is_not_the_demanded_one_is_shown_and_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = RIGHT | {"requests": Found("ok", "ok, not incomplete")}
    monkeypatch.setattr(fault_matrix, "rows_of", lambda *_: [Row(fault_named("short-body"), bad, {})])
    monkeypatch.setattr(fault_matrix, "PEERS", ())
    assert fault_matrix.main([]) == 1
    assert "requests: ok, not incomplete" in capsys.readouterr().out


def test_the_matrix_is_made_of_both_engines_in_processes_of_their_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault_matrix, "AT_A_TIME", 1)
    monkeypatch.setattr(fault_matrix, "PEERS", ())
    assert fault_matrix.main(["short-body", "refused"]) == 0
    said = capsys.readouterr().out
    assert "2 entries x 2 engines: 0 entries with a wrong verdict" in said
