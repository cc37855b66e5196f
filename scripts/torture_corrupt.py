"""Corrupting the folders of durable runs; `scripts/torture` says how."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from torture import FETCHQ, Server, body_of

from fetchq.cli import main as run_fetchq

ROWS = 40
FIRST = 10
"""The server has a 404 below this number."""


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: bytes
    err: str


def call(*arguments: str) -> Ended:
    """Run the command line in this process. Whatever it raises beside SystemExit would have been a traceback."""
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            run_fetchq(list(arguments))
        except SystemExit as ended:
            return Ended(int(ended.code or 0), out.buffer.getvalue(), err.getvalue())  # type: ignore[attr-defined]  # a BytesIO
    raise AssertionError("it did not exit")


def make_runs(server: Server, root: Path) -> list[Path]:
    """A run that has ended, and one that was killed, so that it has a log; the lists of both came through a pipe."""
    urls = "".join(f"{server.url}/{FIRST + row}.txt\n" for row in range(ROWS))
    whole, killed = root / "whole", root / "killed"
    ended = subprocess.run(
        [*FETCHQ, "-", "-o", str(whole), "-q"], input=urls.encode(), capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    before = server.served.total()
    process = subprocess.Popen(
        [*FETCHQ, "-", "-o", str(killed), "-q", "-w", "1", "--rate", "100/s"], stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(urls.encode())
    process.stdin.close()
    while server.served.total() < before + ROWS // 2:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return [whole, killed]


def corrupt(folder: Path, chance: random.Random) -> str:
    """Change one file of the run that its records or its rows are in. Returns what was done."""
    files = [path for path in [*folder.glob("run.db*"), *folder.glob("input/*")] if path.stat().st_size]
    path = chance.choice([one for one in files if not one.name.endswith("-shm")])
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content))
    kind = chance.choice(["flip", "flip", "noise", "zeros", "cut"])
    if kind == "flip":
        content[at] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del content[at:]
    else:
        length = min(chance.choice([1, 16, 512, 4096]), len(content) - at)
        content[at : at + length] = bytes(length) if kind == "zeros" else chance.randbytes(length)
    path.write_bytes(content)
    return f"{kind} at {at} of {path.relative_to(folder)}"


def exported(ended: Ended, truth: dict[int, dict[str, Any]], *, same: bool) -> int:
    """Check the records of an export. `same`: whether no row was fetched again. Returns their number."""
    records = [json.loads(line) for line in ended.out.splitlines()] if ended.status == 0 else []
    for record in records:
        row = record["index"]
        body = body_of(FIRST + row)
        assert 0 <= row < ROWS, record
        found = (record["ok"], record["status"], record["size"], record["sha256"])
        assert found == (True, 200, len(body), hashlib.sha256(body).hexdigest()), record
        assert record["url"].endswith(f"/{FIRST + row}.txt"), record
        assert not same or row not in truth or record == truth[row], record
    assert len({record["index"] for record in records}) == len(records)
    return len(records)


def check(intact: Path, folder: Path, truth: dict[int, dict[str, Any]]) -> Counter[int]:
    """Let each command meet the corrupted folder. Raises AssertionError if one does anything but its work, or 3."""
    met: Counter[int] = Counter()
    ended = {
        "export": call("export", str(folder)),
        "report": call("report", str(folder), "-o", "-"),
        "diff": call("diff", str(intact), str(folder)),
        "retry": call("retry", str(folder), "-q"),
        "resume": call("resume", str(folder), "-q"),
        "export again": call("export", str(folder)),
    }
    rows = exported(ended["export"], truth, same=True)
    again = exported(ended["export again"], truth, same=False)
    for name, one in ended.items():
        met[one.status] += 1
        lost = name == "diff" and one.status == 1 and rows < len(truth)  # rows of a log that ends early, to be fetched
        assert one.status in (0, 3) or lost, (name, one)
        assert one.status == 0 or lost or one.err.rstrip().splitlines()[-1].startswith("fetchq: "), (name, one)
        assert one.err.count("\n") <= 2, (name, one)
    assert again == ROWS or ended["export again"].status == 3 or ended["resume"].status == 3, (again, ended["resume"])
    return met


def corruptions(times: int, seed: int, root: Path) -> Counter[int]:
    """Corrupt copies of runs so often. Returns how often which exit status was met. Raises AssertionError."""
    server, chance, met = Server(), random.Random(seed), Counter[int]()
    try:
        runs = make_runs(server, root)
        intact = {}
        for run in runs:
            shutil.copytree(run, copy := root / "copy")  # opening a ledger puts its log away
            intact[run] = {
                record["index"]: record for record in map(json.loads, call("export", str(copy)).out.splitlines())
            }
            shutil.rmtree(copy)
        for number in range(times):
            run = runs[number % len(runs)]
            folder = root / f"{run.name}-{number}"
            shutil.copytree(run, folder)
            done = corrupt(folder, chance)
            shutil.copytree(run, root / "intact")
            try:
                met += check(root / "intact", folder, intact[run])
            except Exception as problem:
                raise AssertionError(f"{folder}: {done}: {problem!r}") from problem
            shutil.rmtree(root / "intact")
            shutil.rmtree(folder)
    finally:
        server.close()
    return met


def main(arguments: list[str]) -> int:
    times = int(arguments[0]) if arguments else 200
    seed = int(os.environ.get("SEED", time.time_ns()))
    root = Path(tempfile.mkdtemp(prefix="fetchq-torture-"))
    try:
        met = corruptions(times, seed, root)
    except AssertionError as problem:
        print(f"SEED={seed}: {problem}; see {root}", file=sys.stderr)
        return 1
    shutil.rmtree(root)
    shown = ", ".join(f"{count} times {status}" for status, count in sorted(met.items()))
    print(f"{times} corruptions, no traceback and no wrong record; exit status {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
