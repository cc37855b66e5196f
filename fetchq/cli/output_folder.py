"""Refuses an output folder (`-o`) that has the name of a file, which is what `-o` means to curl and wget."""

from __future__ import annotations

import os
from shlex import quote

import click

__all__ = ["check_output_folder"]

_MEANT = {
    ".jsonl": "--json > {0}",
    ".ndjson": "--json > {0}",
    ".json": "--json > {0}",
    ".csv": "--format csv > {0}",
    ".txt": "> {0}",
    ".parquet": "-o DIR; fetchq export DIR -o {0}",
    ".warc": "-o DIR --save warc",
    ".gz": "-o DIR --save warc",
    ".html": "--report {0}",
    ".har": "--har {0}",
}
"""What somebody who names such a file may have meant."""


def check_output_folder(output: str) -> None:
    """Raise UsageError if the folder is not there yet, and its name is that of a file of records or a report."""
    suffix = os.path.splitext(output)[1].lower()  # none where a slash comes last
    if suffix not in _MEANT or os.path.exists(output):  # of a file, the run says that it is no folder
        return
    meant = _MEANT[suffix].format(quote(output))
    raise click.UsageError(
        f"-o {quote(output)}: that would be the folder of a durable run; did you mean: fetchq ... {meant}? "
        f"(-o {quote(output)}/ makes the folder.)"
    )
