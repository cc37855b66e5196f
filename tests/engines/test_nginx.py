"""The main job against a server that is not ours."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from faults.wire import Asked, Connection
from measuring import SIZE, child, server, url_of, wait_for, write_list
from support.servers import Script, ScriptServer

from fetchq import fetch_all_sync
from fetchq.cli.practice.bodies import blocks
from fetchq.http.range_resume import MIN_RESUMED

COUNT = 2_000
VARIES = ("mode", "worker", "started", "elapsed", "timing", "remote")


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    if not shutil.which("nginx"):
        assert not os.environ.get("FETCHQ_REQUIRE_ALL"), "nginx is missing"
        pytest.skip("nginx is not installed")
    with server() as url:
        yield url


def records(base: str, folder: Path, *options: str) -> list[dict[str, object]]:
    urls = write_list(folder / "urls.txt", base, COUNT)
    command = [sys.executable, "-m", "fetchq", str(urls), "--json", *options]
    done = subprocess.run(command, capture_output=True, check=True)
    return sorted((json.loads(line) for line in done.stdout.splitlines()), key=lambda record: record["index"])


@pytest.mark.parametrize("workers", ["2", "64"])
def test_every_url_gets_one_record_with_the_right_size_and_hash(base: str, workers: str, tmp_path: Path) -> None:
    found = records(base, tmp_path, "--workers", workers)
    assert [record["index"] for record in found] == list(range(COUNT))
    for number, record in enumerate(found):
        body = b"".join(blocks(SIZE, str(number)))
        assert record["url"] == url_of(base, number)
        assert record["ok"] is True
        assert record["complete"] == "yes"
        assert record["size"] == record["wire_size"] == SIZE
        assert record["sha256"] == hashlib.sha256(body).hexdigest()


def test_the_three_modes_give_the_same_records(base: str, tmp_path: Path) -> None:
    by_mode = [records(base, tmp_path, "--workers", "8", "--mode", mode) for mode in ("async", "threads", "sync")]
    for found in by_mode:
        for record in found:
            for name in VARIES:
                del record[name]
    assert by_mode[0] == by_mode[1] == by_mode[2]


def relay(base: str, cut: int) -> Script:
    """What stands before a server, and breaks the first answer off after so many bytes."""
    host, _, port = base.removeprefix("http://").strip("/").partition(":")

    def play(conn: Connection, asked: Asked) -> None:
        most = cut if len(conn.server.log) == 1 else sys.maxsize
        lines = [f"{asked.method} {asked.target} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.headers)]
        with socket.create_connection((host, int(port))) as far:
            far.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
            while most and (data := far.recv(min(65536, most))):
                conn.send(data)
                most -= len(data)
        conn.close()

    return play


@pytest.fixture(scope="module")
def folder_served() -> Iterator[tuple[Path, str]]:
    """A folder that nginx serves, and the URL."""
    if not shutil.which("nginx"):
        assert not os.environ.get("FETCHQ_REQUIRE_ALL"), "nginx is missing"
        pytest.skip("nginx is not installed")
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as free:
        folder, port = Path(name), free.getsockname()[1]
        folder.chmod(0o755)  # nginx gives up its rights before it reads
        (folder / "up").touch()
        (folder / "nginx.conf").write_text(
            f"worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{ }}\n"
            f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
            f"fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n"
            f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
        )
        free.close()
        with child(["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]) as process:
            wait_for(f"http://127.0.0.1:{port}/up", process)
            yield folder, f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("changes", [False, True])
def test_a_download_that_breaks_off_is_gone_on_with_unless_the_file_has_changed(
    mode: str, changes: bool, folder_served: tuple[Path, str]
) -> None:
    folder, base = folder_served
    old, new = (Random(seed).randbytes(2 * MIN_RESUMED) for seed in (1, 2))
    file = folder / f"{mode}-{changes}"
    file.write_bytes(old)

    def on_start(*_: object) -> None:
        if changes and len(front.log) == 1:
            file.with_suffix(".new").write_bytes(new + b"!")
            file.with_suffix(".new").replace(file)

    with ScriptServer(relay(base, MIN_RESUMED + 700_000)) as front:
        (result,) = fetch_all_sync([f"{front.url}/{file.name}"], mode=mode, retry_wait=0, on_start=on_start)
    assert (result.ok, result.status, result.attempts) == (True, 200, 2)
    assert result.body == (new + b"!" if changes else old)
    first, second = front.log
    assert first.header("Range") is None
    assert int((second.header("Range") or "").removeprefix("bytes=").removesuffix("-")) > MIN_RESUMED
    assert sum(front.sent.values()) < (4 if changes else 2.5) * MIN_RESUMED
