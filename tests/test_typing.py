"""The public functions are typed: mypy and pyright accept right calls and the README's programs, and no wrong call."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from fetchq import Request, Settings
from fetchq.core.settings_kwargs import SettingsKwargs

ROOT = Path(__file__).parent.parent
CALLS = ROOT / "tests" / "typing" / "api.py"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
PROGRAMS = [block for block in BLOCKS if "fetchq import" in block or "import fetchq" in block]
"""Those that call fetchq; others show how its records are read, with packages that may have no types."""


@pytest.fixture
def checked(tmp_path: Path) -> list[str]:
    """The files to check: the calls, and each program of the README."""
    files = [str(CALLS)]
    for number, program in enumerate(PROGRAMS):
        path = tmp_path / f"program_{number}.py"
        path.write_text(program)
        files.append(str(path))
    assert len(files) > 3
    return files


def test_mypy_accepts_the_right_calls_and_the_programs_of_the_readme(checked: list[str], tmp_path: Path) -> None:
    options = ["--strict", "--warn-unused-ignores", f"--cache-dir={tmp_path / 'cache'}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *checked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright_accepts_the_right_calls_and_the_programs_of_the_readme(checked: list[str], tmp_path: Path) -> None:
    config = {
        "include": checked,
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
        "pythonVersion": "3.11",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "basedpyright", "--project", str(tmp_path), "--pythonpath", sys.executable]
    done = subprocess.run([*command, "--outputjson"], capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert told["generalDiagnostics"] == []
    assert told["summary"]["filesAnalyzed"] == len(checked)


def test_the_arguments_of_a_request_that_checkers_see_are_its_fields() -> None:
    tree = ast.parse((ROOT / "fetchq" / "core" / "request.py").read_text())
    (kind,) = (one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == "Request")
    (seen,) = (one for one in ast.walk(kind) if isinstance(one, ast.FunctionDef) and one.name == "__init__")
    public = [one for one in Request.__annotations__ if not one.startswith("_")]
    assert [argument.arg for argument in seen.args.args] == ["self", *public]


def test_the_keyword_arguments_are_exactly_the_settings() -> None:
    assert list(SettingsKwargs.__annotations__) == [one.name for one in fields(Settings)]
    assert SettingsKwargs.__required_keys__ == frozenset()


@pytest.mark.parametrize("name", [one.name for one in fields(Settings)])
def test_a_keyword_argument_takes_the_value_that_the_setting_has_and_a_text(name: str) -> None:
    had, taken = get_type_hints(Settings)[name], get_type_hints(SettingsKwargs)[name]
    if taken is Any:  # `json` takes all that JSON has
        return
    kinds = {kind for kind in (*get_args(had), had) if isinstance(kind, type)}
    plain = {kind for kind in (*get_args(taken), taken) if isinstance(kind, type)}
    if not hasattr(had, "__origin__"):  # other than of a tuple or a set, whose items are iterated
        assert kinds <= plain
    assert str in plain or name in ("headers", "resolve")
