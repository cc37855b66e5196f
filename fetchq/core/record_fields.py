"""Describes the fields of a record, from which every format derives its columns.

They are read off the annotations of Result: each of its fields becomes a column of JSON Lines, CSV, Parquet and the
ledger, unless it is among those that `fetchq.core.model` leaves out of the record. Put a new one before `headers`, and
raise `FORMAT` in `fetchq.store.schema`.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import NamedTuple

from fetchq.core.cause import Cause, Complete
from fetchq.core.model import PHASES, RECORD_FIELDS, Result, Timing

__all__ = ["PHASE_FIELDS", "PLAIN_FIELDS", "RecordField"]

_TYPES = {kind.__name__: kind for kind in (bool, int, float, str, datetime, Cause, Complete)}
"""The types that a field of a record may have, by their names in the annotations."""


class RecordField(NamedTuple):
    """The type of a field of the record."""

    kind: type
    """bool, int, float, str, datetime, Cause or Complete."""
    nullable: bool


def _field(annotation: object) -> RecordField:
    name, _, none = str(annotation).partition(" | ")
    return RecordField(_TYPES[name], none == "None")


_ANNOTATIONS = {one.name: one.type for kind in (Result, Timing) for one in fields(kind)}
PLAIN_FIELDS = {name: _field(_ANNOTATIONS[name]) for name in RECORD_FIELDS if name != "timing"}
"""All fields but `timing`, in order."""
PHASE_FIELDS = {f"timing_{phase}": _field(_ANNOTATIONS[phase]) for phase in PHASES}
"""The phases of `timing` as columns, timing_queued to timing_store, for formats without nested objects."""
