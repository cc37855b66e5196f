"""Makes the manifest of a run, reads it, and checks that a resumed run matches it.

The manifest is the first content of the ledger's `meta`: fetchq's version, the time, the settings and the inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fetchq._version import __version__
from fetchq.core.option import Origin, option_of
from fetchq.core.parsers import MissingPackageError
from fetchq.core.settings import REPORTS_GROUP, Settings
from fetchq.inputs.sampling import ANY_SEED
from fetchq.store.folder import FolderError, RunFolder
from fetchq.store.input_copy import is_description, same_inputs
from fetchq.store.ledger_connection import LedgerError

if TYPE_CHECKING:
    from fetchq.store.ledger_reader import LedgerReader

__all__ = [
    "StoredSettings",
    "check_matches",
    "new_manifest",
    "settings_of",
    "stored_inputs",
    "stored_reading",
    "stored_settings",
    "timestamp",
]

_FIXED = ("save", "name", "output_flat", "save_headers", "mode_bits", "dedupe", "refresh")
"""Settings that must stay the same in all sessions of a run."""
_OF_SESSION = ("output", "resume", "overwrite", "keep_body", "record_bodies")
"""Settings that belong to a session, and not to the run."""
_READING: dict[str, type] = {
    "input_format": str,
    "url_column": str,
    "passed": list,
    "strict_columns": bool,
    "limit": int,
    "shuffle": int,
    "base_url": str,
}
"""What says how the inputs are read, with its type; each may be None."""
_FLAGS = {"passed": "pass"}
"""The options that are not named like what they set."""


def new_manifest(settings: Settings, inputs: list[dict[str, Any]], reading: dict[str, Any]) -> dict[str, Any]:
    """The `meta` of a new ledger. For settings that may be secret, it only says which ones were given.

    `inputs`: see `describe_inputs`. `reading`: how the inputs are read (`_READING`).
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
        # Only a page has a base URL: earlier versions can go on with the runs of all other lists.
        "reading": {name: value for name, value in reading.items() if name != "base_url" or value is not None},
        "generation": 0,
    }


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """The settings that a ledger has, checked: it may be damaged, or come from somebody else."""

    values: dict[str, Any]
    """The values of those that may come from a ledger, by their names. `Settings` takes them."""
    not_taken: tuple[str, ...]
    """The names of the others that the run was begun with, which only its user may give: those of `Origin.USER`, and
    those above their `folder_maximum`."""
    withheld: frozenset[str]
    """The names among them whose values are not kept, since they may be secret."""
    refresh: str | None
    """The folder of the run that this one refreshes."""


def stored_settings(ledger: LedgerReader) -> StoredSettings:
    """The settings that the run was begun with. Raises `LedgerError` if they are not settings."""
    settings, names = ledger.required_meta("settings"), ledger.required_meta("withheld")
    try:
        return settings_of(settings, names)
    except ValueError:
        raise LedgerError.bad_meta(ledger.path, "settings") from None


def settings_of(settings: object, withheld: object) -> StoredSettings:
    """The settings of a manifest that was read back. Raises ValueError if they are not settings."""
    if not isinstance(settings, dict) or not isinstance(withheld, list | tuple):
        raise ValueError("no settings")
    names = frozenset(name for name in withheld if isinstance(name, str))
    values: dict[str, Any] = {}
    not_taken: list[str] = []
    for one in fields(Settings):
        option, value = option_of(one), settings.get(one.name)
        if option.origin is Origin.USER:
            if one.name in names or value:
                not_taken.append(one.name)
        elif one.name in settings:
            try:
                option.parse(value)
                if option.is_for_user(value):
                    not_taken.append(one.name)
                    continue
            except MissingPackageError:
                pass  # whoever uses the setting says how to install it
            values[one.name] = value
    refresh = settings.get("refresh")
    if not isinstance(refresh, str | None):
        raise ValueError("no folder")
    return StoredSettings(values, tuple(not_taken), names, refresh)


def stored_inputs(ledger: LedgerReader) -> list[dict[str, Any]]:
    """The inputs that the run was begun with, as `describe_inputs` makes them. Raises `LedgerError` for others."""
    inputs = ledger.required_meta("inputs")
    if not isinstance(inputs, list) or not inputs or not all(map(is_description, inputs)):
        raise LedgerError.bad_meta(ledger.path, "inputs")
    return inputs


def stored_reading(ledger: LedgerReader) -> dict[str, Any]:
    """How the inputs are read (`_READING`). Raises `LedgerError`."""
    reading = ledger.required_meta("reading")
    if not isinstance(reading, dict) or not all(_is_reading(name, value) for name, value in reading.items()):
        raise LedgerError.bad_meta(ledger.path, "reading")
    for name, value in reading.items():
        if value is not None and (not isinstance(value, _READING[name]) or (isinstance(value, int) and value < 0)):
            raise LedgerError.bad_meta(ledger.path, "reading")
    return reading


def _is_reading(name: str, value: object) -> bool:
    if name not in _READING or not isinstance(value, _READING[name] | None):
        return False
    if isinstance(value, int):
        return value >= 0
    return not isinstance(value, list) or all(isinstance(column, str) for column in value)


def check_matches(
    folder: RunFolder, ledger: LedgerReader, settings: Settings, inputs: list[dict[str, Any]], reading: dict[str, Any]
) -> None:
    """Raise `FolderError` if the run in the folder has other inputs, or other values of fixed settings."""
    if not same_inputs(stored_inputs(ledger), inputs):
        raise FolderError(f"the run in {str(folder)!r} has other sources")
    stored = stored_settings(ledger)
    before = stored.values | {"refresh": stored.refresh} | stored_reading(ledger)
    given: dict[str, Any] = {name: getattr(settings, name) for name in _FIXED} | dict.fromkeys(_READING) | reading
    if given["shuffle"] == ANY_SEED and before.get("shuffle") is not None:
        given["shuffle"] = before["shuffle"]
    for name, value in given.items():
        if (before.get(name) or None) != (value or None):
            flag = _FLAGS.get(name, name).replace("_", "-")
            raise FolderError(f"the run in {str(folder)!r} was begun with another --{flag}")


def timestamp() -> str:
    """The current time in UTC, as the ledger's `meta` holds it: RFC 3339 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
