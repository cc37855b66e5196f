"""Hurting durable runs; `scripts/torture` says how, and sets up what it needs."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MOST_KILLS = 12
"""Of one run; after that it may end."""
FETCHQ = [sys.executable, "-m", "fetchq"]
SMALLER = {
    "warc": "import fetchq.store.sinks.bodies_warc as store; store.FILE_SIZE = 100_000",
    "parquet": "import fetchq.store.sinks.bodies_parquet as store; store.PART_SECONDS = 0.2",
}
"""Else no kill would meet the change from one archive file to the next, or come after a part that is whole."""
PROGRAMS = {
    save: [sys.executable, "-c", f"{code}; import fetchq.__main__ as program; program.main()"]
    for save, code in SMALLER.items()
}
SIZES = (0, 1, 100, 1_000, 20_000, 70_000, 300_000)
"""Bytes of bodies: what stays in memory on its way, and what does not."""


def body_of(number: int) -> bytes:
    size = SIZES[number % len(SIZES)] if number % 50 in (5, 6) else SIZES[number % 4]
    return (hashlib.sha256(str(number).encode()).digest() * (size // 32 + 1))[:size]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _CountingServer

    def do_GET(self) -> None:
        number = int(self.path.strip("/").partition(".")[0])
        body = body_of(number)
        with self.server.changed:
            self.server.served[number] += 1
        self.send_response(404 if number % 97 == 7 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _CountingServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        self.served: Counter[int] = Counter()
        self.changed = threading.Condition()
        self.connections = 0
        super().__init__(("", 0), _Handler)  # on all addresses of the loopback, which are many hosts

    def process_request(self, *given: Any) -> None:
        with self.changed:
            self.connections += 1
        super().process_request(*given)

    def shutdown_request(self, *given: Any) -> None:
        super().shutdown_request(*given)
        with self.changed:
            self.connections -= 1
            self.changed.notify_all()

    def handle_error(self, *_: object) -> None:
        """A client that was killed."""


class Server:
    """Serves bodies of many sizes, and counts how often each was asked for."""

    def __init__(self) -> None:
        self._server = _CountingServer()
        self.served = self._server.served
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def settle(self) -> None:
        """Wait until all is counted that processes had asked for which have ended."""
        with socket.create_connection(("127.0.0.1", self._server.server_port)) as last:
            last.shutdown(socket.SHUT_WR)
            last.recv(1)  # they are accepted in turn: so are those before it
        with self._server.changed:
            self._server.changed.wait_for(lambda: self._server.connections == 0)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def committed(folder: Path) -> set[int]:
    """The rows that the ledger has, read as anybody would."""
    ledger = folder / "run.db"
    if not ledger.exists():
        return set()
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        try:
            return {row for (row,) in connection.execute('SELECT "index" FROM records')}
        except sqlite3.OperationalError:
            return set()  # it was killed before the ledger was made


def check(folder: Path, rows: int, save: str, *, swept: bool = True) -> None:
    """One record for each row, its body whole, and nothing else. Raises AssertionError."""
    with closing(sqlite3.connect(folder / "run.db")) as connection:
        records = connection.execute(
            'SELECT "index", sha256, path, size, status FROM records ORDER BY "index"'
        ).fetchall()
    assert [record[0] for record in records] == list(range(rows)), f"{len(records)} records of {rows}"
    for index, sha256, _, size, _ in records:
        body = body_of(index)
        assert (sha256, size) == (hashlib.sha256(body).hexdigest(), len(body)), f"row {index}"
    assert not swept or not list((folder / "tmp").iterdir()), "temporary files"
    CHECKS[save](folder, records)


def check_files(folder: Path, records: list[tuple[int, str, str | None, int, int]]) -> None:
    paths = {path for _, _, path, _, _ in records if path is not None}
    for index, _, path, size, _ in records:
        assert (path is None) == (size == 0), f"row {index}"
        assert path is None or (folder / path).read_bytes() == body_of(index), f"row {index}"
    found = {str(one.relative_to(folder)) for one in (folder / "bodies").rglob("*") if one.is_file()}
    assert found == paths, f"files without a record: {sorted(found - paths)[:3]}"


def check_warc(folder: Path, records: list[tuple[int, str, str | None, int, int]]) -> None:
    from warcio.archiveiterator import ArchiveIterator

    responses: dict[str, int] = {}
    requests = set()
    for path in sorted((folder / "warc").iterdir()):
        with path.open("rb") as file:
            archive = ArchiveIterator(file, check_digests="raise")
            for record in archive:
                headers = record.rec_headers
                body = record.content_stream().read()
                place = f"warc/{path.name}#{archive.get_record_offset()}"  # before the body, it would throw that away
                if record.rec_type == "response":
                    number = int(headers.get_header("WARC-Target-URI").rpartition("/")[2].partition(".")[0])
                    assert body == body_of(number), f"row {number}"
                    assert place not in responses
                    responses[place] = number
                    identity = headers.get_header("WARC-Record-ID")
                elif record.rec_type == "request":
                    assert headers.get_header("WARC-Concurrent-To") == identity
                    requests.add(identity)
    assert responses == {path: index for index, _, path, _, _ in records}, "responses and records differ"
    assert len(requests) == len(records), f"{len(requests)} requests"


def check_parquet(folder: Path, records: list[tuple[int, str, str | None, int, int]]) -> None:
    from pyarrow import parquet

    found: dict[str, int] = {}
    for path in sorted((folder / "parquet").iterdir()):
        table = parquet.read_table(path, columns=["index", "path", "body", "cause"])
        for at, row in enumerate(table.to_pylist()):
            if row["cause"] == "store":  # what it became when it was fetched again is in another row
                assert row["path"] is row["body"] is None
                continue
            assert row["path"] == f"parquet/{path.name}#{at}"
            assert row["body"] == body_of(row["index"]), f"row {row['index']}"
            found[row["path"]] = row["index"]
    assert found == {path: index for index, _, path, _, _ in records}, "rows and records differ"


OWN = {"run.db", "run.db-wal", "run.db-shm", "lock", "tmp", "input", "parts", "bodies", "files"}
"""What a folder has beside bodies that lie flat in it."""
NAMED = {
    "named": ("--name", "{host}/same{ext}"),
    "flat": ("--output-flat", "--name", "{sha256:.1}.txt"),
}
"""Options by which bodies as files get names of the user's own; nearly all of these are taken, and need a number."""


