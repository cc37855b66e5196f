"""The help, the man page, and what completes the words of a command line: all of it follows from the options."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import chain
from typing import Any

import click
import pytest
from support.cli import Cli
from support.servers import need

from fetchq.cli import COMMANDS
from fetchq.cli.compare import command as compare
from fetchq.cli.fetch import command as fetch
from fetchq.cli.resume import command as resume
from fetchq.cli.retry import command as retry
from fetchq.cli.sectioned_help import MOST_USED, GroupedCommand

SECTIONED: dict[str, Any] = {"fetch": fetch, "compare": compare, "resume": resume, "retry": retry}
SHELLS = ("bash", "zsh", "fish")


def pieces(text: str) -> set[str]:
    """The words, and the parts of those with hyphens, after which a line may end."""
    return set(re.findall(r"[^\s-]+", text))


def listed(command: GroupedCommand, context: click.Context) -> list[str]:
    """The terms of all sections of the help."""
    return [term for records in command.help_sections(context).values() for term, _ in records]


@pytest.mark.parametrize("name", SECTIONED)
def test_each_option_is_in_one_section_of_the_help(name: str) -> None:
    command = SECTIONED[name]
    context = click.Context(command)
    terms = listed(command, context)
    assert len(terms) == len(set(terms))
    flags = {flag for term in terms for flag in re.findall(r"-[\w-]+", term.partition("  ")[0])}
    for option in command.params:
        if isinstance(option, click.Option):
            assert flags & {*option.opts, *option.secondary_opts}, option.name


def test_the_options_used_most_come_first_and_all_of_them_exist() -> None:
    context = click.Context(fetch)
    heading, first = next(iter(fetch.help_sections(context).items()))
    by_name = {option.name: option for option in fetch.params}
    assert len(MOST_USED) == 10
    assert heading == "Most used"
    assert [term for term, _ in first] == [by_name[name].get_help_record(context)[0] for name in MOST_USED]


def test_the_short_help_fits_on_a_screen_and_names_the_whole_one(cli: Cli) -> None:
    short, whole = cli("-h"), cli("--help")
    assert short.status == whole.status == 0
    assert len(short.lines) <= 48
    assert "fetchq --help lists all options." in short.lines
    assert set(short.lines) - set(whole.lines) == {"fetchq --help lists all options."}
    assert cli("resume", "-h").lines[-1] == "fetchq resume --help lists all options."


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_word_of_the_help_is_broken_however_wide_the_terminal_is(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for name in COMMANDS:
        found = cli(name, "--help")
        assert max(len(line) for line in found.lines if "fetchq " not in line) <= columns  # but for the examples
        command = SECTIONED.get(name)
        if command is not None:
            texts = chain.from_iterable(chain.from_iterable(command.help_sections(click.Context(command)).values()))
            assert {piece for text in texts for piece in pieces(text)} <= pieces(found.text)


# --- the man page ----------------------------------------------------------------------------------------------------


def test_the_man_page_has_every_command_and_option_once(cli: Cli) -> None:
    page = cli("man").text.replace(r"\-", "-")
    for name in COMMANDS:
        assert name == "fetch" or f'.SS "fetchq {name}"' in page
    for term in listed(fetch, click.Context(fetch)):
        if term not in ("-h", "--help"):
            assert page.count(rf"\fB{term}\fR") == 1, term
    assert re.findall(r'^\.SH "?([A-Z ]+)"?$', page, re.MULTILINE) == [
        *("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS"),
        *("EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"),
    ]


def test_the_man_page_is_one_without_warnings(cli: Cli) -> None:
    page = cli("man").out
    need(shutil.which("groff"), "groff is not installed")
    done = subprocess.run(["groff", "-man", "-ww", "-Tascii"], input=page, capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
    assert b"--workers" in re.sub(rb"\x1b\[\d*m|.\x08", b"", done.stdout)
    if shutil.which("mandoc"):
        lint = subprocess.run(["mandoc", "-T", "lint"], input=page, capture_output=True, timeout=60, check=False)
        left = [line for line in lint.stdout.decode().splitlines() if ": STYLE: " not in line]
        assert [line for line in left if "missing date" not in line] == []


# --- completion ------------------------------------------------------------------------------------------------------


def completed(cli: Cli, *words: str, shell: str = "bash") -> list[tuple[str, ...]]:
    """The types and values that the last word can be completed to."""
    env = {
        "COMP_WORDS": " ".join(["fetchq", *words]),
        "COMP_CWORD": str(len(words)),
        "_FETCHQ_COMPLETE": f"{shell}_complete",
    }
    if shell == "fish":
        env["COMP_CWORD"] = words[-1]
    found = cli.run(env=env)
    assert (found.status, found.said) == (0, "")
    return [tuple(line.split(",", 1)) for line in found.lines if line]


def test_commands_and_files_are_completed_first(cli: Cli) -> None:
    assert completed(cli, "re") == [("plain", "resume"), ("plain", "retry"), ("plain", "report"), ("file", "re")]
    assert [value for kind, value in completed(cli, "") if kind == "plain"] == list(COMMANDS)


def test_options_of_the_default_command_are_completed_without_its_name(cli: Cli) -> None:
    assert completed(cli, "--wor") == [("plain", "--workers")]
    assert completed(cli, "fetch", "--wor") == completed(cli, "a.txt", "--wor") == [("plain", "--workers")]
    assert completed(cli, "--ver") == [("plain", "--verbose"), ("plain", "--version")]


def test_of_a_flag_the_form_that_changes_its_default_is_completed_or_the_one_that_is_begun(cli: Cli) -> None:
    assert completed(cli, "--ins") == [("plain", "--insecure")]
    assert completed(cli, "--no-i") == [("plain", "--no-insecure"), ("plain", "--no-ipv4"), ("plain", "--no-ipv6")]
    assert completed(cli, "--no-ad") == [("plain", "--no-adapt")]


def test_choices_and_paths_are_completed_as_values(cli: Cli) -> None:
    assert completed(cli, "--mode", "") == [("plain", mode) for mode in ("async", "threads", "sync")]
    assert completed(cli, "--mode", "=", "s") == [("plain", "sync")]  # as bash splits it
    assert completed(cli, "--include", "he") == [("plain", "headers")]
    assert completed(cli, "export", "--format", "c") == [("plain", "csv")]
    assert completed(cli, "-o", "r") == [("dir", "r")]
    assert completed(cli, "--config", "r") == [("file", "r")]
    assert completed(cli, "resume", "r") == [("dir", "r")]
    assert completed(cli, "compare", "a.txt", "u") == [("file", "u")]
    assert completed(cli, "--workers", "") == []


@pytest.mark.parametrize("command", SECTIONED.values(), ids=str)
def test_the_choices_that_are_completed_are_those_that_the_option_takes(command: click.Command) -> None:
    context = click.Context(command)
    for option in command.params:
        if not isinstance(option, click.Option) or option.is_flag:
            continue
        try:
            option.type.convert("\x01", option, context)
        except click.UsageError as problem:
            if (taken := re.search(r"is not one of (.*)$", problem.message)) is not None:
                found = [item.value for item in option.shell_complete(context, "")]
                assert found == re.split(", ", taken[1]), option.name


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_for_a_shell_is_one_in_that_shell(cli: Cli, shell: str) -> None:
    script = cli("completion", shell).out
    need(shutil.which(shell), f"{shell} is not installed")
    subprocess.run([shell, "-n", "/dev/stdin"], input=script, check=True, timeout=60)


def test_bash_completes_the_words_of_a_command_line(cli: Cli) -> None:
    need(shutil.which("bash"), "bash is not installed")
    cli.write("fetchq", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m fetchq "$@"\n')
    cli.write("a list.txt", "")
    os.chmod(cli.folder / "fetchq", 0o755)
    (cli.folder / "run").mkdir()
    program = """
        eval "$(./fetchq completion bash)"
        words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fetchq_completion "$1"; echo "${COMPREPLY[*]}"; }
        words ./fetchq --wor; words ./fetchq --mode = t; words ./fetchq -o r; words ./fetchq 'a\\ l'
    """
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout.splitlines(), done.stderr) == (["--workers", "threads", "run", "a list.txt"], "")
