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
from random import Random

import hostile_serving
from hostile_servers import SERVERS
from measuring import child

__all__ = ["main"]

BOUND = 400
"""MB that a run may take at its peak."""
WORKERS = 50
SECONDS = 60
"""The deadline of a run. Rows that it cuts off are neither ok nor failed, which shows in the table."""
MB = 1_000_000
_CHILD = str(Path(__file__).with_name("hostile_child.py"))

# --- hostile lists -------------------------------------------------------------------------------------------------

_List = Callable[[str, Path, int], Path]
LISTS: dict[str, tuple[int, _List]] = {}
"""The hostile lists by name: how many rows they have, and functions that write so many into a folder.

The base URL is that of a harmless server."""


def _list(rows: int) -> Callable[[_List], _List]:
    def note(write: _List) -> _List:
        LISTS[write.__name__.replace("_", "-")] = rows, write
        return write

    return note


def _lines(path: Path, lines: Iterator[str]) -> Path:
    with path.open("w") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


@_list(20_000)
def list_long_urls(base: str, folder: Path, rows: int) -> Path:
    """URLs of 60 kB."""
    return _lines(folder / "urls.txt", (f"{base}/plain/{number}?{'u' * 60_000}" for number in range(rows)))


@_list(20_000)
def list_long_hosts(_: str, folder: Path, rows: int) -> Path:
    """Hosts of 60 kB, which are no names."""
    return _lines(folder / "urls.txt", (f"http://h{number}{'h' * 60_000}.example/" for number in range(rows)))


@_list(200_000)
def list_many_hosts(_: str, folder: Path, rows: int) -> Path:
    """Hosts with names of 250 bytes, which end at once: their ports are none."""
    label = ".".join(["l" * 60] * 3)
    return _lines(folder / "urls.txt", (f"http://h{number}.{label}.example:99999/" for number in range(rows)))


@_list(100_000)
def list_international(_: str, folder: Path, rows: int) -> Path:
    """International names of long labels."""
    label = "\u00fc" * 40
    return _lines(folder / "urls.txt", (f"http://{label}{number}.{label}.example:99999/" for number in range(rows)))


@_list(2_000)
def list_wide_csv(base: str, folder: Path, rows: int) -> Path:
    """CSV of 10,000 columns in each row."""
    header = "url," + ",".join(f"c{number}" for number in range(9_999))
    lines = (f"{base}/plain/{number}" + ",12345" * 9_999 for number in range(rows))
    return _lines(folder / "urls.csv", itertools.chain([header], lines))


@_list(20_000)
def list_json_bodies(base: str, folder: Path, rows: int) -> Path:
    """JSON Lines with bodies and labels of 30 kB each."""
    lines = (
        json.dumps({"url": f"{base}/plain/{number}", "body": "b" * 30_000, "label": "l" * 30_000})
        for number in range(rows)
    )
    return _lines(folder / "urls.jsonl", lines)


@_list(20_000)
def list_packed(base: str, folder: Path, rows: int) -> Path:
    """URLs of 60 kB in a gzip file that is little more than a hundredth of that."""
    path = folder / "urls.txt.gz"
    rest = Random(1).randbytes(700).hex() + "u" * 58_600
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.writelines(f"{base}/plain/{number}?{rest}\n" for number in range(rows))
    return path


@_list(1)
def list_newlines(base: str, folder: Path, rows: int) -> Path:
    """300 MB of empty lines in a gzip file, before one URL: as many as its size allows (a hundredfold)."""
    path = folder / "urls.txt.gz"
    urls = "".join(f"{base}/plain/{number}\n" for number in range(rows))
    empty = b"\n" * (MB - 80_000) + bytes(Random(1).choices(b"\n \t", k=80_000))
    path.write_bytes(gzip.compress(empty) * 300 + gzip.compress(urls.encode()))
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
SHORT_WAYS = ("files", "warc", "parquet", "text")
SHORT_ROWS = 4
"""Rows of such a server in the short form. Four bodies of 95 MB, with the program, are more than a run may take."""
SHORT_TEXTS = ("text-escaped", "text-wide", "text-damaged", "text-utf7")
"""Servers that differ from text-gzip in nothing but how their text is decoded, which the other ways do not do."""
SHORT_LIST = 3
"""By how much the lists are shorter in the short form."""


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
    rows: int
    """How many rows there were to fetch."""
    ok: int
    failed: int
    status: int
    seconds: float
    said: str

    @property
    def verdict(self) -> str:
        if self.status not in (0, 1) or "Traceback" in self.said:
            return f"ENDED with status {self.status}"
        if self.peak > BOUND:
            return "MISSED"
        return "kept" if self.ok + self.failed == self.rows else "CUT OFF"


