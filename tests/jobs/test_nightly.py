"""A job: the same command every night, from cron, whose exit status and log say how the night went."""

from __future__ import annotations

import re

from faults.wire import Asked, Connection
from support.cli import Cli
from support.servers import ScriptServer, answer

from fetchq import open_run

PAGES = 20


def test_a_nightly_job_works_from_its_first_night_on(cli: Cli) -> None:
    night = 1

    def site(conn: Connection, asked: Asked) -> None:
        """Page 3 changes in the second night, page 4 is gone then; in the third night page 5 does not answer."""
        number = int(asked.path[1:])
        version = b'"2"' if number == 3 and night > 1 else b'"1"'
        if night == 3 and number == 5:
            conn.hang()
        elif number == 4 and night > 1:
            answer(status=b"404 Not Found")(conn, asked)
        elif asked.header("If-None-Match") == version.decode():
            answer(b"", b"ETag: " + version, status=b"304 Not Modified")(conn, asked)
        else:
            answer(b"page %d, %b" % (number, version), b"ETag: " + version)(conn, asked)

    with ScriptServer(site) as server:
        cli.write("urls.txt", "".join(f"{server.url}/{number}\n" for number in range(PAGES)))

        def run(*more: str, into: int) -> tuple[int, str, str]:
            folders = ["-o", f"night-{into}", "--resume", "--refresh", f"night-{into - 1}"]
            done = cli("urls.txt", *folders, "--only", "failed", "-q", "--log-file", "nightly.log", "-w", "1", *more)
            return done.status, done.text, done.said

        status, shown, said = run(into=1)
        assert (status, shown) == (0, "")
        assert "night-0' to refresh" in said

        night = 2
        status, shown, said = run(into=2)
        assert (status, said) == (1, "")
        assert re.fullmatch(r" +404 .* http://\S+/4 .*\n", shown)

        night = 3
        status, shown, said = run("--deadline", "1s", into=3)
        assert status == 4
        assert "go on with: fetchq resume night-3" in said
        night = 4  # the page answers again
        assert run("--deadline", "1h", into=3)[0] == 1

    for folder, ok in (("night-1", 20), ("night-2", 19), ("night-3", 19)):
        with open_run(folder) as run_:
            results = list(run_)
        assert [result.index for result in results] == list(range(PAGES))
        assert sum(result.ok for result in results) == ok
    log = (cli.folder / "nightly.log").read_text()
    assert re.findall(r"ends with exit status (\d)", log) == ["0", "1", "4", "1"]
    assert all(re.match(r"\d{4}-\d\d-\d\d.*(INFO|WARNING|ERROR)", line) for line in log.splitlines())
