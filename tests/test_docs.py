"""What the README shows works, and it leaves out no command, field or cause."""

from __future__ import annotations

import gzip
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fetchq.cli import cli
from fetchq.cli.fetch import command as fetch
from fetchq.cli.serve import command as serve
from fetchq.model import PHASES, RECORD_FIELDS, Cause
from fetchq.server import PracticeServer

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLE = "http://localhost:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, practice: PracticeServer) -> Path:
    """The files that the README's commands read."""
    urls = [f"{practice.url}/{path}" for path in ("json", "html", "bytes/10")]
    (tmp_path / "urls.txt").write_text("# three\n\n" + "\n".join(urls))
    (tmp_path / "pages.csv").write_text("name,link\n" + "".join(f"page,{url}\n" for url in urls))
    (tmp_path / "calls.jsonl").write_text(f'{{"url": "{practice.url}/echo", "method": "POST", "body": {{"n": 1}}}}\n')
    (tmp_path / "urls.txt.gz").write_bytes(gzip.compress("\n".join(urls).encode()))
    return tmp_path


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_runs(line: str, folder: Path, practice: PracticeServer) -> None:
    words = re.sub(
        r"\bfetchq(?= )", f"{shlex.quote(sys.executable)} -m fetchq", line.replace(EXAMPLE, practice.url), count=1
    )
    done = subprocess.run(["bash", "-c", words], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "3 URLs: 3 ok" in done.stderr or "ok" in done.stderr + done.stdout or "--quiet" in line


@pytest.mark.parametrize("code", blocks("python"))
def test_a_program_of_the_readme_runs(code: str, practice: PracticeServer) -> None:
    program = code.replace(EXAMPLE, practice.url)
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not done.stderr


def test_the_readme_has_commands_and_programs() -> None:
    assert len(COMMANDS) >= 12
    assert len(blocks("python")) >= 3


def test_every_option_the_readme_names_exists() -> None:
    known = {flag for command in (fetch, serve) for parameter in command.params for flag in parameter.opts} | {"--help"}
    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", README):
        assert option in known, option


def test_every_command_is_in_the_readme() -> None:
    for name in cli.list_commands(None):
        assert name == "fetch" or re.search(rf"fetchq\s+{name}\b", README), name


def test_every_field_phase_and_cause_is_in_the_readme() -> None:
    for name in (*RECORD_FIELDS, *PHASES, *Cause):
        assert f"`{name}`" in README, name


def test_the_recording_has_the_lines_of_todays_program() -> None:
    from fetchq.compare import ModeRun
    from fetchq.summary import Summary
    from fetchq.views.compare import compare_lines

    recording = blocks("text")[0]
    for line in compare_lines([("sync", Summary(duration=1.0)), ("async", ModeRun("async").summary)]):
        assert line[:18].strip() in recording


@pytest.mark.parametrize("script", ["demo", "test", "check", "bench", "setup"])
def test_a_script_can_be_run_and_says_what_it_does(script: str) -> None:
    path = ROOT / "scripts" / script
    assert path.stat().st_mode & 0o111
    first, second = path.read_text().splitlines()[:2]
    assert first == "#!/usr/bin/env bash"
    assert second.startswith("# ")


def test_the_changelog_has_the_sections_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text
    sections = set(re.findall(r"^### (\w+)$", text, re.MULTILINE))
    assert sections <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
