"""Stores bodies under names that a template makes (`--name`, `--output-flat`), each when it is whole and on the disk.

Only the bodies of rows that are ok get such names: an error page must not take the name of the file that a retry may
still fetch. The others go into `bodies/`, under the names that `fetchq.store.sinks.bodies_files` makes. A row that is
ok and is fetched again gets another name, since the record in the ledger's `history` keeps the first one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from fetchq.core.disk import file_error_text, make_folder, sync_files
from fetchq.core.name_template import NameTemplate
from fetchq.store.sinks.bodies_files import FileStore
from fetchq.store.sinks.body_fields import BodyFields
from fetchq.store.sinks.free_names import FreeNames
from fetchq.store.sinks.names_journal import NamesJournal, Naming
from fetchq.store.sinks.stored import mark_not_stored, mark_stored

if TYPE_CHECKING:
    from fetchq.core.body_spool import Spool
    from fetchq.core.model import Result
    from fetchq.core.row_set import RowSet
    from fetchq.store.sinks.naming import FileNaming

__all__ = ["NamedFiles"]

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
"""Error numbers of file systems without hard links, and of a file that has too many."""
_TRIES = 100
"""How often a name is chosen anew because it was taken in the meantime."""


class _Written(NamedTuple):
    """A body in its temporary file."""

    file: str
    parts: list[str]
    """The names that the template makes of its row: those of folders, and of the file."""
    seconds: float


class NamedFiles:
    """Stores bodies under the names of a template."""

    def __init__(self, root: Path, generation: int, naming: FileNaming) -> None:
        self._root = root
        self._folder = naming.folder
        self._template = NameTemplate(naming.template)
        self._names = FreeNames(root, naming.folder, naming.reserved)
        self._journal = NamesJournal(root, generation, naming)
        self._others = FileStore(root, generation)

    def restore(self, state: Any, done: RowSet) -> None:
        self._others.restore(state, done)
        self._journal.undo(done)
        if self._folder:
            make_folder(self._root / self._folder)

    def store(self, results: Sequence[Result]) -> list[Result]:
        done = list(results)
        written: dict[int, _Written] = {}
        for at in sorted(range(len(done)), key=lambda at: done[at].index):  # the order in which they are numbered
            spool = done[at]._spool
            if spool is None or not done[at].ok:
                continue
            try:
                written[at] = self._written(done[at], spool)
            except OSError as problem:
                spool.discard()
                done[at] = mark_not_stored(done[at], file_error_text(problem))
        if written:
            self._name(written, done)
        return self._others.store(done)

    def finish(self) -> list[Result]:
        self._journal.clear()  # now the ledger has all that `store` has returned
        return self._others.finish()

    def state(self) -> None:
        return None

    def close(self) -> None:
        """Do nothing: no Results are kept back."""

    def _written(self, result: Result, spool: Spool) -> _Written:
        began = perf_counter()
        file = spool.path()
        parts = self._template.parts(BodyFields(result, spool.file_name).value)
        return _Written(file, parts, perf_counter() - began)

    def _name(self, written: dict[int, _Written], done: list[Result]) -> None:
        """Give these bodies their names. Where one gets none, its Result becomes a failure."""
        problems = sync_files([one.file for one in written.values()])
        namings: dict[int, Naming] = {}
        chosen: set[str] = set()
        for at, one in written.items():
            try:
                if one.file in problems:
                    raise problems[one.file]
                path = self._names.free(one.parts, chosen)
                found = os.stat(one.file)
                namings[at] = Naming(done[at].index, path, found.st_ino, found.st_mtime_ns)
                chosen.add(path)
            except OSError as problem:
                done[at] = _not_named(done[at], one.file, problem)
        self._journal.write(list(namings.values()))
        paths: list[str] = []
        for at, naming in namings.items():
            one = written[at]
            try:
                paths.append(self._put(one, naming))
            except OSError as problem:
                done[at] = _not_named(done[at], one.file, problem)
            else:
                done[at] = mark_stored(done[at], paths[-1], one.seconds)
        self._sync_names(paths)

    def _put(self, one: _Written, naming: Naming) -> str:
        """Give a body its name, or another one if that is taken by now. Returns its path in the run's folder."""
        for _ in range(_TRIES):
            try:
                _move(one.file, f"{self._root}/{naming.path}")
            except FileExistsError:  # also where two names of a batch differ only in case, and the system ignores that
                naming = naming._replace(path=self._names.free(one.parts, ()))
                self._journal.add(naming)
            else:
                return naming.path
        raise FileExistsError(errno.EEXIST, "another program takes the names", naming.path)

    def _sync_names(self, paths: Iterable[str]) -> None:
        """Sync the folders of these files, and those that have new folders in them."""
        folders = {path.rpartition("/")[0] for path in paths} | self._names.changed
        if folders:
            for problem in sync_files([f"{self._root}/{folder}" for folder in sorted(folders)]).values():
                raise problem
        self._names.changed.clear()


def _move(file: str, target: str) -> None:
    """Move a file to a name that no other file has. Raises FileExistsError if one has it, and OSError."""
    try:
        os.link(file, target, follow_symlinks=False)  # a rename would replace what is there
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(file, target)
    else:
        with suppress(OSError):  # it has its name; the other one is deleted with the run's other temporary files
            os.unlink(file)


def _not_named(result: Result, file: str, problem: OSError) -> Result:
    with suppress(OSError):
        os.unlink(file)
    return mark_not_stored(result, file_error_text(problem))
