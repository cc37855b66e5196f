"""What a person sees of `fetchq`: the bar and the dots, the lines beside them, and the summary."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import threading

import pytest
from faults.server import FaultServer
from faults.wire import Asked
from support.cli import Cli
from support.servers import Scripted, reply
from support.terminal import Terminal

from fetchq.cli import progress, screen
from fetchq.cli.display import Display
from fetchq.cli.practice.server import PracticeServer
from fetchq.inputs.source import Source
from fetchq.reports.summary import Summary
from fetchq.reports.text import HEADING

BAR = "\u2501"
"""What rich draws a bar of."""
RECORD = re.compile(r"   (?:\d{3}|---) +[\d.]+ m?s +(?:[\d.]+ k?B|-) +\d+  http\S+(?:  \w+: .*)?")
EVIL = "\x1b]0;owned\x07\x1b[2J\u202e"


# --- the bar -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["auto", "bar"])
def test_a_bar_is_drawn_on_a_terminal_and_gone_at_the_end(cli: Cli, practice: PracticeServer, choice: str) -> None:
    status, shown = cli.on_terminal(*[f"{practice.url}/json"] * 3, "--progress", choice)
    terminal = Terminal(shown)
    assert status == 0
    assert terminal.drawn > 0
    assert BAR in shown.decode()
    assert "0/3" in shown.decode()
    assert "3/3" in shown.decode()
    assert not any(BAR in line for line in terminal.lines)
    assert shown.index(b"\x1b[?25l") < shown.index(b"\x1b[?25h")  # the cursor comes back


def test_the_bar_learns_how_many_rows_a_list_has(cli: Cli) -> None:
    def go_on(got: bytes) -> None:
        if b"2/3" in got:
            server.released.set()

    with Scripted(lambda asked: reply() if len(server.log) < 3 else server.hold(asked)) as server:
        _, shown = cli.on_terminal(cli.write("urls.txt", f"{server.url}\n" * 3), "-w", "1", seen=go_on)
    assert Terminal(shown).drawn > 0
    assert "2/3" in shown.decode()


def test_where_the_number_of_rows_is_unknown_the_bar_counts_what_is_done(cli: Cli, practice: PracticeServer) -> None:
    cli.write("urls.txt", f"{practice.url}/json\n" * 3)
    with open("urls.txt", "rb") as stdin:
        _, shown = cli.on_terminal("-", stdin=stdin)
    assert Terminal(shown).drawn > 0
    assert "3 done" in shown.decode()


def test_a_bar_on_a_terminal_goes_with_records_in_a_file(cli: Cli, practice: PracticeServer, engine_mode: str) -> None:
    status, shown = cli.on_terminal(*[f"{practice.url}/json"] * 3, "--json", "--mode", engine_mode, out=False)
    assert (status, BAR in shown.decode()) == (0, True)
    assert sorted(json.loads(line)["index"] for line in cli.beside.splitlines()) == [0, 1, 2]
    assert Terminal(shown).lines[0].startswith("3 URLs: 3 ok")


@pytest.mark.parametrize("choice", ["auto", "bar"])
def test_no_bar_goes_into_a_file(cli: Cli, practice: PracticeServer, choice: str) -> None:
    status, shown = cli.on_terminal(*[f"{practice.url}/json"] * 3, "--progress", choice, err=False)
    assert status == 0
    assert Terminal(shown).drawn == 0
    assert len(shown.splitlines()) == 3
    said = cli.beside.decode()
    assert BAR not in said
    assert "\x1b" not in said
    assert said.startswith("...\n3 URLs" if choice == "bar" else "3 URLs")


def test_a_dumb_terminal_gets_no_bar(cli: Cli, practice: PracticeServer) -> None:
    for args in ((), ("--progress", "bar")):
        _, shown = cli.on_terminal(f"{practice.url}/json", *args, env={"TERM": "dumb"})
        assert BAR not in shown.decode()
        assert Terminal(shown).drawn == 0
    _, shown = cli.on_terminal(f"{practice.url}/json", "--progress", "bar", out=False, env={"TERM": "dumb"})
    assert Terminal(shown).lines[0] == "."


def test_a_dumb_terminal_gets_no_escape_sequence_at_all(cli: Cli, practice: PracticeServer) -> None:
    _, shown = cli.on_terminal(f"{practice.url}/json", f"{practice.url}/status/404", env={"TERM": "dumb"})
    assert b"\x1b" not in shown


def test_quiet_on_a_terminal_shows_the_lines_alone_that_only_asks_for(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}/json", f"{practice.url}/status/404"]
    assert cli.on_terminal(*given, "-q") == (1, b"")
    _, shown = cli.on_terminal(*given, "-q", "--no-color", "--only", "failed")
    (line,) = shown.decode().splitlines()
    assert RECORD.fullmatch(line)
    assert line.split()[0] == "404"


def test_an_interrupted_run_gives_the_cursor_back(cli: Cli, faults: FaultServer) -> None:

    def interrupt() -> None:
        if faults.wait_for_requests(1, 60):
            for process in cli._processes:
                process.send_signal(signal.SIGINT)
                process.send_signal(signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    status, shown = cli.on_terminal(faults.url_of("hang"))
    thread.join()
    assert status in (130, 143)
    assert shown.rindex(b"\x1b[?25l") < shown.rindex(b"\x1b[?25h")
    assert "1 URL: 0 ok, 0 failed, 1 cut off" in "\n".join(Terminal(shown).lines)


def test_what_is_said_at_ctrl_c_has_a_line_of_its_own_and_the_bar_goes_on_below_it(cli: Cli, engine_mode: str) -> None:
    def interrupt() -> None:
        if server.wait_for_requests(1):
            for process in cli._processes:
                process.send_signal(signal.SIGINT)

    def go_on(got: bytes) -> None:
        if b"stopping" in got:
            server.released.set()

    with Scripted() as server:
        server.answer = server.hold
        thread = threading.Thread(target=interrupt)
        thread.start()
        status, shown = cli.on_terminal(server.url, "--mode", engine_mode, seen=go_on)
        thread.join()
    said, heading, record, summary, *_ = Terminal(shown).lines
    assert status == 130
    assert said == "stopping: what is under way gets 5 s to finish; Ctrl-C again ends it now"
    assert (heading, RECORD.fullmatch(record) is not None) == (HEADING, True)
    assert summary.startswith("1 URL: 1 ok")


def test_what_cannot_wait_is_said_also_while_a_write_to_stdout_is_stuck(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screen, "_BLOCKED_AFTER", 0.001)
    one = screen.Screen(Display(progress="none"), source=Source([]), summary=Summary())
    with one._lock:
        thread = threading.Thread(target=one.say_at_once, args=["stopping"])
        thread.start()
        thread.join()
    assert capsys.readouterr().err == "stopping\n"


# --- lines beside it -----------------------------------------------------------------------------------------------


def test_records_stand_whole_beside_the_bar_and_the_summary_comes_after_them(
    cli: Cli, practice: PracticeServer, engine_mode: str
) -> None:
    given = [f"{practice.url}/bytes/{n}?delay=0.0{n % 7}" for n in range(40)]
    status, shown = cli.on_terminal(cli.write("urls.txt", "\n".join(given)), "-w", "4", "--mode", engine_mode)
    lines = Terminal(shown).lines
    heading, records, rest = lines[0], lines[1:41], lines[41:]
    assert status == 0
    assert heading == HEADING
    assert sorted(line.split()[-1] for line in records) == sorted(given)
    assert all(RECORD.fullmatch(line) for line in records)
    assert rest[0].startswith("40 URLs: 40 ok")


def test_a_line_longer_than_the_terminal_is_wide_is_not_cut(cli: Cli, practice: PracticeServer) -> None:
    url = f"{practice.url}/json?{'x' * 300}"
    _, shown = cli.on_terminal(url, columns=60)
    assert Terminal(shown, columns=60).lines[1].endswith(url)


def test_what_is_said_of_a_page_breaks_between_words(cli: Cli, practice: PracticeServer) -> None:
    cli.write("a.md", f"[a](b) <mailto:a@b.test> <{practice.url}/json>")
    _, shown = cli.on_terminal("a.md", columns=60)
    assert [line for line in Terminal(shown, columns=60).lines if line][-2:] == [
        "a.md: 2 links were left out (1 relative, 1 mailto);",
        "  --base-url URL says what relative links are relative to",
    ]


def test_json_lines_stand_whole_beside_the_bar(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}/bytes/{n}" for n in range(5)]
    _, shown = cli.on_terminal(*given, "--json", columns=2000)
    records = [json.loads(line) for line in Terminal(shown, columns=2000).lines if "{" in line]
    assert sorted(record["url"] for record in records) == given


def test_records_stand_whole_beside_dots(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}/bytes/{n}" for n in range(5)]
    _, shown = cli.on_terminal(*given, "--progress", "dots", "-w", "1")
    records = [line for line in Terminal(shown).lines if "http" in line]
    assert len(records) == 5
    assert all(RECORD.fullmatch(line) for line in records)


def test_start_lines_stand_whole_beside_the_bar(cli: Cli, practice: PracticeServer) -> None:
    given = [f"{practice.url}/bytes/{n}" for n in range(20)]
    _, shown = cli.on_terminal(*given, "-v", "-w", "4")
    heading, *lines = Terminal(shown).lines[:41]
    assert heading == HEADING
    starts = [line.split() for line in lines if line.split()[0] == "start"]
    assert sorted(line[2] for line in starts) == sorted(given)
    assert sum(RECORD.fullmatch(line) is not None for line in lines) == 20


def test_nothing_of_a_servers_acts_on_the_terminal_beside_the_bar(cli: Cli) -> None:
    def answer(asked: Asked) -> bytes:
        if asked.target == "/go":
            return reply(b"", f"Location: evil:{EVIL}".encode(), status=b"HTTP/1.1 302 Found")
        return reply(b"no", status=f"HTTP/1.1 404 {EVIL} [bold]".encode())

    with Scripted(answer) as server:
        rows = [f"{server.url}/a", f"{server.url}/go", f"{server.url}/{EVIL}[red]x", f"http://{EVIL}[/]/", "[bold]"]
        name = cli.write("urls.txt", "\n".join(rows))
        for mode in ("async", "sync"):
            status, shown = cli.on_terminal(name, "-v", "--mode", mode)
            text = "\n".join(Terminal(shown).lines)  # which takes no sequence but the bar's own
            assert status == 1
            assert "5 URLs: 0 ok, 5 failed" in text
            assert "[red]x" in text
            assert re.search(r"^   ---.*  \[bold\]  invalid_url", text, re.MULTILINE)


def interleaved(cli: Cli, *args: str) -> list[list[str]]:
    """The lines of both streams in the order in which they were written: [start or done, worker, URL]."""
    process = cli.start(*args, stderr=subprocess.STDOUT)
    out, _ = process.communicate()
    lines = []
    for line in out.decode().splitlines():
        words = line.split()
        if words[:1] == ["start"]:
            lines.append(["start", words[1], words[2]])
        elif RECORD.fullmatch(line):
            worker, url = line.split("  http")[0].split()[-1], "http" + line.split("  http")[1].split()[0]
            lines.append(["done", worker, url])
    return lines


def test_a_url_starts_before_it_is_done_and_its_worker_is_done_with_it_before_it_starts_the_next(
    cli: Cli, practice: PracticeServer, mode: str
) -> None:
    quick = cli.write("urls.txt", "".join(f"{practice.url}/bytes/{n}\n" for n in range(300)))
    lines = interleaved(cli, quick, "-v", "-w", "3", "--mode", mode)
    starts = {(worker, url): at for at, (what, worker, url) in enumerate(lines) if what == "start"}
    ends = {(worker, url): at for at, (what, worker, url) in enumerate(lines) if what == "done"}
    assert len(starts) == len(ends) == 300
    assert [one for one, at in ends.items() if at < starts[one]] == []
    for worker in ("1", "2", "3"):
        own = [what for what, number, _ in lines if number == worker]
        assert own == ["start", "done"] * (len(own) // 2)


def test_a_start_line_is_shown_while_its_url_is_under_way(cli: Cli) -> None:
    with Scripted() as server:
        server.answer = server.hold
        process = cli.start(server.url, "-v")
        assert process.stderr is not None
        assert process.stderr.readline().split()[0] == b"start"  # nothing is done yet
        server.released.set()
        process.communicate()
    assert process.returncode == 0


# --- dots ----------------------------------------------------------------------------------------------------------


def dots_of(said: str) -> list[str]:
    return list(itertools.takewhile(lambda line: re.match(r"[.x]", line), said.splitlines()))


def test_dots_come_fifty_to_a_line_and_stand_for_ten_urls_each_after_ten_lines(
    cli: Cli, practice: PracticeServer
) -> None:
    name = cli.write("urls.txt", f"{practice.url}/json\n" * 1200)
    done = cli(name, "--progress", "dots", "-w", "20", "--json")
    counts = [*range(50, 501, 50), 1000]
    assert done.status == 0
    assert dots_of(done.said) == [*(f"{'.' * 50}  {count} done, 0 failed" for count in counts), "." * 20]
    assert len(done.lines) == 1200


def test_an_x_is_shown_for_each_url_that_failed(cli: Cli, practice: PracticeServer, mode: str) -> None:
    rows = [f"{practice.url}/status/{404 if n % 3 == 0 else 200}" for n in range(150)]
    done = cli(cli.write("urls.txt", "\n".join(rows)), "--progress", "dots", "--mode", mode, "--json")
    lines = dots_of(done.said)
    drawn = "".join(line[:50] for line in lines)
    assert (drawn.count("x"), drawn.count(".")) == (50, 100)
    so_far = 0
    for line in lines:
        so_far += line[:50].count("x")
        assert line.endswith(f" done, {so_far} failed")


def test_dots_on_a_terminal_are_dots(cli: Cli, practice: PracticeServer) -> None:
    _, shown = cli.on_terminal(*[f"{practice.url}/json"] * 60, "--progress", "dots", out=False)
    lines = Terminal(shown).lines
    assert lines[:3] == ["." * 50 + "  50 done, 0 failed", "." * 10, lines[2]]
    assert lines[2].startswith("60 URLs: 60 ok")


def test_a_long_run_that_nobody_watches_begins_to_show_dots(
    cli: Cli, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LONG_RUN", 0.0)
    given = [f"{practice.url}/json"] * 3
    assert cli(*given, "--json").said.startswith("...\n3 URLs")
    assert cli(*given, "--json", "--progress", "none").said.startswith("3 URLs")
    assert cli(*given, "--json", "-q").said == ""


def test_a_run_that_has_become_long_counts_on_from_what_was_done(
    cli: Cli, practice: PracticeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(step=1.0)  # a second passes each time that somebody looks
    monkeypatch.setattr(progress, "perf_counter", lambda: next(clock))
    name = cli.write("urls.txt", f"{practice.url}/json\n" * 60)
    done = cli(name, "--mode", "sync", "--json")
    # Made at 0; looked at with each URL: the first nine are nobody's business.
    assert dots_of(done.said) == ["." * 50 + "  59 done, 0 failed", "."]


# --- the summary ---------------------------------------------------------------------------------------------------


def test_up_to_sixteen_workers_have_a_row_each_if_they_had_something_to_do(cli: Cli) -> None:
    def answer(_: Asked) -> bytes:
        if server.wait_for_requests(16):
            server.released.set()
        return reply()

    with Scripted(answer) as server:
        said = cli(*[server.url] * 16, "-w", "16").said
        rows = said.partition("worker  URLs  ")[2].partition("\n\n")[0].splitlines()[1:]
        assert [row.split()[0] for row in rows] == [str(n) for n in range(1, 17)]
        said = cli(server.url, "-w", "16").said
    assert "15 workers had nothing to do" in said.splitlines()


def test_hundreds_of_workers_are_condensed_to_three_rows(cli: Cli, practice: PracticeServer) -> None:
    said = cli(f"{practice.url}/json", "-w", "300").said
    header, _, rest = said.partition("\n300 workers ")[2].partition("\n")
    assert header.split() == ["least", "median", "most"]
    rows = [line.split() for line in rest.partition("\n\n")[0].splitlines()]
    assert rows[0] == ["URLs", "0", "0", "1"]
    assert [row[0] for row in rows] == ["URLs", "busy", "share"]
    assert len(said.splitlines()) < 20


def test_the_summary_is_the_same_in_colour_as_without(cli: Cli, practice: PracticeServer) -> None:
    _, shown = cli.on_terminal(f"{practice.url}/json", f"{practice.url}/status/404", out=False)
    lines = Terminal(shown).lines
    assert lines[0].startswith("2 URLs: 1 ok, 1 failed, in ")
    assert b"\x1b[32m1 ok\x1b[0m" in shown
    assert b"\x1b[31m1 failed\x1b[0m" in shown
    assert any(line.startswith("worker  URLs") for line in lines)
