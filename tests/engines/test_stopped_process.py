"""A process that is stopped for longer than all timeouts, and goes on, loses no row, whatever came meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from time import sleep

from faults.wire import Asked, Connection, head, length
from support.modes import MODES
from support.servers import ScriptServer
from support.waiting import PATIENCE

TIMEOUT = 2.0
BODY = b"x" * 200_000


def test_what_came_while_the_process_was_stopped_is_no_timeout_and_not_too_slow_in_any_mode() -> None:
    stopped = threading.Event()

    def play(conn: Connection, asked: Asked) -> None:
        """One answer whose head comes before the stop, and one that comes whole during it."""
        if asked.path.startswith("/half"):
            conn.send(head(length(len(BODY))) + BODY[:1000])
            stopped.wait(PATIENCE)
            conn.send(BODY[1000:])
        else:
            stopped.wait(PATIENCE)
            conn.send(head(length(2)) + b"ok")

    with ScriptServer(play) as server:
        rows = [f"{server.url}/{kind}{number}" for kind in ("half", "whole") for number in range(2)]
        rows_of = {mode: rows[:1] if mode == "sync" else rows for mode in MODES}
        limits = [f"--{name}={TIMEOUT}" for name in ("timeout", "read-timeout", "connect-timeout", "min-speed-time")]
        command = [sys.executable, "-m", "fetchq", "--json", "-q", "--retries=0", "--min-speed=5000", *limits]
        processes = [
            subprocess.Popen([*command, f"--mode={mode}", *rows_of[mode]], stdout=subprocess.PIPE) for mode in MODES
        ]
        assert server.wait_for_requests(sum(map(len, rows_of.values())))
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        stopped.set()
        sleep(TIMEOUT + 0.5)  # what has to pass is time itself
        for process in processes:
            process.send_signal(signal.SIGCONT)
        for mode, process in zip(MODES, processes, strict=True):
            out, _ = process.communicate(timeout=PATIENCE)
            records = [json.loads(line) for line in out.splitlines()]
            assert [(one["ok"], one["attempts"], one["error"]) for one in records] == [(True, 1, None)] * len(
                rows_of[mode]
            ), mode
