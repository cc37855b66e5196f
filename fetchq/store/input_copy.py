"""Makes the input of a durable run available to later sessions, so that its folder is enough to resume it.

A file stays where it is, and must not change. Pipes, and arguments that are URLs, are copied into the folder. The rows
of a Python program are in the ledger.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from fetchq.core.disk import StorageError, make_folder
from fetchq.inputs.lines import SourceError
from fetchq.inputs.opening import StoredList, open_stored_lists, open_stored_rows, standard_input
from fetchq.inputs.source import Source
from fetchq.store.pipe_copy import PipeCopier, finish_partial_copy, is_whole, write_private

if TYPE_CHECKING:
    from fetchq.store.folder import RunFolder
    from fetchq.store.ledger_reader import LedgerReader

__all__ = [
    "PROGRAM_ROWS",
    "RunInput",
    "describe_inputs",
    "is_description",
    "open_input_rows",
    "open_inputs",
    "same_inputs",
]

PROGRAM_ROWS = "rows"
"""The `kind` of an input that consists of the rows of a Python program."""


_SUFFIXES = re.compile(r"(?:\.[A-Za-z0-9]+){1,2}$")
_COPY = re.compile(r"[0-9]+(?:\.[A-Za-z0-9]+){0,2}")
"""The name of a copy: its number, with the suffixes of the input."""


class RunInput(NamedTuple):
    """The opened input of a run."""

    source: Source
    copiers: Sequence[PipeCopier] = ()
    """The threads that copy pipes; they must be started before the source is read."""
    warning: str | None = None
    """A warning of one line for the user."""


def describe_inputs(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Describe the inputs that the arguments name, as values for JSON. Raises `SourceError`.

    The `kind` of an input is "file", with its absolute path, size and SHA-256; "urls", for consecutive URLs; or "pipe".
    For the last two, `copy` is the name of the copy in the run's input folder.
    """
    inputs: list[dict[str, Any]] = []
    for argument in arguments:
        if "://" in argument:
            if inputs and inputs[-1]["kind"] == "urls":
                inputs[-1]["digest"] = _digest_of(inputs[-1]["digest"] + argument)
                inputs[-1]["count"] += 1
            else:
                copy = f"{len(inputs)}.jsonl"
                digest = _digest_of(argument)
                inputs.append({"kind": "urls", "given": "arguments", "copy": copy, "count": 1, "digest": digest})
        elif _is_pipe(argument):
            found = _SUFFIXES.search(argument)
            inputs.append({"kind": "pipe", "given": argument, "copy": f"{len(inputs)}{found[0] if found else ''}"})
        else:
            inputs.append(_describe_file(argument))
    return inputs


def _digest_of(text: str) -> str:
    # Arguments may contain passwords, so the ledger only keeps their hash.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return True  # opening the file will raise the right error


