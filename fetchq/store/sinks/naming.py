"""Says how the files of bodies are named in a run where a template names them (`--name`, `--output-flat`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NAMED_FOLDER", "NAMES_JOURNAL", "FileNaming", "naming_of"]

NAMED_FOLDER = "files"
"""The folder of these bodies inside that of the run, unless they lie flat in it."""
NAMES_JOURNAL = "names-journal"
"""The file that notes the names which bodies are about to get."""
_FLAT_NAME = "{segment}"
"""The template for files that lie flat in the folder, unless the user has another one."""


class FileNaming(NamedTuple):
    """How the files of bodies are named."""

    template: str
    folder: str
    """Their folder inside that of the run; empty where they lie flat in it."""
    reserved: frozenset[str]
    """What the first part of a path must not be, in lower case."""

    def may_be(self, path: str) -> bool:
        """Whether a body may have this path: somebody else's journal may name other files of the run."""
        first = path.partition("/")[0].lower()
        return first == self.folder if self.folder else first not in self.reserved | {"."}


def naming_of(settings: Mapping[str, Any], own_names: frozenset[str]) -> FileNaming | None:
    """The naming in a run with these settings; None where the row and the URL name a file.

    `own_names`: what fetchq may have in the run's folder.
    """
    template, flat = settings.get("name"), settings.get("output_flat")
    if settings["save"] != "files" or not (template or flat):
        return None
    return FileNaming(template or _FLAT_NAME, "" if flat else NAMED_FOLDER, own_names if flat else frozenset())
