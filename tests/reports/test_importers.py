"""HAR and trace, in the programs that they are for: a validator, Chromium's developer tools and Perfetto.

Needs Chromium and, in an environment of its own (`scripts/setup browser`), playwright, which drives it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.servers import ScriptServer, answer, by_path, closed_port, late

from fetchq import Request, fetch_all_sync

IMPORT = Path(__file__).parent.parent / "support" / "import_files.py"


def by_milliseconds(entry: dict[str, Any]) -> datetime:
    when = datetime.fromisoformat(entry["startedDateTime"])
    return when.replace(microsecond=when.microsecond // 1000 * 1000)


def test_a_validator_and_chromium_take_the_har_and_perfetto_the_trace(engine_mode: str, tmp_path: Path) -> None:
    python, chromium = os.environ.get("FETCHQ_BROWSER"), shutil.which("chromium")
    if python is None or chromium is None:
        assert not os.environ.get("FETCHQ_REQUIRE_ALL"), (
            "FETCHQ_BROWSER names no Python with playwright, or no Chromium"
        )
        pytest.skip("FETCHQ_BROWSER names no Python with playwright, or there is no Chromium")
    har, trace = tmp_path / "a.har", tmp_path / "a.json"
    script = by_path(
        {
            "/a": answer(b"moved", b"Location: /b", b"Set-Cookie: a=1; Path=/", status=b"302 Found"),
            "/b": late(0.05),
            "/busy": answer(b"no", status=b"503 Busy"),
        }
    )
    with ScriptServer(script) as server, closed_port() as closed:
        paths = ("/a", "/b?q=[1]&r=%20x", "/busy", "/\u00fc")
        urls = [*(server.url + path for path in paths), closed, Request(server.url, method="POST", body=b"x" * 9)]
        fetch_all_sync(urls, mode=engine_mode, workers=2, retries=1, retry_wait=0, har=har, trace=trace)
    done = subprocess.run(
        [python, str(IMPORT), chromium, str(har), str(trace)], capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["invalid"] == []

    entries = json.loads(har.read_bytes())["log"]["entries"]
    assert len(entries) == len(found["imported"]) == 9
    entries.sort(key=by_milliseconds)  # as Chromium does
    for entry, one in zip(entries, found["imported"], strict=True):
        assert (one["url"], one["status"]) == (entry["request"]["url"], entry["response"]["status"])
        assert one["time"] == pytest.approx(entry["time"], abs=0.001)
        assert one["size"] == max(0, entry["response"]["bodySize"])

    opened = found["opened"]
    assert opened["problems"] == []
    spans = {one["category"]: one for one in opened["spans"]}
    assert {name: int(one["number"]) for name, one in spans.items() if name != "phase"} == {"row": 8, "hop": 2}
    assert (spans["row"]["depth"], spans["hop"]["depth"], spans["phase"]["depth"]) == ("0", "1", "1")
    assert int(spans["phase"]["ns"]) == pytest.approx(int(spans["row"]["ns"]), abs=20_000)  # all are whole microseconds
    assert {one["name"] for one in opened["threads"]} <= {"worker 1", "worker 2"}
    assert 1 <= float(opened["counter"][0]["most"]) <= 2
