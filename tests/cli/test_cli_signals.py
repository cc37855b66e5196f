"""Life and death of `fetchq`: signals, pipes that open late or close early, and streams that cannot be written."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from faults.server import FaultServer
from faults.wire import Asked
from support.cli import Cli, clean, ended
from support.factories import make_result
from support.runs import make_run
from support.servers import Scripted, reply
from support.signals import Handled, press
from support.store import change_ledger, set_meta
from support.waiting import PATIENCE

from fetchq.cli import interrupts
from fetchq.cli.practice.server import PracticeServer

SOON = 7.0
"""Seconds after which a process that should have ended is taken for stuck; none that ends in time needs them."""
A_MOMENT = 0.2
"""Seconds for something to happen that must not matter."""
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
FULL = Path("/dev/full")

signals = pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
# The form is the screen's and the mode the pool's: neither knows of the other.
forms_and_modes = pytest.mark.parametrize(
    ("form", "mode"),
    [("jsonl", "async"), ("csv", "async"), ("text", "async"), ("jsonl", "threads"), ("jsonl", "sync")],
)
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this machine has no /dev/full")


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> Handled:
    return Handled(monkeypatch)


@pytest.fixture
def forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run ends of itself after its first signal."""
    monkeypatch.setattr(interrupts, "GRACE_PERIOD", 3600.0)


# --- signals -------------------------------------------------------------------------------------------------------


@signals
def test_a_run_whose_server_hangs_ends_after_the_grace_and_keeps_what_was_done(
    cli: Cli,
    faults: FaultServer,
    handled: Handled,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    number: signal.Signals,
) -> None:
    monkeypatch.setattr(interrupts, "GRACE_PERIOD", 0.2)
    name = cli.write("urls.txt", f"{faults.url}/ok\n{faults.url_of('hang')}\n" + f"{faults.url}/ok\n" * 50)
    with handled.send(number, lambda: faults.wait_for_requests(2, PATIENCE)):
        done = cli(name, "--json", "-w", "1", "--mode", mode)
    assert done.status == SIGNALS[number]
    assert [record["cause"] for record in done.records] == [None, *["cancelled"] * 51]
    assert len(faults.log) == 2
    assert "52 URLs: 1 ok, 0 failed, 1 cut off, 50 not tried" in done.said


@pytest.mark.usefixtures("forever")
@signals
def test_the_first_signal_lets_what_is_under_way_finish_and_nothing_more_begins(
    cli: Cli, handled: Handled, mode: str, number: signal.Signals
) -> None:
    def answer(_: Asked) -> bytes:
        assert handled.wait_for(1)
        return reply(b"late, but whole")

    with Scripted(answer) as server:
        name = cli.write("urls.txt", f"{server.url}/\n" * 9)
        with handled.send(number, lambda: server.wait_for_requests(1)):
            done = cli(name, "--json", "-w", "1", "--mode", mode)
        assert len(server.log) == 1
    assert done.status == SIGNALS[number]
    assert [record["cause"] for record in done.records] == [None, *["cancelled"] * 8]
    assert done.records[0]["size"] == len(b"late, but whole")


@pytest.mark.usefixtures("forever")
@signals
def test_the_second_signal_cancels_what_is_under_way(
    cli: Cli, faults: FaultServer, handled: Handled, mode: str, number: signal.Signals
) -> None:
    given = [f"{faults.url}/ok", faults.url_of("hang")]
    times = ("-t", "1h", "--read-timeout", "1h")
    with handled.send(number, lambda: faults.wait_for_requests(2, PATIENCE), lambda: True):
        done = cli(*given, *times, "--json", "-w", "1", "--mode", mode)
    assert done.status == SIGNALS[number]
    assert [record["cause"] for record in done.records] == [None, "cancelled"]


