"""All entries: the faults, the places, and the answers that are right."""

from __future__ import annotations

from faults import good, names, network, origins, tls
from faults.base import Entry, Fault, Place
from faults.server import FAULTS

PLACES: list[Place] = [
    *network.theme.places,
    *tls.theme.places,
    *names.theme.places,
    *origins.theme.places,
]
GOOD: list[Fault] = good.theme.faults
CORPUS: list[Entry] = [*FAULTS, *PLACES, *GOOD]


def chosen(words: list[str]) -> list[Entry]:
    """The entries of the themes, or with the names, that `words` say; all, where there are no words.

    Raises ValueError for a word that is neither.
    """
    known = {one.name for one in CORPUS} | {one.theme for one in CORPUS}
    if unknown := [word for word in words if word not in known]:
        raise ValueError(f"there is no entry and no family of this name: {', '.join(unknown)}")
    return [one for one in CORPUS if not words or one.name in words or one.theme in words]
