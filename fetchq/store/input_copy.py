"""The input of a durable run, so that the folder alone is enough to go on.

A file stays where it is, and must not change. What comes through a pipe, and URLs that are arguments, are copied into
the folder. Rows that a Python program hands over are in the ledger.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from fetchq.core.disk import make_folder
from fetchq.inputs.lines import SourceError
from fetchq.inputs.opening import StoredList, open_stored_lists, open_stored_rows, standard_input
from fetchq.inputs.source import Source

if TYPE_CHECKING:
    from fetchq.store.folder import RunFolder
    from fetchq.store.ledger import Ledger

__all__ = ["ROWS", "Copier", "describe", "reopen", "reopen_rows"]

ROWS = "rows"
"""The kind of an input that is in the ledger."""
_PART = ".part"
"""Ends the name of a copy that is not whole."""
_CHUNK = 65_536


def describe(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """What is to be known of each argument, as JSON can hold it. Raises SourceError.

    `kind`: "file", with its absolute path, size and SHA-256; "urls", several in a row as one; "pipe". The last two
    have a `copy`, its name in the run's input folder.
    """
    entries: list[dict[str, Any]] = []
    for argument in arguments:
        if "://" in argument:
            if entries and entries[-1]["kind"] == "urls":
                entries[-1]["digest"] = _digest_of(entries[-1]["digest"] + argument)
                entries[-1]["count"] += 1
            else:
                copy = f"{len(entries)}.jsonl"
                digest = _digest_of(argument)
                entries.append({"kind": "urls", "given": "arguments", "copy": copy, "count": 1, "digest": digest})
        elif argument == "-" or not _regular(argument):
            suffix = "".join(Path(argument).suffixes[-2:]) if argument != "-" else ""
            entries.append({"kind": "pipe", "given": argument, "copy": f"{len(entries)}{suffix}"})
        else:
            entries.append(_file_entry(argument))
    return entries


def _digest_of(text: str) -> str:
    # Arguments may hold passwords, and are not kept in the ledger themselves.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return True  # opening it will say what is wrong


def _file_entry(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise SourceError(f"{path!r} cannot be read: {why}") from problem
    return {"kind": "file", "given": path, "path": os.path.abspath(path), "size": size, "sha256": digest}


def same(before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> bool:
    """Whether arguments name the same inputs as those of an earlier session; what is in files may have changed."""

    def essence(entry: dict[str, Any]) -> tuple[Any, ...]:
        return entry["kind"], entry.get("path"), entry.get("digest")

    return [essence(one) for one in before] == [essence(one) for one in now]


def reopen(
    entries: Sequence[dict[str, Any]],
    folder: RunFolder,
    *,
    input_format: str | None,
    url_column: str,
    arguments: Sequence[str] = (),
    stdin: BinaryIO | None = None,
) -> tuple[Source, list[Copier], str | None]:
    """The source of the run in `folder`, the copiers that must be started for it, and a warning.

    With `arguments` a pipe is read again, from its beginning: what was copied of it before must come again. Without
    them the copy is all there is. Raises SourceError: a file is missing or has changed.
    """
    make_folder(folder.input)
    lists: list[StoredList] = []
    copiers: list[Copier] = []
    warning: str | None = None
    urls = iter([argument for argument in arguments if "://" in argument])
    for entry in entries:
        if entry["kind"] == "file":
            _check_unchanged(entry)
            lists.append(StoredList(entry["path"], entry["given"]))
            continue
        copy = folder.input / entry["copy"]
        if entry["kind"] == "urls":
            mine = list(islice(urls, entry["count"]))
            if not copy.exists():
                if not mine:
                    raise SourceError("the run was killed before it had kept its arguments; begin it anew")
                _copy_urls(copy, mine)
            lists.append(StoredList(str(copy), entry["given"], input_format="jsonl"))
        elif copy.exists() and not arguments:
            lists.append(StoredList(str(copy), entry["given"]))
        elif arguments:
            stream = standard_input(stdin) if entry["given"] == "-" else None
            copiers.append(Copier(entry["given"], stream, copy))
            lists.append(StoredList(str(copy), entry["given"], stream=copiers[-1].tail()))
        else:
            warning = _cut_short(entry, copy)
            lists.append(StoredList(str(copy), entry["given"]))
    return open_stored_lists(lists, input_format=input_format, url_column=url_column), copiers, warning


def reopen_rows(ledger: Ledger) -> Source:
    """The source of a run whose rows a Python program has handed over."""
    return open_stored_rows(ledger.input)


def _check_unchanged(entry: dict[str, Any]) -> None:
    path = entry["path"]
    if not os.path.exists(path):
        raise SourceError(f"the run's input {path!r} is gone; put it back to go on")
    if not _regular(path):
        raise SourceError(f"the run's input {path!r} is not a file any more; put the old one back, or begin anew")
    now = _file_entry(path)
    if (now["size"], now["sha256"]) != (entry["size"], entry["sha256"]):
        raise SourceError(f"the run's input {path!r} has changed since it began; put the old one back, or begin anew")


def _copy_urls(copy: Path, urls: Sequence[str]) -> None:
    # An argument that is not UTF-8 is none in the copy, either: it must not become another URL.
    lines = [json.dumps({"url": url}, ensure_ascii=False) + "\n" for url in urls]
    _write_whole(copy, "".join(lines).encode("utf-8", "surrogateescape"))


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + _PART)
    with _private(part, os.O_TRUNC) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _private(path: Path, flags: int) -> BinaryIO:
    """A file to write, which only its owner may read: URLs and rows may hold passwords."""
    flags |= getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600), "r+b")


def _cut_short(entry: dict[str, Any], copy: Path) -> str:
    """Make do with what was copied, in whole lines. Returns the warning."""
    part = copy.with_name(copy.name + _PART)
    with _private(part, 0) as file:
        if not entry["given"].endswith((".gz", ".zst")):
            file.truncate(_whole_lines(file))
        size = file.seek(0, os.SEEK_END)
        os.fsync(file.fileno())
    os.replace(part, copy)
    name = "standard input" if entry["given"] == "-" else repr(entry["given"])
    return f"the run ended before all of {name} had come in; it goes on with the {size} bytes that had"


def _whole_lines(file: BinaryIO) -> int:
    """The bytes up to the last newline."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _CHUNK)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


