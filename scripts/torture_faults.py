"""Failing one call to the operating system after the other under a durable run: `scripts/torture faults`."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torture
from torture_runner import KINDS, Ended, Runner, library

SAVES = torture.SAVES
ERRORS = (("EIO", False), ("ENOSPC", False), ("EIO", True), ("ENOSPC", True))
"""Which, and whether it goes on for ever."""
ROWS = 12
GIVEN = 2
"""So many of them are arguments; the others are in a file."""
MOST_WRONG = 5
"""After so many no more is tried."""
STORE = "cause = 'store'"
STAGES = ("begin", "pipe", "resume", "retry")
"""What is being done when the call fails; "pipe" begins a run, too."""


class Broken(Exception):
    """A run did what it must not."""


class Case:
    """One run, with one fault, and what comes after it."""

    def __init__(
        self, run: Runner, server: torture.Server, folder: Path, save: str, mode: str, stage: str = "begin"
    ) -> None:
        self._run = run
        self._server = server
        self._folder = folder
        self._save = save
        self._stage = stage
        urls = folder.with_suffix(".txt")
        rows = [f"{server.url}/{number}.txt" for number in range(ROWS)]
        urls.write_text("\n".join(rows[:-GIVEN]))
        self._options = ["-q", "-w", "3", "--retries", "0", "--mode", mode]
        self._stdin = str(urls) if stage == "pipe" else os.devnull
        self._begin = [
            "-" if stage == "pipe" else str(urls),
            *rows[-GIVEN:],
            "-o",
            str(folder),
            *torture.NAMED.get(save, ("--save", save)),
            *self._options,
        ]

    def __call__(self, fault: Sequence[Any]) -> tuple[str, int]:
        """How it ended, in a word, and how many calls there were. Raises `Broken`, AssertionError."""
        command = self._begin
        if self._stage == "resume":
            self._run(*self._begin, below=self._folder, fault=("write", 33, "ENOSPC", True))  # it ends half way
            command = ["resume", str(self._folder), *self._options]
        elif self._stage == "retry":
            self._run(*self._begin, below=self._folder)
            command = ["retry", str(self._folder), "--where", '"index" % 3 = 0', *self._options]
        self._server.settle()  # what the session before was still asking for is not this one's
        before = self._server.served.total()
        ended = self._run(*command, below=self._folder, fault=fault, stdin=self._stdin)
        how = self._judged(ended, self._server.served.total() > before)
        sound(self._folder, self._save)
        if how == "harmless":
            self._check(swept=fault[0] != "other")
        self._go_on()
        return how, ended.calls

    def _check(self, *, swept: bool = True) -> None:
        if self._stage != "retry":  # what a row was before stays beside what it is
            exact(self._folder, self._save, swept=swept)
            return
        sound(self._folder, self._save)
        records = select(self._folder, 'SELECT "index", ok FROM records ORDER BY "index"')
        assert records == [(row, int(row != 7)) for row in range(ROWS)]
        assert not select(self._folder, "SELECT * FROM again")

    def _judged(self, ended: Ended, fetched: bool) -> str:
        if ended.status == -signal.SIGALRM:
            raise Broken(f"it hangs: {ended.said}")
        if "Traceback" in ended.said or ended.status not in (0, 1, 2, 3):
            raise Broken(f"exit {ended.status}: {ended.said}")
        if ended.status > 1 and not ended.said.startswith("fetchq: "):
            raise Broken(f"exit {ended.status}, and it does not say why: {ended.said!r}")
        if ended.status == 3:
            return "status 3"
        if ended.status == 2:
            if fetched:
                raise Broken(f"exit 2, though something was fetched: {ended.said}")
            return "status 2"
        if select(self._folder, f"SELECT 1 FROM records WHERE {STORE}"):
            if ended.status == 0:
                raise Broken("exit 0, though a row is `store`")
            return "store"
        return "harmless"

    def _go_on(self) -> None:
        """Without a fault it comes to an exact end."""
        ended = Ended(2, "there is no run", 0)
        if self._stage != "pipe":  # not all of it may have come in
            ended = self._run("resume", str(self._folder), *self._options, below=self._folder)
        if ended.status == 2 and ("there is no run" in ended.said or "begin it anew" in ended.said):
            ended = self._run(*self._begin, "--resume", below=self._folder, stdin=self._stdin)
        if ended.status == 1 and select(self._folder, f"SELECT 1 FROM records WHERE {STORE}"):
            ended = self._run("retry", str(self._folder), *self._options, below=self._folder)
            if ended.status == 0:
                ended = ended._replace(status=1)  # the 404 is none of its rows
        if ended.status != 1:
            raise Broken(f"it cannot go on, exit {ended.status}: {ended.said}")
        self._check()


def select(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    if not (folder / "run.db").exists():
        return []
    with closing(sqlite3.connect(folder / "run.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        return connection.execute(sql).fetchall() if "records" in tables else []


def sound(folder: Path, save: str) -> None:
    """What has been kept is whole, whatever is still to do. Raises AssertionError."""
    if save == "files" and (folder / "bodies").is_dir():
        for path in (folder / "bodies").rglob("*-*"):
            assert path.read_bytes() == torture.body_of(int(path.name.split("-")[0].split("~")[0])), path.name
    for index, ok, path, sha256 in select(folder, 'SELECT "index", ok, path, sha256 FROM records'):
        body = torture.body_of(index)
        if path is None:
            assert not ok or not body or save == "none", f"row {index} is ok, and has no body"
            continue
        assert hashlib.sha256(body).hexdigest() == sha256
        assert body_at(folder, path, save) == body, f"row {index}"


def body_at(folder: Path, path: str, save: str) -> bytes:
    name, _, at = path.partition("#")
    if save not in ("warc", "parquet"):
        return (folder / name).read_bytes()
    if save == "parquet":
        from pyarrow import parquet

        (body,) = parquet.read_table(folder / name, columns=["body"]).slice(int(at), 1)["body"].to_pylist()
        return bytes(body)
    from warcio.archiveiterator import ArchiveIterator

    with (folder / name).open("rb") as file:
        file.seek(int(at))
        return bytes(next(iter(ArchiveIterator(file, check_digests="raise"))).content_stream().read())


def exact(folder: Path, save: str, *, swept: bool = True) -> None:
    """`torture.check`, and nothing is there that does not belong. Raises AssertionError."""
    torture.check(folder, ROWS, save, swept=swept)
    names = {one.name for one in folder.iterdir()}
    if save != "flat":  # `check` has found no other files there
        known = {"run.db", "lock", "tmp", "input"}
        known |= {"files": {"bodies"}, "named": {"bodies", "files"}}.get(save, {save})
        assert names <= known or not swept, f"strays: {names - known}"
    inputs = {"0", "1.jsonl"}
    assert {one.name.removesuffix(".sha256") for one in (folder / "input").iterdir()} <= inputs


class Workshop(NamedTuple):
    """What the cases need."""

    root: Path
    run: Runner
    server: torture.Server


@contextmanager
def opened(root: Path) -> Iterator[Workshop]:
    """Raises OSError where there is no gcc."""
    run = Runner(library(root))
    server = torture.Server()
    try:
        yield Workshop(root, run, server)
    finally:
        server.close()
        run.close()


def every(workshop: Workshop, save: str, kind: str, stage: str) -> bool:
    """Each call of that kind fails, in every way. Prints what became of it, and returns whether all was well."""
    well = True
    for mode, error, forever in [("async", *one) for one in ERRORS] + [("threads", "EIO", False)]:
        if kind == "short" and error != "EIO":
            continue
        found = each(workshop, save, kind, stage, mode, error, forever, step=1 if mode == "async" else 5)
        well = well and not found["WRONG"]
        ends = ", ".join(f"{number} {how}" for how, number in sorted(found.items()))
        which = f"{kind}{'' if kind == 'short' else f' {error}'}{' from there on' if forever else ''}"
        print(f"{stage} --save {save} --mode {mode} {which}: {found.total()} places: {ends}", flush=True)
    return well


def each(
    workshop: Workshop, save: str, kind: str, stage: str, mode: str, error: str, forever: bool, *, step: int
) -> Counter[str]:
    """How often what became of it when one call failed after the other."""
    found: Counter[str] = Counter()
    at, beyond = 1, 0
    while beyond < 3 and found["WRONG"] < MOST_WRONG:  # the calls of two runs are not quite the same
        folder = Path(tempfile.mkdtemp(prefix=f"{stage}-{save}-{kind}-{at}-", dir=workshop.root)) / "run"
        fault = (kind, at, error, forever)
        try:
            how, calls = Case(workshop.run, workshop.server, folder, save, mode, stage)(fault)
        except (AssertionError, Broken, OSError) as problem:
            print(f"{stage} --save {save} --mode {mode} {fault}: {problem!r}", file=sys.stderr)
            print(f"see {folder}", file=sys.stderr, flush=True)
            how, calls = "WRONG", at
        else:
            shutil.rmtree(folder.parent)
        if calls >= at:
            found[how] += 1
        else:
            beyond += step
        at += step
    return found


def main(arguments: list[str]) -> int:
    root = Path(tempfile.mkdtemp(prefix="fetchq-torture-"))
    kinds, saves, stages = (
        [one for one in arguments if one in known] or list(known) for known in (KINDS, SAVES, STAGES)
    )
    if unknown := set(arguments) - {*kinds, *saves, *stages}:
        print(f"not known: {' '.join(unknown)}", file=sys.stderr)
        return 2
    with opened(root) as workshop:
        well = [every(workshop, save, kind, stage) for stage in stages for save in saves for kind in kinds]
    if all(well):
        shutil.rmtree(root)
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
