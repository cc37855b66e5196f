"""Defines the settings that only the command line has: how it reads the input, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fetchq.core.base_url import read_base_url
from fetchq.core.option import Origin, SettingsError, ValidatedSettings, setting
from fetchq.core.parsers import choice_of, choices_of, read_column_names, read_file_name, read_flag, read_text
from fetchq.core.quantities import read_int, read_seed
from fetchq.inputs.columns import check_passed
from fetchq.store.sinks import LIVE_FORMATS
from fetchq.store.sinks.field_choice import check_included, read_fields

__all__ = ["Display"]

INCLUDES = ("headers", "hops", "text", "base64")
FORMATS = ("text", *LIVE_FORMATS, "none")
ROWS = ("all", "ok", "failed")
LOG_LEVELS = ("debug", "info", "warning", "error")
INPUT_FORMATS = ("text", "csv", "jsonl", "json", "markdown", "html", "sitemap")
PROGRESS = ("auto", "bar", "dots", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Display(ValidatedSettings):
    """The settings that only the command line has. `Settings` has those that the library has, too."""

    input_format: str | None = setting(
        None,
        "--input-format",
        choice_of(*INPUT_FORMATS),
        f"{', '.join(INPUT_FORMATS)}; from the name by default, JSON from its start.",
        group="Input and output",
        metavar="FORMAT",
        choices=INPUT_FORMATS,
    )
    url_column: str = setting(
        "url",
        "--url-column",
        read_text,
        "The CSV column (JSON key) of the URL.",
        group="Input and output",
        metavar="NAME",
    )
    passed: tuple[str, ...] = setting(
        (),
        "--pass",
        read_column_names,
        "Copy this column (JSON key) of the list into the records; * for all others; repeatable.",
        group="Input and output",
        metavar="COLUMN",
        repeatable=True,
    )
    strict_columns: bool = setting(
        False,
        "--strict-columns",
        read_flag,
        "Refuse a CSV list with a column that is neither read nor passed on.",
        group="Input and output",
    )
    base_url: str | None = setting(
        None,
        "--base-url",
        read_base_url,
        "What the relative links of Markdown and HTML are relative to; without it, they are left out.",
        group="Input and output",
        metavar="URL",
        origin=Origin.USER,
    )
    format: str = setting(
        "text",
        "--format",
        choice_of(*FORMATS),
        "Of the records on stdout; none: no records.",
        group="Input and output",
        metavar="|".join(FORMATS),
    )
    json: bool = setting(False, "--json", read_flag, "The same as --format jsonl.", group="Input and output")
    include: tuple[str, ...] = setting(
        (),
        "--include",
        choices_of(*INCLUDES),
        "Add headers, hops (redirects), or the body as text or base64 to the records; repeatable.",
        group="Input and output",
        metavar="WHAT",
        choices=INCLUDES,
        repeatable=True,
    )
    fields: tuple[str, ...] = setting(
        (),
        "--fields",
        read_fields,
        "Only these fields of the records, in this order: url,status,elapsed.",
        group="Input and output",
        metavar="NAME,..",
    )
    only: str | None = setting(
        None,
        "--only",
        choice_of(*ROWS),
        "Only the records of rows that failed, or that are ok; all is the default.",
        group="Input and output",
        metavar="|".join(ROWS),
    )
    limit: int | None = setting(
        None,
        "--limit",
        read_int,
        "Only the first N rows; with --shuffle, N rows by chance.",
        group="Input and output",
        metavar="N",
        minimum=1,
    )
    shuffle: int | None = setting(
        None,
        "--shuffle",
        read_seed,
        "In random order, which follows from SEED; keeps all rows, at most a million, in memory.",
        group="Input and output",
        metavar="[SEED]",
    )
    dry_run: bool = setting(
        False,
        "--dry-run",
        read_flag,
        "Show what would be asked, without secrets; send nothing.",
        group="Input and output",
    )
    progress: str = setting(
        "auto",
        "--progress",
        choice_of(*PROGRESS),
        "A bar on a terminal, else dots on a long run.",
        group="Input and output",
        metavar="|".join(PROGRESS),
    )
    quiet: bool = setting(
        False,
        "-q --quiet",
        read_flag,
        "No progress, no summary, and no lines but those that --only asks for.",
        group="Input and output",
    )
    verbose: bool = setting(
        False,
        "-v --verbose",
        read_flag,
        "Also a line as each worker starts a URL, and why one is tried again.",
        group="Input and output",
    )
    log_file: str | None = setting(
        None,
        "--log-file",
        read_file_name,
        "Append to FILE what happens, with times and levels: rows, retries and their reasons.",
        group="Input and output",
        metavar="FILE",
        origin=Origin.USER,
    )
    log_level: str = setting(
        "info",
        "--log-level",
        choice_of(*LOG_LEVELS),
        "The least level of --log-file: warning leaves out the rows that are ok.",
        group="Input and output",
        metavar="|".join(LOG_LEVELS),
    )
    no_color: bool = setting(
        False, "--no-color", read_flag, "No colours; NO_COLOR does the same.", group="Input and output"
    )

    def __post_init__(self) -> None:
        super(Display, self).__post_init__()
        try:
            check_passed(self.passed, self.url_column)
        except ValueError as problem:
            raise SettingsError("passed", str(problem)) from None
        if "text" in self.include and "base64" in self.include:
            raise SettingsError("include", "text and base64 both fill the body; choose one")

        if self.fields and self.records in ("text", "none"):
            raise SettingsError("fields", "a line of text has its own; add --json or --format csv")
        try:
            check_included(self.fields, self.include, self.passed)
        except ValueError as problem:
            raise SettingsError("fields", str(problem)) from None

    @property
    def reading(self) -> dict[str, Any]:
        """How the sources are read: arguments of `open_sources` and `session_for_sources`."""
        return {
            "input_format": self.input_format,
            "url_column": self.url_column,
            "passed": self.passed,
            "strict_columns": self.strict_columns,
            "base_url": self.base_url,
            "limit": self.limit,
            "shuffle": self.shuffle,
        }

    @property
    def records(self) -> str:
        """The format of the records; `json` takes precedence over `format`."""
        return "jsonl" if self.json else self.format

    @property
    def writes_text(self) -> bool:
        """Whether there is a line of text for each row."""
        return self.records == "text" and not (self.quiet and self.only is None)