class Copier:
    """Copies a pipe into the run's folder as fast as it comes, in a thread; `tail` reads what is there already.

    Of what an earlier session has copied, the same must come again.
    """

    def __init__(self, given: str, stream: BinaryIO | None, copy: Path) -> None:
        self._given = given
        self._stream = stream
        self._copy = copy
        self._whole = copy.exists()
        """An earlier session has copied all of it."""
        self._part = copy if self._whole else copy.with_name(copy.name + _PART)
        self._changed = threading.Condition()
        self._size = 0
        """Bytes that can be read of the copy."""
        self._ended = False
        self._problem: OSError | None = None

    def start(self) -> None:
        # A daemon: whoever writes the pipe may take for ever, and a thread that waits for it cannot be interrupted.
        threading.Thread(target=self._run, name="fetchq-copier", daemon=True).start()

    def tail(self) -> BinaryIO:
        """The bytes of the pipe, from its beginning; a read waits for more of them."""
        tail: Any = io.BufferedReader(_Tail(self._read), _CHUNK)
        return tail  # type: ignore[no-any-return]  # io's classes and typing's do not know each other

    def _run(self) -> None:
        try:
            given = nullcontext(self._stream) if self._stream else open(self._given, "rb", buffering=0)  # noqa: SIM115
            with given as stream, _private(self._part, 0) as copy:
                self._copy_all(stream, copy)
            os.replace(self._part, self._copy)
        except OSError as problem:
            self._problem = problem
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _copy_all(self, stream: BinaryIO, copy: BinaryIO) -> None:
        while chunk := stream.read(_CHUNK):
            before = copy.read(len(chunk))
            if not chunk.startswith(before) or (self._whole and len(before) < len(chunk)):
                raise OSError(0, "it is not what it was when the run began")
            copy.write(chunk[len(before) :])
            copy.flush()
            with self._changed:
                self._size += len(chunk)
                self._changed.notify_all()
        if copy.read(1):
            raise OSError(0, "it is shorter than it was when the run began")
        os.fsync(copy.fileno())

    def _read(self, at: int, most: int) -> bytes:
        with self._changed:
            while self._size <= at and not self._ended:
                self._changed.wait()
            if self._size <= at and self._problem is not None:
                raise self._problem
            size = self._size
        if size <= at:
            return b""
        path = self._copy if self._copy.exists() else self._part
        with open(path, "rb", buffering=0) as copy:
            copy.seek(at)
            return copy.read(min(most, size - at))


class _Tail(io.RawIOBase):
    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read_at = read
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read_at(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
