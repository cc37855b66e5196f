"""Peak memory beside hostile servers and with hostile lists; `scripts/bench hostile-memory` says how to run it.

Each cell is a process of its own with default options and 50 workers, whose address space is limited, so that what has
no bound does not take the machine with it.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hostile_servers
from hostile_servers import SERVERS
from measuring import child

__all__ = ["main"]

BOUND = 400
"""MB that a run may take at its peak."""
WORKERS = 50
SECONDS = 30
"""The deadline of a run: what is not done by then has shown what it takes."""
MB = 1_000_000
_CHILD = str(Path(__file__).with_name("hostile_child.py"))

# --- hostile lists -------------------------------------------------------------------------------------------------

LISTS: dict[str, Callable[[str, Path], Path]] = {}
"""The hostile lists by name: functions that write one into a folder. The base URL is that of a harmless server."""
_List = Callable[[str, Path], Path]


def _list(write: _List) -> _List:
    LISTS[write.__name__.replace("_", "-")] = write
    return write


def _lines(path: Path, lines: Iterator[str]) -> Path:
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


@_list
def list_long_urls(base: str, folder: Path) -> Path:
    """20,000 URLs of 60 kB."""
    return _lines(folder / "urls.txt", (f"{base}/plain/{number}?{'u' * 60_000}" for number in range(20_000)))


@_list
def list_long_hosts(_: str, folder: Path) -> Path:
    """20,000 hosts of 60 kB, which are no names."""
    return _lines(folder / "urls.txt", (f"http://h{number}{'h' * 60_000}.example/" for number in range(20_000)))


@_list
def list_many_hosts(_: str, folder: Path) -> Path:
    """200,000 hosts with names of 250 bytes, which end at once: their ports are none."""
    label = ".".join(["l" * 60] * 3)
    return _lines(folder / "urls.txt", (f"http://h{number}.{label}.example:99999/" for number in range(200_000)))


@_list
def list_international(_: str, folder: Path) -> Path:
    """100,000 international names of long labels."""
    label = "\u00fc" * 40
    return _lines(folder / "urls.txt", (f"http://{label}{number}.{label}.example:99999/" for number in range(100_000)))


@_list
def list_wide_csv(base: str, folder: Path) -> Path:
    """CSV of 10,000 columns in each of 2,000 rows."""
    header = "url," + ",".join(f"c{number}" for number in range(9_999))
    rows = (f"{base}/plain/{number}" + ",12345" * 9_999 for number in range(2_000))
    return _lines(folder / "urls.csv", itertools.chain([header], rows))


@_list
def list_json_bodies(base: str, folder: Path) -> Path:
    """JSON Lines with 20,000 bodies of 60 kB to send, and labels."""
    rows = (
        json.dumps({"url": f"{base}/plain/{number}", "body": "b" * 30_000, "label": "l" * 30_000})
        for number in range(20_000)
    )
    return _lines(folder / "urls.jsonl", rows)


@_list
def list_packed(base: str, folder: Path) -> Path:
    """20,000 URLs of 60 kB in a gzip file of a thousandth of that."""
    path = folder / "urls.txt.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.writelines(f"{base}/plain/{number}?{'u' * 60_000}\n" for number in range(20_000))
    return path


@_list
def list_newlines(base: str, folder: Path) -> Path:
    """300 MB of empty lines in a gzip file, before one URL."""
    path = folder / "urls.txt.gz"
    with gzip.open(path, "wb", compresslevel=6) as file:
        for _ in range(300):
            file.write(b"\n" * MB)
        file.write(f"{base}/plain/1\n".encode())
    return path


# --- cells ---------------------------------------------------------------------------------------------------------

WAYS = {
    "files": ["-o", "run"],
    "warc": ["-o", "run", "--save", "warc"],
    "parquet": ["-o", "run", "--save", "parquet"],
    "text": ["--json", "--include", "text"],
    "base64": ["--json", "--include", "base64"],
    "csv": ["--format", "csv", "--include", "text", "--include", "headers"],
    "files+text": ["-o", "run", "--json", "--include", "text"],
    "warc+text": ["-o", "run", "--save", "warc", "--json", "--include", "text"],
    "parquet+text": ["-o", "run", "--save", "parquet", "--json", "--include", "text"],
}
"""Where the Results go, and the options for it."""
MODES = ("async", "threads")
ROWS = 200
"""Rows of one hostile server, so that each worker gets several."""
LARGE = ("bomb", "text", "window", "endless-body", "endless-gzip", "endless-deflate", "endless-zstd")
"""How the names of servers begin whose answers are large, and so slow: they get fewer rows."""
LARGE_ROWS = WORKERS
SHORT_ROWS = 12
"""The same where each server is tried once. A dozen bodies of 95 MB are nearly thrice what a run may take."""


@dataclass(frozen=True)
class _Cell:
    hostile: str
    way: str
    mode: str

    @property
    def name(self) -> str:
        return f"{self.hostile} {self.way} {self.mode}"


@dataclass(frozen=True)
class _Outcome:
    peak: float
    """MB."""
    status: int
    seconds: float
    said: str

    @property
    def verdict(self) -> str:
        if self.status not in (0, 1) or "Traceback" in self.said:
            return f"ENDED with status {self.status}"
        return "kept" if self.peak <= BOUND else "MISSED"


def _short() -> list[_Cell]:
    """Each hostile server and list once, with the ways and the modes in turn."""
    names = [name for name in (*SERVERS, *LISTS) if name != "plain"]
    turns = zip(names, itertools.cycle(["parquet+text", "text", "files", "base64", "warc+text"]), strict=False)
    return [_Cell(name, way, MODES[at % 2]) for at, (name, way) in enumerate(turns)]


def _all() -> list[_Cell]:
    names = [name for name in (*SERVERS, *LISTS) if name != "plain"]
    return [_Cell(*one) for one in itertools.product(names, WAYS, MODES)]


def _run(cell: _Cell, base: str, large_rows: int) -> _Outcome:
    """Run the command line in a process of its own."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("FETCHQ_BENCH_TMP")) as place:
        folder = Path(place)
        if cell.hostile in LISTS:
            source = LISTS[cell.hostile](base, folder)
        else:
            rows = range(large_rows if cell.hostile.startswith(LARGE) else ROWS)
            source = _lines(folder / "urls.txt", (f"{base}/{cell.hostile}/{number}" for number in rows))
        command = [sys.executable, _CHILD, str(source), "-w", str(WORKERS), "--mode", cell.mode]
        command += ["--retries", "0", "--deadline", str(SECONDS), "--progress", "none", *WAYS[cell.way]]
        began = time.perf_counter()
        with open(os.devnull, "wb") as nowhere:
            done = subprocess.run(command, stdout=nowhere, stderr=subprocess.PIPE, text=True, cwd=folder, check=False)
        seconds = time.perf_counter() - began
    found = re.search(r"^peak (\d+)$", done.stderr, re.MULTILINE)
    peak = int(found[1]) / 1000 if found else float("inf")
    return _Outcome(peak, done.returncode, seconds, done.stderr)


