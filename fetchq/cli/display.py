"""Defines the settings that only the command line has: how it reads the input, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass

from fetchq.core.option import SettingsError, ValidatedSettings, setting
from fetchq.core.parsers import choice_of, choices_of, read_flag, read_text
from fetchq.store.sinks import LIVE_FORMATS

__all__ = ["Display"]

INCLUDES = ("headers", "hops", "text", "base64")
FORMATS = ("text", *LIVE_FORMATS)
INPUT_FORMATS = ("text", "csv", "jsonl", "json")
PROGRESS = ("auto", "bar", "dots", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Display(ValidatedSettings):
    """The settings that only the command line has. `Settings` has those that the library has, too."""

    input_format: str | None = setting(
        None,
        "--input-format",
        choice_of(*INPUT_FORMATS),
        "From the name by default; JSON from its start.",
        group="Input and output",
        metavar="|".join(INPUT_FORMATS),
    )
    url_column: str = setting(
        "url",
        "--url-column",
        read_text,
        "The CSV column (JSON key) of the URL.",
        group="Input and output",
        metavar="NAME",
    )
    format: str = setting(
        "text",
        "--format",
        choice_of(*FORMATS),
        "Of the records on stdout.",
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
        repeatable=True,
    )
    progress: str = setting(
        "auto",
        "--progress",
        choice_of(*PROGRESS),
        "A bar on a terminal, else dots on a long run.",
        group="Input and output",
        metavar="|".join(PROGRESS),
    )
    quiet: bool = setting(False, "-q --quiet", read_flag, "No progress, no summary.", group="Input and output")
    verbose: bool = setting(
        False, "-v --verbose", read_flag, "Also a line as each worker starts a URL.", group="Input and output"
    )
    no_color: bool = setting(
        False, "--no-color", read_flag, "No colours; NO_COLOR does the same.", group="Input and output"
    )

    def __post_init__(self) -> None:
        super(Display, self).__post_init__()
        if "text" in self.include and "base64" in self.include:
            raise SettingsError("include", "text and base64 both fill the body; choose one")

    @property
    def records(self) -> str:
        """The format of the records; `json` takes precedence over `format`."""
        return "jsonl" if self.json else self.format