def _describe_file(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise SourceError(f"{path!r} cannot be read: {why}") from problem
    return {"kind": "file", "given": path, "path": os.path.abspath(path), "size": size, "sha256": digest}


def is_description(value: object) -> bool:
    """Whether it could be an input that `describe_inputs` describes: a copy has the plain name of a file."""
    match value:
        case {"kind": "rows"}:
            return True
        case {"kind": "file", "given": str(), "path": str(path), "size": int(), "sha256": str()}:
            return "\0" not in path
        case {"kind": "urls", "given": str(), "copy": str(copy), "count": int(count), "digest": str()}:
            return _COPY.fullmatch(copy) is not None and count > 0
        case {"kind": "pipe", "given": str(), "copy": str(copy)}:
            return _COPY.fullmatch(copy) is not None
    return False


def same_inputs(before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> bool:
    """Whether two sessions name the same inputs. The contents of files are not compared."""

    def identity(one: dict[str, Any]) -> tuple[Any, ...]:
        return one["kind"], one.get("path"), one.get("digest")

    return [identity(one) for one in before] == [identity(one) for one in now]


def open_inputs(
    inputs: Sequence[dict[str, Any]],
    folder: RunFolder,
    *,
    reading: dict[str, Any],
    arguments: Sequence[str] = (),
    stdin: BinaryIO | None = None,
) -> RunInput:
    """Open the inputs that `describe_inputs` has described. Raises `SourceError` if a file is missing or has changed.

    `reading`: how they are read, as arguments of `open_stored_lists`. With `arguments`, pipes are read again from their
    beginnings, which must be equal to what was copied before. Without them, only the copies are read.
    """
    make_folder(folder.input)
    lists: list[StoredList] = []
    copiers: list[PipeCopier] = []
    warning: str | None = None
    urls = iter([argument for argument in arguments if "://" in argument])
    pipes = iter([argument for argument in arguments if _is_pipe(argument)])
    for one in inputs:
        if one["kind"] == "file":
            _check_unchanged(one)
            lists.append(StoredList(one["path"], one["given"]))
            continue
        copy = folder.input / one["copy"]
        if one["kind"] == "urls":
            group = list(islice(urls, one["count"]))
            if not _has_copy(copy):
                _copy_urls(copy, group)
            lists.append(StoredList(str(copy), one["given"], input_format="jsonl"))
        elif arguments:
            given = next(pipes)  # not the one that the ledger names, which may come from somebody else
            stream = standard_input(stdin) if given == "-" else None
            copiers.append(PipeCopier(given, stream, copy, complete=_has_copy(copy)))
            lists.append(StoredList(str(copy), given, stream=copiers[-1].tail()))
        else:
            if not _has_copy(copy):
                warning = _use_partial_copy(one["given"], copy)
            lists.append(StoredList(str(copy), one["given"]))
    return RunInput(open_stored_lists(lists, **reading), copiers, warning)


def open_input_rows(ledger: LedgerReader) -> RunInput:
    """Open the rows of a Python program that the ledger keeps."""
    return RunInput(open_stored_rows(ledger.input_rows))


def _is_pipe(argument: str) -> bool:
    return "://" not in argument and (argument == "-" or not _is_regular(argument))


def _has_copy(copy: Path) -> bool:
    """Whether there is a complete copy. Raises `StorageError` if something else has its name, or it has changed."""
    try:
        found = os.lstat(copy)
    except FileNotFoundError:
        return False
    try:
        if stat.S_ISREG(found.st_mode) and is_whole(copy):
            return True
    except OSError:
        pass
    raise StorageError(f"the copy of the run's input {str(copy)!r} is damaged")


def _check_unchanged(described: dict[str, Any]) -> None:
    path = described["path"]
    if not os.path.exists(path):
        raise SourceError(f"the run's input {path!r} is gone; put it back to go on")
    if not _is_regular(path):
        raise SourceError(f"the run's input {path!r} is not a file any more; put the old one back, or begin anew")
    if os.path.getsize(path) != described["size"] or _describe_file(path)["sha256"] != described["sha256"]:
        raise SourceError(f"the run's input {path!r} has changed since it began; put the old one back, or begin anew")


def _copy_urls(copy: Path, urls: Sequence[str]) -> None:
    if not urls:
        raise SourceError("the run was killed before it had kept its arguments; begin it anew")
    # Bytes of an argument that are not UTF-8 are copied unchanged, so that the URL stays the same.
    lines = [json.dumps({"url": url}, ensure_ascii=False) + "\n" for url in urls]
    write_private(copy, "".join(lines).encode("utf-8", "surrogateescape"))


def _use_partial_copy(given: str, copy: Path) -> str:
    """Make the copied part of a pipe the whole input. Returns a warning for the user."""
    size = finish_partial_copy(copy, compressed=given.endswith((".gz", ".zst")))
    name = "standard input" if given == "-" else repr(given)
    return f"the run ended before all of {name} had come in; it goes on with the {size} bytes that had"
