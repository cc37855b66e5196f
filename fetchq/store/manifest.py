"""What a run was begun with: what its ledger keeps of that, and whether it is the same when it is begun once more."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fetchq._version import __version__
from fetchq.store.folder import FolderError, RunFolder
from fetchq.store.input_copy import same

if TYPE_CHECKING:
    from fetchq.core.settings import Settings
    from fetchq.store.ledger import Ledger

__all__ = ["check_same", "first_meta", "now"]

_ONCE_AND_FOR_ALL = ("save", "dedupe", "refresh")
"""Settings that do not change as a run goes on."""
_NOT_KEPT = ("output", "resume", "overwrite", "keep_body")
"""Settings that belong to a session and not to the run."""


def first_meta(settings: Settings, entries: list[dict[str, Any]], reading: dict[str, Any]) -> dict[str, Any]:
    """What a new ledger has: the settings but for secrets, of which it only says that there were any, and the input."""
    kept: dict[str, Any] = {}
    withheld: list[str] = []
    for one in fields(settings):
        value = getattr(settings, one.name)
        if one.name in _NOT_KEPT:
            continue
        if one.repr:  # also what is the default: elsewhere, or later, a config file may say otherwise
            kept[one.name] = sorted(value) if isinstance(value, frozenset) else value
        elif value != one.default:
            withheld.append(one.name)
    return {
        "fetchq": __version__,
        "created": now(),
        "settings": kept,
        "withheld": withheld,
        "inputs": entries,
        "reading": reading,
        "generation": 0,
    }


def check_same(
    folder: RunFolder, ledger: Ledger, settings: Settings, entries: list[dict[str, Any]], reading: dict[str, Any]
) -> None:
    """Raise `FolderError` where the run that is there is another one than what was asked for."""
    if not same(ledger.needed("inputs"), entries):
        raise FolderError(f"the run in {str(folder)!r} has other sources")
    before = ledger.needed("settings") | ledger.needed("reading")
    asked = {name: getattr(settings, name) for name in _ONCE_AND_FOR_ALL} | reading
    for name, value in asked.items():
        if (before.get(name) or None) != (value or None):
            raise FolderError(f"the run in {str(folder)!r} was begun with another --{name.replace('_', '-')}")


def now() -> str:
    """The moment, as the ledger's meta has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