def _chosen(words: list[str]) -> tuple[list[_Cell], int]:
    """The cells that the arguments choose, and the rows of a server whose answers are large."""
    if not words:
        return _short(), SHORT_ROWS
    named = [word for word in words if word != "all"]
    cells = [cell for cell in _all() if all(word in cell.name.split() or word in cell.hostile for word in named)]
    return cells, LARGE_ROWS if "all" in words else SHORT_ROWS


def main(words: list[str]) -> int:
    cells, large_rows = _chosen(words)
    if not cells:
        print(f"there is no such cell; there are {', '.join([*SERVERS, *LISTS])}; {', '.join(WAYS)}", file=sys.stderr)
        return 2
    missed = 0
    with child([sys.executable, hostile_servers.__file__], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base = server.stdout.readline().strip()
        bound = f"(bound {BOUND} MB, {WORKERS} workers)"
        print(f"{'hostile':<24} {'results':<13} {'mode':<8} {'peak MB':>8}  seconds  {bound}")
        for cell in cells:
            outcome = _run(cell, base, large_rows)
            missed += outcome.verdict != "kept"
            print(
                f"{cell.hostile:<24} {cell.way:<13} {cell.mode:<8} {outcome.peak:8.0f}  {outcome.seconds:7.1f}  "
                f"{outcome.verdict}",
                flush=True,
            )
            if outcome.verdict.startswith("ENDED") or os.environ.get("FETCHQ_BENCH_SAY"):
                print("    " + "\n    ".join(outcome.said.strip().splitlines()[-6:]), flush=True)
    print(f"{len(cells) - missed} of {len(cells)} within the bound")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