def check_named(folder: Path, records: list[tuple[int, str, str | None, int, int]]) -> None:
    paths = {path for _, _, path, _, _ in records if path is not None}
    assert len(paths) == sum(size > 0 for _, _, _, size, _ in records), "two bodies have one name"
    for index, _, path, size, status in records:
        assert (path is None) == (size == 0), f"row {index}"
        assert path is None or (folder / path).read_bytes() == body_of(index), f"row {index}"
        assert path is None or path.startswith("bodies/") == (status != 200), f"row {index}"
    found = {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}
    strays = {one for one in found - paths if one.partition("/")[0] not in OWN or one.startswith(("bodies/", "files/"))}
    assert not strays, f"files without a record: {sorted(strays)[:3]}"


CHECKS = {
    "files": check_files,
    "warc": check_warc,
    "parquet": check_parquet,
    "none": lambda *_: None,
    "named": check_named,
    "flat": check_named,
}

SAVES = ("files", "named", "flat", "warc", "parquet")


def one_run(server: Server, folder: Path, rows: int, save: str, chance: random.Random) -> int:
    """Run, kill, resume, until it ends by itself. Returns how often it was killed. Raises AssertionError."""
    urls = folder.with_suffix(".txt")
    urls.write_text("".join(f"{server.url}/{number}.txt\n" for number in range(rows)))
    program = PROGRAMS.get(save, FETCHQ)
    begin = [
        *program,
        str(urls),
        "-o",
        str(folder),
        *NAMED.get(save, ("--save", save)),
        "--resume",
        "-q",
        "-w",
        "20",
        "--mode",
    ]
    kills = 0
    while True:
        before, served = committed(folder), Counter(server.served)
        mode = chance.choice(["async", "async", "threads"])
        command = [*program, "resume", str(folder), "-q", "--mode", mode] if before else [*begin, mode]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if kills < MOST_KILLS and killed(process, server, rows, chance):
            process.communicate()
            kills += 1
            said = None
        else:
            _, said = process.communicate(timeout=300)
        again = [row for row in before if server.served[row] > served[row]]
        assert not again, f"rows that were done, and fetched again: {again[:5]}"
        if said is not None:
            assert process.returncode == 1, f"exit {process.returncode}: {said}"  # some are 404
            check(folder, rows, save)
            return kills


def killed(process: subprocess.Popen[str], server: Server, rows: int, chance: random.Random) -> bool:
    """Kill it at some instant: just begun, or when it has fetched some more. False when it has ended before."""
    enough = server.served.total() + chance.randint(0, rows // 3)
    begun = time.monotonic() + chance.uniform(0.0, 0.4)
    early = chance.random() < 0.2
    while time.monotonic() < begun if early else server.served.total() < enough:
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    time.sleep(chance.uniform(0.0, 0.3))  # somewhere between two commits
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def kill(runs: int, rows: int = 2000, saves: tuple[str, ...] = SAVES) -> int:
    server = Server()
    root = Path(tempfile.mkdtemp(prefix="fetchq-torture-"))
    chance = random.Random(int(os.environ.get("SEED", time.time_ns())))
    try:
        for save in saves:
            kills = []
            for number in range(runs):
                server.served.clear()
                folder = root / f"{save}-{number}"
                try:
                    kills.append(one_run(server, folder, rows, save, chance))
                except AssertionError as problem:
                    print(f"--save {save}, run {number}: {problem}; see {folder}", file=sys.stderr)
                    return 1
                shutil.rmtree(folder)
            print(f"--save {save}: {runs} runs of {rows} URLs, {sum(kills)} kills, all exact", flush=True)
    finally:
        server.close()
    shutil.rmtree(root)
    return 0


def main(arguments: list[str]) -> int:
    runs = int(arguments[0]) if arguments else 100
    return kill(runs, saves=tuple(arguments[1:]) or SAVES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
