"""What the README shows works, and it leaves out no command, field or cause."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
from cost_model import table
from support.comparisons import comparison_of, measured
from support.factories import make_result
from support.runs import make_run
from support.servers import need

from fetchq.cli import cli
from fetchq.cli.cluster import command as cluster
from fetchq.cli.compare import command as compare
from fetchq.cli.diff import command as diff
from fetchq.cli.export import command as export
from fetchq.cli.fetch import command as fetch
from fetchq.cli.practice.server import PracticeServer
from fetchq.cli.retry import command as retry
from fetchq.cli.serve import command as serve
from fetchq.core.model import PHASES, RECORD_FIELDS, Cause
from fetchq.core.settings import Settings
from fetchq.reports.text import HEADING
from fetchq.reports.timeline_text import LEGEND

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLE = "http://localhost:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


READS = re.compile(r"fetchq (export|diff|resume|retry|report|completion|man|cluster) ")
"""What fetches nothing here, and says little."""
NEEDS_A_RUN = re.compile(r"fetchq (resume|retry|export|report) |--refresh run/")
NEEDS_A_JOB = re.compile(r"fetchq (export|cluster [\w-]+) job/")
COMING_FROM = README[README.index("### Coming from another program") : README.index("### Which way is faster?")]
"""The section with the options of other programs."""
COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, practice: PracticeServer) -> Path:
    """The files that the README's commands read."""
    shown = {"urls.txt": blocks("text")[1], "pages.csv": blocks("csv")[0], "calls.jsonl": blocks("json")[0]}
    shown["orders.csv"] = blocks("csv")[1]
    shown["page.md"] = blocks("markdown")[0]
    for name, content in shown.items():
        assert f"`{name}`" in README
        (tmp_path / name).write_text(content.replace(EXAMPLE, practice.url))
    for name in ("old", "new"):
        make_run(tmp_path / name, [make_result()])
    return tmp_path


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, practice: PracticeServer) -> Path:
    """A run of the README's list of URLs."""
    place = tmp_path_factory.mktemp("begun")
    (place / "urls.txt").write_text(blocks("text")[1].replace(EXAMPLE, practice.url))
    begin = [sys.executable, "-m", "fetchq", "urls.txt", "-o", "run/"]
    subprocess.run(begin, cwd=place, capture_output=True, check=True, timeout=60)
    return place / "run"


