"""Stores the beginning of a long body for a later session, and loads what an earlier session has stored.

Only a body without a content coding is stored: its bytes on the disk are those that the server counts in a Range.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

from fetchq.core.body_spool import DESCRIPTION, PartSpool
from fetchq.core.headers import headers_of
from fetchq.http.body import ReceivedBody
from fetchq.http.part_source import PartSource, part_source
from fetchq.http.range_resume import MIN_RESUMED, Partial
from fetchq.http.response import head_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fetchq.core.model import Request
    from fetchq.core.settings import Settings
    from fetchq.http.hop import Hop
    from fetchq.http.response import ResponseHead

__all__ = ["describe_part", "load_part", "read_description"]

_PIECE = 262_144


class Receiving(Protocol):
    """The attributes of an attempt that this module uses."""

    request: Request
    method: str
    hop: Hop
    redirects: int
    response: ResponseHead
    body: ReceivedBody


def describe_part(attempt: Receiving) -> None:
    """Set the description of the part, with which `write` keeps it, if a later session could resume the body."""
    spool, response = attempt.body.spool, attempt.response
    if spool is None or spool.description is not None or attempt.body.wire_size <= MIN_RESUMED:
        return
    source = part_source(attempt)
    if source is None or source.codings:
        spool.description = b""
        return
    told = {
        "row": attempt.request.index,
        "source": source,
        "reason": response.reason,
        # The record of the whole body has the headers of its first response; no secrets of a session are kept.
        "headers": [pair for pair in response.headers.items() if not pair[0].lower().startswith("set-cookie")],
        "http_version": response.http_version,
        "length": response.length if response.total is None else response.total,
        "framed": response.framed,
    }
    line = json.dumps(told).encode()
    spool.description = sha256(line).hexdigest().encode() + b" " + line


def read_description(part: str) -> tuple[dict[str, Any], list[bytes]]:
    """What the description of a part says: a dictionary with its `row`, and a line for each write.

    It blocks. Raises OSError, also if it is no plain file; ValueError if it is damaged.
    """
    with open(part + DESCRIPTION, "rb", opener=_plain_file) as described:
        digest, _, line = described.readline().rstrip(b"\n").partition(b" ")
        if digest.decode() != sha256(line).hexdigest():
            raise ValueError("damaged")
        told: dict[str, Any] = json.loads(line)
        return told, described.readlines()


def load_part(path: str, settings: Settings) -> Partial | None:
    """The part that an earlier session has stored at `path`; None if it is gone, or was damaged and deleted. Blocks."""
    try:
        told, writes = read_description(path)
        source, response = _read(told)
        checkpoints = [(int(size), digest.decode()) for size, digest in (line.split() for line in writes)]
        size, state = _last_valid(path, checkpoints)
        spool = PartSpool(settings.output or "", path, size)
        pieces = [*_pieces(path, size)] if settings.keep_body else []
    except OSError:
        return None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        for damaged in (path + DESCRIPTION, path):
            with suppress(OSError):
                os.unlink(damaged)
        return None
    body = ReceivedBody(settings, stores=True)
    body.adopt(spool, pieces, state)
    return Partial(body, source, response)


def _read(told: dict[str, Any]) -> tuple[PartSource, ResponseHead]:
    """What a description says. Raises ValueError, TypeError or KeyError if it is damaged."""
    url, address, redirected, if_range, etags, _, total = told["source"]
    source = PartSource(url, address, redirected, if_range, tuple(etags), (), total)
    headers = headers_of((name, value) for name, value in told["headers"])
    return source, head_of(200, told["reason"], headers, told["http_version"], told["length"], told["framed"])


def _last_valid(path: str, checkpoints: list[tuple[int, str]]) -> tuple[int, Any]:
    """The size of the part up to its last valid checkpoint, and the SHA-256 object. Raises ValueError, OSError.

    `checkpoints`: sizes, and the digests of as many bytes. What follows the last valid one is not used.
    """
    state, size, valid = sha256(), 0, None
    with open(path, "rb", opener=_plain_file) as file:
        for end, digest in checkpoints:
            while size < end and (piece := file.read(min(end - size, _PIECE))):
                state.update(piece)
                size += len(piece)
            if size != end or state.hexdigest() != digest:
                break
            valid = end, state.copy()
    if valid is None or valid[0] <= MIN_RESUMED:
        raise ValueError("no part")
    return valid


def _pieces(path: str, size: int) -> Iterator[bytes]:
    with open(path, "rb", opener=_plain_file) as file:
        while size and (piece := file.read(min(size, _PIECE))):
            size -= len(piece)
            yield piece


def _plain_file(path: str, flags: int) -> int:
    """Open no symbolic link, and no pipe, which could be waited for without end."""
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", path)
    return descriptor
