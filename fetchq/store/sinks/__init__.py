"""The registry of sinks: the formats of records, and the ways to store bodies.

To add a format of records, write a module with a `RecordSink` (and `Sink`, if it can be written while a run goes on)
and add a line to `_FORMATS`. To add a way to store bodies, write a module with a `BodyStore`, add a line to
`_BODY_STORES`, and its name to `SAVES` in core/parsers.py, which checks the setting `save`. The command line, `export`
and the readers of runs know them by these lines. The modules are imported when they are needed: some need a package
that may be missing, and `fetchq --help` needs none of them.

Where a template names the files of bodies, `named_files` stores them: `naming` says how, `body_fields` has the values
of the template's fields, `free_names` finds names that are not taken, and `names_journal` notes them for the case of a
kill.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from fetchq.core.parsers import read_save

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from fetchq.store.sinks.base import BodyReader, BodyStore, RecordSink, Sink
    from fetchq.store.sinks.naming import FileNaming

__all__ = [
    "BODY_FOLDERS",
    "LIVE_FORMATS",
    "RECORD_FORMATS",
    "body_reader_for",
    "body_store_for",
    "record_sink_for",
    "sink_for",
]


class _Format(NamedTuple):
    load: Callable[[], Callable[..., Any]]
    """Imports its class, which is called with a stream, what the records include, and what rows pass on."""
    live: bool = True
    """Whether it is a `Sink`, too, which takes Results as a run goes on."""


_FORMATS = {
    "jsonl": _Format(lambda: import_module("fetchq.store.sinks.records_jsonl").JsonLinesSink),
    "csv": _Format(lambda: import_module("fetchq.store.sinks.records_csv").CsvSink),
    "parquet": _Format(lambda: import_module("fetchq.store.sinks.records_parquet").ParquetRecords, live=False),
}
RECORD_FORMATS = tuple(_FORMATS)
"""The formats of `record_sink_for`; each is also the suffix of its files."""
LIVE_FORMATS = tuple(name for name, one in _FORMATS.items() if one.live)
"""The formats of `sink_for`."""


def sink_for(
    format: str,
    stream: BinaryIO,
    include: Sequence[str] = (),
    passed: Sequence[str] = (),
    fields: Sequence[str] = (),
) -> Sink:
    """The sink that writes Results to `stream`, in one of `LIVE_FORMATS`; `include`: see `Result.to_record`.

    `passed`: the names of the columns that the rows pass on, for flat formats. `fields`: the only ones to write; all if
    there are none.
    """
    sink: Sink = _FORMATS[format].load()(stream, include, passed, fields)
    return sink


def record_sink_for(
    format: str, stream: BinaryIO, include: Sequence[str] = (), passed: Sequence[str] = ()
) -> RecordSink:
    """The sink that writes records to `stream`; `include`: see `StoredRun.records`; `passed`: see `sink_for`.

    Raises ImportError for "parquet" where pyarrow is missing.
    """
    sink: RecordSink = _FORMATS[format].load()(stream, include, passed)
    return sink


class _BodyStore(NamedTuple):
    folder: str
    """Its folder inside that of the run."""
    load: Callable[[], Callable[[Path, int], BodyStore]]
    """Imports its class, which is called with the folder of the run and the generation."""
    suffix: str | None = None
    """The suffix of its files, where each holds many bodies."""
    load_reader: Callable[[], BodyReader] | None = None
    """Makes what reads bodies from such files."""


_BODY_STORES = {
    "files": _BodyStore("bodies", lambda: import_module("fetchq.store.sinks.bodies_files").FileStore),
    "warc": _BodyStore(
        "warc",
        lambda: import_module("fetchq.store.sinks.bodies_warc").WarcStore,
        ".warc.gz",
        lambda: import_module("fetchq.store.sinks.warc_file").open_archived_body,
    ),
    "parquet": _BodyStore(
        "parquet",
        lambda: import_module("fetchq.store.sinks.bodies_parquet").ParquetStore,
        ".parquet",
        lambda: import_module("fetchq.store.sinks.parquet_reader").PartReader().opened,
    ),
}
BODY_FOLDERS = tuple(store.folder for store in _BODY_STORES.values())
"""The folders inside that of a run that hold bodies."""


def body_store_for(
    save: str, root: Path, generation: int, mode_bits: int | None = None, naming: FileNaming | None = None
) -> BodyStore | None:
    """The body store of the run in `root`; None for "none". Raises ValueError where its package is missing.

    `mode_bits`: the permissions of its files, if others than their owner may read them. `naming`: of the files of
    bodies, for "files" alone.
    """
    if save == "none":
        return None
    store = (
        _BODY_STORES[read_save(save)].load()(root, generation) if naming is None else _named(root, generation, naming)
    )
    if mode_bits is None:
        return store
    from fetchq.store.sinks.shared_bodies import SharedBodies

    return SharedBodies(store, root, mode_bits)


def _named(root: Path, generation: int, naming: FileNaming) -> BodyStore:
    from fetchq.store.sinks.named_files import NamedFiles

    return NamedFiles(root, generation, naming)


def body_reader_for(name: str) -> BodyReader | None:
    """What reads bodies from the file with that name, which holds many; None where no body store writes such files."""
    for store in _BODY_STORES.values():
        if store.suffix is not None and store.load_reader is not None and name.endswith(store.suffix):
            return store.load_reader()
    return None
