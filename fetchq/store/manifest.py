"""Makes the manifest of a run, and checks that a resumed run matches it.

The manifest is the first content of the ledger's `meta`: fetchq's version, the time, the settings and the inputs.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fetchq._version import __version__
from fetchq.core.option import option_of
from fetchq.core.settings import REPORTS_GROUP
from fetchq.store.folder import FolderError, RunFolder
from fetchq.store.input_copy import same_inputs

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.store.ledger_reader import LedgerReader

__all__ = ["check_matches", "new_manifest", "timestamp"]

_FIXED = ("save", "dedupe", "refresh")
"""Settings that must stay the same in all sessions of a run."""
_OF_SESSION = ("output", "resume", "overwrite", "keep_body", "record_bodies")
"""Settings that belong to a session, and not to the run."""


def new_manifest(settings: Settings, inputs: list[dict[str, Any]], reading: dict[str, Any]) -> dict[str, Any]:
    """The `meta` of a new ledger. For settings that may be secret, it only says which ones were given.

    `inputs`: see `describe_inputs`. `reading`: how the inputs are read: `input_format` and `url_column`.
    """
    kept: dict[str, Any] = {}
    withheld: list[str] = []
    for one in fields(settings):
        value = getattr(settings, one.name)
        if one.name in _OF_SESSION or option_of(one).group == REPORTS_GROUP:
            continue
        if one.repr:  # also default values, since a config file may change them later, or on another machine
            kept[one.name] = sorted(value) if isinstance(value, frozenset) else value
        elif value != one.default:
            withheld.append(one.name)
    return {
        "fetchq": __version__,
        "created": timestamp(),
        "settings": kept,
        "withheld": withheld,
        "inputs": inputs,
        "reading": reading,
        "generation": 0,
    }


def check_matches(
    folder: RunFolder, ledger: LedgerReader, settings: Settings, inputs: list[dict[str, Any]], reading: dict[str, Any]
) -> None:
    """Raise `FolderError` if the run in the folder has other inputs, or other values of fixed settings."""
    if not same_inputs(ledger.required_meta("inputs"), inputs):
        raise FolderError(f"the run in {str(folder)!r} has other sources")
    before = ledger.required_meta("settings") | ledger.required_meta("reading")
    given = {name: getattr(settings, name) for name in _FIXED} | reading
    for name, value in given.items():
        if (before.get(name) or None) != (value or None):
            raise FolderError(f"the run in {str(folder)!r} was begun with another --{name.replace('_', '-')}")


def timestamp() -> str:
    """The current time in UTC, as the ledger's `meta` holds it: RFC 3339 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