@pytest.fixture(scope="module")
def job(begun: Path) -> Path:
    """A job of the same list that is done."""
    for words in ("prepare urls.txt job/ --shards 2", "run-shard job/ --lane 0"):
        command = [sys.executable, "-m", "fetchq", "cluster", *words.split()]
        subprocess.run(command, cwd=begun.parent, capture_output=True, check=True, timeout=60)
    return begun.parent / "job"


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_runs(
    line: str, folder: Path, begun: Path, practice: PracticeServer, request: pytest.FixtureRequest
) -> None:
    if "jq" in line and shutil.which("jq") is None:
        pytest.skip("this machine has no jq")
    line = line.replace(EXAMPLE, practice.url).replace(":8000", f":{practice.url.rpartition(':')[2]}")
    if NEEDS_A_JOB.search(line):
        shutil.copytree(request.getfixturevalue("job"), folder / "job")
    elif NEEDS_A_RUN.search(line):
        shutil.copytree(begun, folder / "run")
    words = re.sub(r"\bfetchq(?= )", f"{shlex.quote(sys.executable)} -m fetchq", line, count=1)
    done = subprocess.run(["bash", "-c", words], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = done.stderr + done.stdout
    assert "ok" in said or "nothing was sent" in said or "--quiet" in line or READS.search(line)


@pytest.mark.parametrize("code", blocks("python"))
def test_a_program_of_the_readme_runs(code: str, tmp_path: Path, begun: Path, practice: PracticeServer) -> None:
    for name in set(re.findall(r"records\.\w+", code)):
        export_it = [sys.executable, "-m", "fetchq", "export", str(begun), "-o", name]
        subprocess.run(export_it, cwd=tmp_path, capture_output=True, check=True, timeout=60)
    for package in ("pandas", "polars"):
        need(f"import {package}" not in code or find_spec(package), f"{package} is not installed")
    program = [sys.executable, "-W", "error", "-c", code.replace(EXAMPLE, practice.url)]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not done.stderr


def test_the_service_of_the_readme_answers(practice: PracticeServer) -> None:
    need(find_spec("fastapi") and find_spec("httpx2"), "fastapi or httpx2 is not installed")
    from fastapi.testclient import TestClient

    (code,) = blocks("py")
    names: dict[str, Any] = {"__name__": "service"}
    exec(code.replace(EXAMPLE, practice.url), names)
    with TestClient(names["app"]) as client:
        assert [one["status"] for one in client.get("/pages").json()] == [200, 200]


def test_no_program_of_the_readme_uses_the_folder_of_a_command() -> None:
    of_programs = set(re.findall(r'output="(\w+)"', "".join(blocks("python"))))
    of_commands = {name.rstrip("/") for line in COMMANDS for name in re.findall(r" -o (\S+)", line)}
    assert of_programs
    assert of_programs.isdisjoint(of_commands)


def test_the_config_file_of_the_readme_is_one(folder: Path) -> None:
    (config,) = blocks("toml")
    (folder / "fetchq.toml").write_text(config)
    command = [sys.executable, "-m", "fetchq", "urls.txt"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["ok"] for line in done.stdout.splitlines()] == [True] * 3
    assert "with 20 workers" in done.stderr


def test_the_readme_has_commands_and_programs() -> None:
    assert len(COMMANDS) >= 12
    assert len(blocks("python")) >= 3


def test_every_option_the_readme_names_exists() -> None:
    of_cluster = [cluster.get_command(click.Context(cluster), name) for name in cluster.list_commands(None)]
    commands = (fetch, serve, export, diff, retry, compare, *of_cluster)
    options = [parameter for command in commands for parameter in command.params]
    known = {flag for option in options for flag in (*option.opts, *option.secondary_opts)} | {"--help"}
    known |= {"--list", "--array", "--wrap", "--nworkers", "--nthreads"}  # of tests.faults, sbatch and dask
    for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", README.replace(COMING_FROM, "")):
        assert option in known, option
    rows = [line.strip("|").split("|") for line in COMING_FROM.splitlines() if line.startswith("| ")]
    of_the_command_line = [row[-1] for row in rows if len(row) == 6]
    assert len(of_the_command_line) > 20
    for option in re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", " ".join(of_the_command_line)):
        assert option in known, option
    for setting in re.findall(r"`([a-z_]+)=", " ".join(row[-1] for row in rows if len(row) == 4)):
        assert setting in {one.name for one in fields(Settings)}, setting


def test_every_command_is_in_the_readme() -> None:
    for name in cli.list_commands(None):
        assert name == "fetch" or re.search(rf"fetchq\s+{name}\b", README), name


def test_every_field_phase_and_cause_is_in_the_readme() -> None:
    for name in (*RECORD_FIELDS, *PHASES, *Cause):
        assert f"`{name}`" in README, name


def test_the_recording_has_the_lines_of_todays_program() -> None:

    from fetchq.reports.compare_cells import cells_of

    recording, _, output, *_ = blocks("text")
    assert output.splitlines()[0] == HEADING
    assert LEGEND in recording
    for name in cells_of(comparison_of(measured(1.0), measured(2.0))).rows:
        assert f"\n{name} " in recording


@pytest.mark.parametrize("script", ["demo", "test", "check", "bench", "setup"])
def test_a_script_can_be_run_and_says_what_it_does(script: str) -> None:
    path = ROOT / "scripts" / script
    assert path.stat().st_mode & 0o111
    first, second = path.read_text().splitlines()[:2]
    assert first == "#!/usr/bin/env bash"
    assert second.startswith("# ")


def test_setup_says_when_it_begins_and_nothing_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    """In a place of its own, with an interpreter that does nothing."""
    (tmp_path / "bin").mkdir()
    for path in (tmp_path / "bin" / "python", tmp_path / "python"):
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    env = os.environ | {"VENV": str(tmp_path), "PYTHON": str(tmp_path / "python")}
    for said in (f"setting up {tmp_path} ...\n", ""):
        done = subprocess.run([ROOT / "scripts" / "setup", "dev"], env=env, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("", said)


def test_setup_says_what_to_do_where_no_environment_can_be_made(tmp_path: Path) -> None:
    """As on Debian without python3-venv; and with a Python that is not there."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$*" in *venv*) exit 1;; esac\n')
    python.chmod(0o755)
    for given, said in ((python, "sudo apt install python3-venv"), (tmp_path / "none", "Python 3.11 or newer")):
        env = os.environ | {"VENV": str(tmp_path / "made"), "PYTHON": str(given)}
        done = subprocess.run([ROOT / "scripts" / "setup"], env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
        assert "PYTHON=/path/to/python3" in done.stderr


def test_the_changelog_has_the_sections_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text
    sections = set(re.findall(r"^### (\w+)$", text, re.MULTILINE))
    assert sections <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("page", ["README.md", ".github/CONTRIBUTING.md", "SECURITY.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`((?:tests|fetchq|scripts)/[\w./]+)`|\]\(((?!http|#)[^)]+)\)", text)
    assert named
    assert [one for one in map("".join, named) if not (ROOT / one).exists()] == []


def test_the_table_of_what_a_list_costs_is_that_of_the_model() -> None:
    assert "\n".join(table()) in README