def _names() -> list[str]:
    return [name for name in (*SERVERS, *LISTS) if name != "plain"]


def _short() -> list[_Cell]:
    """Each hostile server and list in four ways, with the modes in turn."""
    turns = itertools.product(enumerate(_names()), enumerate(SHORT_WAYS))
    cells = [_Cell(name, way, MODES[(first + second) % 2]) for (first, name), (second, way) in turns]
    return [cell for cell in cells if cell.way == "text" or cell.hostile not in SHORT_TEXTS]


def _all() -> list[_Cell]:
    return [_Cell(*one) for one in itertools.product(_names(), WAYS, MODES)]


def _source(hostile: str, base: str, folder: Path, *, short: bool) -> tuple[Path, int]:
    """Write the list of a run. Returns its path and the number of its rows."""
    if hostile in LISTS:
        rows, write = LISTS[hostile]
        rows = -(-rows // SHORT_LIST) if short else rows
        return write(base, folder, rows), rows
    rows = ROWS
    if hostile.startswith(LARGE):
        rows = SHORT_ROWS if short else LARGE_ROWS
    return _lines(folder / "urls.txt", (f"{base}/{hostile}/{number}" for number in range(rows))), rows


def _run(cell: _Cell, base: str, *, short: bool) -> _Outcome:
    """Run the command line in a process of its own."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("FETCHQ_BENCH_TMP")) as place:
        folder = Path(place)
        source, rows = _source(cell.hostile, base, folder, short=short)
        command = [sys.executable, _CHILD, str(source), "-w", str(WORKERS), "--mode", cell.mode]
        command += ["--retries", "0", "--deadline", str(SECONDS), "--progress", "none", *WAYS[cell.way]]
        began = time.perf_counter()
        with open(os.devnull, "wb") as nowhere:
            done = subprocess.run(command, stdout=nowhere, stderr=subprocess.PIPE, text=True, cwd=folder, check=False)
        seconds = time.perf_counter() - began
    peak = re.search(r"^peak (\d+)$", done.stderr, re.MULTILINE)
    counts = re.search(r"URLs?: ([\d,]+) ok, ([\d,]+) failed", done.stderr)
    ok, failed = (int(count.replace(",", "")) for count in counts.groups()) if counts else (0, 0)
    return _Outcome(
        int(peak[1]) / 1000 if peak else float("inf"), rows, ok, failed, done.returncode, seconds, done.stderr
    )


def _chosen(words: list[str]) -> list[_Cell]:
    """The cells that the arguments choose."""
    if not words:
        return _short()
    named = [word for word in words if word not in ("all", "short")]
    cells = _short() if "short" in words else _all()
    return [cell for cell in cells if all(word in cell.name.split() or word in cell.hostile for word in named)]


def main(words: list[str]) -> int:
    cells = _chosen(words)
    if not cells:
        print(f"there is no such cell; there are {', '.join([*SERVERS, *LISTS])}; {', '.join(WAYS)}", file=sys.stderr)
        return 2
    missed = 0
    with child([sys.executable, hostile_serving.__file__], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base = server.stdout.readline().strip()
        head = f"{'hostile':<24} {'results':<13} {'mode':<8} {'rows':>7} {'ok':>7} {'failed':>7} {'peak MB':>7} seconds"
        print(f"{head} (bound {BOUND} MB, {WORKERS} workers)")
        for cell in cells:
            outcome = _run(cell, base, short="all" not in words)
            missed += outcome.verdict != "kept"
            print(
                f"{cell.hostile:<24} {cell.way:<13} {cell.mode:<8} {outcome.rows:7} {outcome.ok:7} {outcome.failed:7} "
                f"{outcome.peak:7.0f} {outcome.seconds:7.1f} {outcome.verdict}",
                flush=True,
            )
            if outcome.verdict.startswith("ENDED") or os.environ.get("FETCHQ_BENCH_SAY"):
                print("    " + "\n    ".join(outcome.said.strip().splitlines()[-6:]), flush=True)
    print(f"{len(cells) - missed} of {len(cells)} within the bound")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