@signals
def test_while_a_command_that_was_interrupted_early_exits_further_signals_are_ignored(number: signal.Signals) -> None:
    code = (
        "import os; from fetchq.cli.interrupts import Interrupts\n"
        "try:\n"
        f"    with Interrupts(): os.kill(os.getpid(), {int(number)})\n"
        "except (KeyboardInterrupt, SystemExit): print('interrupted')\n"
        f"os.kill(os.getpid(), {int(number)})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"interrupted\n", b"")


@signals
def test_a_process_ends_when_it_is_asked_to_again_and_again(
    cli: Cli, faults: FaultServer, mode: str, number: signal.Signals
) -> None:
    # In a process of its own, where nothing but a further signal can end the run.
    code = (
        "import sys; from fetchq.cli import interrupts, main\n"
        "interrupts.GRACE_PERIOD = interrupts.EXIT_TIMEOUT = 3600\n"
        "main(sys.argv[1:])"
    )
    args = (f"{faults.url}/ok", faults.url_of("hang"), "-w", "1", "--mode", mode, "--json")
    times = ("-t", "1h", "--read-timeout", "1h")
    with subprocess.Popen(
        [sys.executable, "-c", code, *args, *times], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert faults.wait_for_requests(2, PATIENCE)
        press(process, number, every=0.1, seconds=SOON)
        done = ended(process)
    assert done.status == SIGNALS[number]
    assert [record["cause"] for record in done.records] == [None, "cancelled"]


@signals
@pytest.mark.parametrize("mode", ["async", "threads"])
def test_after_a_signal_what_waits_for_a_retry_is_answered_at_once_and_what_is_under_way_still_finishes(
    cli: Cli, mode: str, number: signal.Signals
) -> None:
    later = reply(b"", b"Retry-After: 100", status=b"HTTP/1.1 503 Service Unavailable")
    with Scripted(lambda asked: later if asked.target == "/later" else server.hold(asked)) as server:
        other = server.url.replace("127.0.0.1", "localhost")  # the first one is held as a whole
        process = cli.start(f"{server.url}/later", f"{other}/held", "-w", "2", "--mode", mode, "--json", "-v")
        assert server.wait_for_requests(2)
        assert process.stdout is not None
        # The 503 may still be on its way: it waits, or is cancelled, but is not the end of the URL.
        process.send_signal(number)
        first = json.loads(process.stdout.readline())
        server.released.set()
        done = ended(process)
        assert len(server.log) == 2
    assert (first["url"], first["ok"]) == (f"{server.url}/later", False)
    assert done.record["ok"]
    assert done.status == SIGNALS[number]


@signals
def test_a_signal_ends_a_run_that_waits_for_more_of_its_standard_input(
    cli: Cli, faults: FaultServer, mode: str, number: signal.Signals
) -> None:
    read_end, write_end = os.pipe()
    try:
        process = cli.start("-", "--json", "--mode", mode, stdin=read_end)
        os.write(write_end, f"{faults.url}/ok\n".encode())
        assert process.stdout is not None
        record = json.loads(process.stdout.readline())
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(A_MOMENT)  # time to begin to wait; without it only the easier case would be tested
        press(process, number, every=SOON / 3, seconds=SOON)
        out, err = process.communicate()
    finally:
        os.close(read_end)
        os.close(write_end)
    clean(err)
    assert process.returncode == SIGNALS[number], err.decode()
    assert record["ok"]
    assert out == b""
    assert b"1 URL: 1 ok, 0 failed" in err


@pytest.mark.parametrize("mode", ["async", "threads"])
def test_a_run_that_was_interrupted_has_answered_every_row_that_was_read(
    cli: Cli, faults: FaultServer, handled: Handled, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(interrupts, "GRACE_PERIOD", 0.05)
    name = cli.write("urls.txt", "".join(f"{faults.url_of('hang')}#{n}\n" for n in range(300)))
    with handled.send(signal.SIGINT, lambda: faults.wait_for_requests(20, PATIENCE)):
        done = cli(name, "--json", "-w", "20", "--mode", mode)
    assert done.status == 130
    assert [record["index"] for record in done.records] == list(range(300))
    assert {record["cause"] for record in done.records} == {"cancelled"}


ROOT = Path(__file__).parent.parent.parent
ENTRY = re.search(r'^fetchq = "(.+):(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


@pytest.mark.parametrize("when", ["click", "signal"])
@pytest.mark.parametrize("start", ["-m", "script"])
def test_ctrl_c_while_the_command_line_is_imported_ends_it_without_a_word(cli: Cli, start: str, when: str) -> None:
    assert ENTRY is not None
    script = f"import sys; from {ENTRY[1]} import {ENTRY[2]}; sys.exit({ENTRY[2]}())"
    cli.write(f"{when}.py", "import os; os.kill(os.getpid(), 2)\nraise KeyboardInterrupt\n")
    args = ["-m", "fetchq"] if start == "-m" else ["-c", script]
    env = {**os.environ, "PYTHONPATH": f"{cli.folder}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, *args, "--version"], env=env, cwd="/", capture_output=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_ctrl_c_that_an_import_makes_another_exception_of_ends_it_without_a_word(cli: Cli) -> None:
    cli.write("orjson.py", "import os\ntry: os.kill(os.getpid(), 2)\nexcept BaseException: raise RuntimeError\n")
    env = {"PYTHONPATH": f"{cli.folder}{os.pathsep}{ROOT}"}
    done = cli.run("http://127.0.0.1:9/", "--json", env=env)
    assert (done.status, done.out, done.err) == (130, b"", b"")


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_between_the_start_and_the_run_end_it_without_a_word(cli: Cli, number: int, times: int) -> None:
    kill = f"os.kill(os.getpid(), {number})"
    patch = f"import os, click\ndef main(*_, **__):\n try: {kill}\n finally: {kill if times == 2 else None}\n"
    done = cli.run("--version", patch=f"exec({f'{patch}click.Command.main = main'!r})")
    assert (done.status, done.out, done.err) == (128 + number, b"", b"")


@pytest.mark.parametrize(("command", "number"), [("export", signal.SIGINT), ("retry", signal.SIGTERM)])
def test_a_signal_ends_a_condition_that_would_never_end(cli: Cli, command: str, number: int) -> None:
    run = make_run(cli.folder / "run", [make_result()])
    set_meta(run, "settings", json.dumps({"save": "none"}))
    for name, value in {"withheld": "[]", "inputs": '[{"kind": "rows"}]', "reading": "{}"}.items():
        set_meta(run, name, value)
    change_ledger(
        run, "INSERT INTO input VALUES (0, 'http://127.0.0.1:9/', NULL, '[]', NULL, NULL, NULL, 0, NULL, NULL, NULL, 0)"
    )
    endless = "(WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r)"
    patch = f"import os, threading; threading.Timer(0.5, os.kill, (os.getpid(), {int(number)})).start()"
    done = cli.run(command, run, "--where", f"ok IN ({endless})", patch=patch)
    assert (done.status, done.out) == (128 + number, b"")


def test_ctrl_c_that_an_import_swallows_stops_the_run_all_the_same(cli: Cli, faults: FaultServer) -> None:
    swallows = "import os\ntry: os.kill(os.getpid(), 2)\nexcept BaseException: pass\n"
    then_goes_on = f"import sys, importlib\ndel sys.modules['orjson']; sys.path.remove({str(cli.folder)!r})\n"
    cli.write("orjson.py", swallows + then_goes_on + "sys.modules['orjson'] = importlib.import_module('orjson')\n")
    env = {"PYTHONPATH": f"{cli.folder}{os.pathsep}{ROOT}"}
    done = cli.run(f"{faults.url}/ok", "--json", env=env)
    assert done.status == 130
    assert (done.out, done.said) == (b"", "")


# --- pipes ---------------------------------------------------------------------------------------------------------


def test_a_row_is_fetched_as_soon_as_it_is_written_to_standard_input(cli: Cli, faults: FaultServer, mode: str) -> None:
    process = cli.start("-", "--json", "--mode", mode, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    for n in range(3):
        process.stdin.write(f"{faults.url}/ok?n={n}\n# a comment\n".encode())
        process.stdin.flush()
        record = json.loads(process.stdout.readline())  # only then is the next row written
        assert (record["index"], record["url"]) == (n, f"{faults.url}/ok?n={n}")
    process.stdin.write(f"{faults.url}/ok?n=la".encode())
    process.stdin.flush()
    process.stdin.write(b"st")
    done = ended(process)
    assert done.status == 0
    assert done.record["url"] == f"{faults.url}/ok?n=last"
    assert [asked.params["n"] for asked in faults.log] == ["0", "1", "2", "last"]


def test_a_named_pipe_is_read_as_it_fills(cli: Cli, faults: FaultServer) -> None:
    os.mkfifo("urls")
    process = cli.start("urls", "--json")
    with open("urls", "wb", buffering=0) as pipe:
        pipe.write(f"{faults.url}/ok\n".encode())
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["ok"]
    assert ended(process).status == 0


@forms_and_modes
def test_a_reader_that_closes_the_pipe_ends_the_run_quietly(
    cli: Cli, practice: PracticeServer, mode: str, form: str
) -> None:
    # More than a pipe holds: the run cannot be over before the reader leaves.
    name = cli.write("urls.txt", f"{practice.url}/json?{'x' * 500}\n" * 1000)
    process = cli.start(name, "--format", form, "--mode", mode)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    done = ended(process)
    assert done.status in (0, 1)
    assert int(done.said.split(" URL")[0]) < 1000
    assert "fetchq: " not in done.said


def test_a_reader_of_both_streams_that_closes_the_pipe_ends_the_run_quietly(cli: Cli, practice: PracticeServer) -> None:
    name = cli.write("urls.txt", f"{practice.url}/json?{'x' * 500}\n" * 1000)
    process = cli.start(name, "-v", stderr=subprocess.STDOUT)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert ended(process).status in (0, 1)


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_signals_end_a_run_whose_reader_has_stopped_reading(cli: Cli, practice: PracticeServer, mode: str) -> None:
    name = cli.write("urls.txt", f"{practice.url}/json?{'x' * 500}\n" * 1000)
    process = cli.start(name, "--json", "--mode", mode, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline()
    press(process, signal.SIGINT, every=0.1, seconds=SOON)
    assert process.returncode == 130


# --- streams that cannot be written --------------------------------------------------------------------------------


@needs_full
@forms_and_modes
def test_a_full_disk_under_stdout_is_said_in_one_line_and_ends_with_3(
    cli: Cli, practice: PracticeServer, mode: str, form: str
) -> None:
    with FULL.open("wb") as full:
        done = cli.run(f"{practice.url}/json", "--format", form, "--only", "all", "--mode", mode, "-q", stdout=full)
    assert done.status == 3
    assert done.said == "fetchq: the records cannot be written: No space left on device\n"


@forms_and_modes
def test_a_disk_that_takes_half_a_record_is_said_also_where_python_does_not_buffer(
    cli: Cli, practice: PracticeServer, mode: str, form: str
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))  # the write that reaches it is a short one

    with (cli.folder / "records").open("wb") as records:
        done = cli.run(
            f"{practice.url}/json", "--format", form, "--only", "all", "--mode", mode, "-q",
            stdout=records, env={"PYTHONUNBUFFERED": "1"}, preexec_fn=limit,
        )  # fmt: skip
    assert done == (3, b"", b"fetchq: the records cannot be written: File too large\n")


COMMANDS = {
    "compare": ["compare", "URL", "-q", "--mode", "sync", "--rounds", "1"],
    "help": ["--help"],
    "version": ["--version"],
    "serve": ["serve"],
}


@needs_full
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_under_stdout_is_said_in_one_line_by_every_command(
    cli: Cli, practice: PracticeServer, command: str
) -> None:
    args = [f"{practice.url}/json" if arg == "URL" else arg for arg in COMMANDS[command]]
    with FULL.open("wb") as full:
        done = cli.run(*args, stdout=full)
    assert done.status == 3
    assert done.said.startswith("fetchq: ")
    assert done.said.endswith("No space left on device\n")
    assert done.said.count("\n") == 1


@needs_full
def test_a_full_disk_under_stderr_loses_no_record_and_fails_no_run(cli: Cli, practice: PracticeServer) -> None:
    with FULL.open("wb") as full:
        done = cli.run(f"{practice.url}/json", "--json", "-v", stderr=full)
    assert done.record["ok"]
    assert done.status == 0


def closing(cli: Cli, stream: str, *args: str) -> subprocess.CompletedProcess[bytes]:
    """Run it with a stream closed, as `fetchq >&-` in a shell does."""
    command = [sys.executable, "-W", "error", "-m", "fetchq", *args]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {stream}', "sh", *command], capture_output=True, timeout=PATIENCE, check=False
    )


def test_with_stdout_closed_it_says_so(cli: Cli, practice: PracticeServer) -> None:
    done = closing(cli, ">&-", f"{practice.url}/json", "-q")
    clean(done.stderr)
    assert done.returncode in (2, 3)
    assert done.stderr.startswith(b"fetchq: ")
    assert done.stderr.count(b"\n") == 1


def test_with_stderr_closed_it_writes_its_records(cli: Cli, practice: PracticeServer) -> None:
    done = closing(cli, "2>&-", f"{practice.url}/json", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["ok"]


def test_with_standard_input_closed_a_dash_is_wrong_usage(cli: Cli) -> None:
    done = closing(cli, "<&-", "-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"fetchq: there is no standard input to read from\n"
