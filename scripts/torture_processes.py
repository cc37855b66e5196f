"""Killing the processes of durable runs; `scripts/torture` says how, and sets up what it needs."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from torture import FETCHQ, PROGRAMS, Server, check, committed

HOSTS = 6
PROCESSES = 3
SAVES = ("files", "warc", "parquet")
MOST_KILLS = 8
"""Of one run; after that it may end."""


def members(process: subprocess.Popen[str]) -> list[int]:
    """The processes that a run has started."""
    try:
        tasks = list(Path(f"/proc/{process.pid}/task").iterdir())
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    except FileNotFoundError:
        return []  # it has ended


def one_run(server: Server, folder: Path, rows: int, save: str, chance: random.Random) -> Counter[str]:
    """Run, kill, resume, until it ends by itself. Returns what was killed how often. Raises AssertionError."""
    urls = folder.with_suffix(".txt")
    port = server.url.rpartition(":")[2]
    urls.write_text("".join(f"http://127.0.0.{1 + row % HOSTS}:{port}/{row}.txt\n" for row in range(rows)))
    program = PROGRAMS.get(save, FETCHQ)
    common = ["-q", "-w", "21", "--processes", str(PROCESSES), "--mode"]
    kills: Counter[str] = Counter()
    while True:
        before, served = committed(folder), Counter(server.served)
        mode = chance.choice(["async", "async", "threads"])
        begin = [*program, str(urls), "-o", str(folder), "--save", save, "--resume", *common, mode]
        command = [*program, "resume", str(folder), *common, mode] if before else begin
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        kills += hurt(process, server, rows, chance, MOST_KILLS - kills.total())
        _, said = process.communicate(timeout=300)
        again = [row for row in before if server.served[row] > served[row]]
        assert not again, f"rows that were done, and fetched again: {again[:5]}"
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 1, f"exit {process.returncode}: {said}"  # some are 404
            check(folder, rows, save)
            return kills
        server.settle()  # its processes end by themselves


def hurt(process: subprocess.Popen[str], server: Server, rows: int, chance: random.Random, most: int) -> Counter[str]:
    """Kill processes of a run at some instants, or the run itself, which is the end of it."""
    kills: Counter[str] = Counter()
    while kills.total() < most:
        enough = server.served.total() + chance.randint(0, rows // 3)
        until = time.monotonic() + chance.uniform(0.0, 1.5)
        while server.served.total() < enough and time.monotonic() < until:
            if process.poll() is not None:
                return kills
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, 0.3))
        alive = members(process)
        if not alive or chance.random() < 0.4:
            process.send_signal(signal.SIGKILL)
            if process.wait() == -signal.SIGKILL:
                kills["run"] += 1
            return kills
        try:
            os.kill(chance.choice(alive), signal.SIGKILL)
        except ProcessLookupError:
            continue  # it has just ended
        kills["process"] += 1
        if kills["process"] >= 3:  # after so many deaths of one process, the run takes its rows for the reason
            return kills
    return kills


def main(arguments: list[str]) -> int:
    runs = int(arguments[0]) if arguments else 30
    server = Server()
    root = Path(tempfile.mkdtemp(prefix="fetchq-torture-"))
    chance = random.Random(int(os.environ.get("SEED", time.time_ns())))
    try:
        for save in SAVES:
            kills: Counter[str] = Counter()
            for number in range(runs):
                server.served.clear()
                folder = root / f"{save}-{number}"
                try:
                    kills += one_run(server, folder, 2000, save, chance)
                except AssertionError as problem:
                    print(f"--save {save}, run {number}: {problem}; see {folder}", file=sys.stderr)
                    return 1
                shutil.rmtree(folder)
            found = ", ".join(f"{count} kills of a {what}" for what, count in sorted(kills.items()))
            print(f"--save {save}: {runs} runs of 2000 URLs in {PROCESSES} processes, {found}, all exact", flush=True)
    finally:
        server.close()
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
