"""Runs a golden case, each of its commands as a person types it, and writes down what can be seen of it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from string import Template
from typing import NamedTuple

from support.servers import closed_port

from fetchq.store.schema import CHECKED
from golden.cases import Case
from golden.mask import masked, with_escapes
from golden.server import PATIENCE, RawServer

__all__ = ["played", "practice_server"]

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").is_file())
_KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "VIRTUAL_ENV")
"""What of the environment the commands get: nothing that fetchq, click or a proxy would look at."""
_SQL = """
import sqlite3, sys
from fetchq.store.schema import CHECKED, checksum_of
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.executescript(sys.argv[2])
for table in CHECKED:
    rows = connection.execute(f"SELECT * FROM {table}").fetchall()
    connection.execute(f"DELETE FROM {table}")
    for *values, _ in rows:
        marks = ", ".join("?" * (len(values) + 1))
        connection.execute(f"INSERT INTO {table} VALUES ({marks})", (*values, checksum_of(values)))
connection.close()
"""
_TOOLS = {
    "fetchq": '#!/bin/sh\nexec "$PYTHON" -W error -m fetchq "$@"\n',
    "sql": f'#!/bin/sh\nexec "$PYTHON" -c \'{_SQL}\' "$@"\n',
}
_A_MOMENT = 1.0
"""Seconds after which a signal without effect is sent again: CPython may not see one that comes at a bad moment."""
_LONG = 300
"""Bytes of a body beyond which only its SHA-256 is shown."""


class _Ended(NamedTuple):
    status: int
    out: bytes
    err: bytes


def environment(folder: Path) -> dict[str, str]:
    """For the processes of a case: a home of their own, and the fetchq beside these tests, wherever they are."""
    ours = {"HOME": str(folder / "home"), "XDG_CONFIG_HOME": str(folder / "home" / "config"), "TERM": "xterm"}
    ours |= {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | ours


@contextmanager
def practice_server(folder: Path) -> Iterator[str]:
    """`fetchq serve` in a process of its own: the URL that it says it has."""
    command = [sys.executable, "-m", "fetchq", "serve", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    with process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().decode().strip()
        finally:
            process.terminate()


def played(case: Case, folder: Path, web: str | None) -> str:
    """What the golden file of a case holds, as it is today. `web` is the practice server, where the case needs it."""
    with RawServer() as server, closed_port() as closed:
        urls = {"RAW": server.url, "CLOSED": closed} | ({} if web is None else {"WEB": web})
        work = folder / "work"
        work.mkdir()
        names = {str(work): "<folder>", os.path.realpath(work): "<folder>"}
        for name, content in case.files.items():
            raw = content if isinstance(content, bytes) else Template(content).substitute(urls).encode()
            raw = gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw
            (work / name).write_bytes(raw)
            names[hashlib.sha256(raw).hexdigest()] = f"<SHA-256 of {name}>"
        (folder / "home").mkdir()
        tools = folder / "tools"
        tools.mkdir()
        for name, script in _TOOLS.items():
            (tools / name).write_text(script)
            (tools / name).chmod(0o755)
        env = environment(folder) | urls
        env["PATH"] = f"{tools}{os.pathsep}{env.get('PATH', os.defpath)}"
        ports = {int(url.rpartition(":")[2]): f"<{name.lower()}>" for name, url in urls.items()}
        parts = []
        for number, command in enumerate(case.commands):
            ended = _run(command, work, env, server if case.interrupted and number == 0 else None)
            parts += [f"$ {command}\n", f"exit status {ended.status}\n"]
            out, err = (masked(_readable(stream), names, ports) for stream in (ended.out, ended.err))
            parts += _section("stdout", "".join(sorted(out.splitlines(keepends=True))) if case.unordered else out)
            parts += [*_section("stderr", err), "\n"]
        parts += [masked("".join(_folder(work, name)), names, ports) for name in case.shown]
    return "".join(parts)


# --- running ---------------------------------------------------------------------------------------------------------


def _run(command: str, work: Path, env: dict[str, str], interrupting: RawServer | None) -> _Ended:
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=work,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        umask=0o022,
    )
    with process:
        try:
            said = b"" if interrupting is None else _interrupt(process, interrupting)
            out, err = process.communicate(timeout=PATIENCE)
        except BaseException:  # whatever it is, raised again
            process.kill()
            raise
    return _Ended(process.returncode, out, said + err)


def _interrupt(process: subprocess.Popen[bytes], server: RawServer) -> bytes:
    """Press Ctrl-C once /hold was asked for, and again once the run has said that it stops; returns what it said."""
    assert process.stderr is not None
    assert server.held.wait(PATIENCE)
    said = b""
    while b"stopping: " not in said:
        process.send_signal(signal.SIGINT)
        while b"stopping: " not in said and select.select([process.stderr], [], [], _A_MOMENT)[0]:
            piece = os.read(process.stderr.fileno(), 65536)
            if not piece:
                return said
            said += piece
    while True:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_A_MOMENT)
        except subprocess.TimeoutExpired:
            continue
        server.released.set()
        return said


# --- what is written down --------------------------------------------------------------------------------------------


def _readable(content: bytes) -> str:
    return with_escapes(content.decode(errors="backslashreplace"))


def _section(title: str, text: str) -> list[str]:
    """A part of the golden file, if there is anything in it."""
    return [f"--- {title}\n", text, "" if text.endswith("\n") else "<no newline>\n"] if text else []


def _folder(work: Path, name: str) -> list[str]:
    """All that a durable run has kept: its files with their rights, what is in them, and the ledger's tables."""
    parts = [f"=== {name}\n"]
    files = sorted(path for path in (work / name).rglob("*"))
    for path in files:
        kind = "d" if path.is_dir() else "-"
        rights = "" if path.name == "lock" else f"{path.stat().st_mode & 0o777:o}"
        parts.append(f"{kind}{rights:>4} {path.relative_to(work)}\n")
    for path in files:
        shown = str(path.relative_to(work))
        if path.name == "run.db":
            parts += _ledger(path, shown)
        elif path.name.endswith(".warc.gz"):
            parts += _section(shown, _readable(gzip.decompress(path.read_bytes())))
        elif path.name.endswith(".parquet"):
            parts += _parquet(path, shown)
        elif path.is_file() and path.name not in ("lock", "run.db-shm", "run.db-wal") and path.suffix != ".sha256":
            content = path.read_bytes()
            if len(content) > _LONG:
                content = f"{len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}\n".encode()
            parts += _section(shown, _readable(content))
    return [*parts, "\n"]


def _ledger(path: Path, name: str) -> list[str]:
    parts = [f"--- {name}\n"]
    with closing(sqlite3.connect(path)) as connection:
        pragmas = ("application_id", "user_version")
        parts += [f"{pragma} {connection.execute(f'PRAGMA {pragma}').fetchone()[0]}\n" for pragma in pragmas]
        for table, sql in connection.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name"):
            parts.append(f"{with_escapes(sql)}\n")
            if sql.startswith("CREATE TABLE"):
                rows = connection.execute(f'SELECT * FROM "{table}" ORDER BY 1').fetchall()
                rows = [row[:-1] for row in rows] if table in CHECKED else rows  # they follow from the rest
                parts += [f"  {json.dumps(row, ensure_ascii=False)}\n" for row in rows]
    return parts


def _parquet(path: Path, name: str) -> list[str]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    rows = [json.dumps(row, ensure_ascii=False, default=_plain) for row in table.to_pylist()]
    return [f"--- {name}\n", f"{table.schema.to_string(show_schema_metadata=False)}\n", *(f"  {row}\n" for row in rows)]


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return str(value).replace(" ", "T").replace("+00:00", "Z")  # a moment, as the records have it
