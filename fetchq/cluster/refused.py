"""Says which settings of a run a job does not have, and why."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from fetchq.core.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FIXED", "REFUSED", "check_settings"]

REFUSED: Mapping[str, str] = {
    "processes": "fetchq cluster run --on local:N has N processes",
    "output": "a job has a folder of its own, the last argument",
    "resume": "fetchq cluster run goes on with a job",
    "overwrite": "delete the job, or name another folder",
    "dedupe": "a job does not compare the rows of its shards: leave equal rows out of the list",
    "refresh": "a job has no earlier run to compare with",
    "name": "a job names bodies by itself, since two shards could choose the same name",
    "output_flat": "a job names bodies by itself, since two shards could choose the same name",
    "mode_bits": "the storage of a job decides who may read it",
    "deadline": "a job ends when its list is done: stop fetchq cluster run, and go on later",
    "max_failures": "a job does not count failed rows over its shards",
    "fail_fast": "a job does not count failed rows over its shards",
    "cookie_jar": "the shards of a job run in several processes, which share no cookies",
    "report": "a job has no page: fetchq export reads its records",
    "har": "a job keeps no exchanges",
    "trace": "a job keeps no exchanges",
}
"""The settings that have no meaning over the shards of a job, with the reason."""
FIXED = ("save", "save_headers", "per_host_by", *REFUSED)
"""The settings that must be the same for all shards, so that only `prepare` takes them."""
_SET_HERE = ("output",)
"""Those that the commands of a job set by themselves."""


def check_settings(settings: Settings) -> None:
    """Raise `SettingsError` if one of `REFUSED` is set."""
    for one in fields(settings):
        if one.name in REFUSED and one.name not in _SET_HERE and getattr(settings, one.name) != one.default:
            raise SettingsError(one.name, REFUSED[one.name])
