"""The body of a response as it comes in: decoded, held to the limits, hashed, and kept where it is wanted."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from fetchq.core.body_spool import Spool
from fetchq.core.disk import file_error_text
from fetchq.core.model import Cause
from fetchq.http.content_coding import RATIO_FROM, BombError, DecodeError, Decoder, codings_in, decoder_for
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["Intake"]

_EMPTY = sha256(b"").hexdigest()


class Intake:
    """One body. Its methods raise `AttemptFailed`."""

    __slots__ = ("_decoder", "_hash", "_pieces", "_settings", "size", "spool", "wire_size", "writing")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._decoder: Decoder | None = None
        self._hash: Any = None
        self._pieces: list[bytes] = []
        self.size = self.wire_size = 0
        self.spool: Spool | None = None
        """The body, where it is to be stored and not empty."""
        self.writing = False
        """A thread is in `write`, or was when its attempt was interrupted, and may be still."""

    def check_length(self, length: int, *, coded: bool) -> None:
        """The length that a body is said to have, as it comes: one that cannot but be too large is not even read."""
        most = self._settings.max_filesize
        if length > (most * self._settings.max_ratio if coded else most):
            raise AttemptFailed(Cause.TOO_LARGE, f"a body of {length} bytes; at most {most}")

    def expect(self, content_encoding: str, length: int | None) -> None:
        """The Content-Encoding of what comes, and its Content-Length."""
        if not (codings := codings_in(content_encoding)):
            return
        limits = self._settings
        try:
            self._decoder = decoder_for(codings, most=limits.max_filesize, most_ratio=limits.max_ratio)
        except DecodeError as problem:
            raise AttemptFailed(Cause.DECODE, str(problem)) from None
        if self._decoder is None and not limits.accept_encoded and length != 0:
            raise AttemptFailed(Cause.DECODE, f"an unknown content coding: {content_encoding}")

    def take(self, data: bytes) -> None:
        """Some of the body, without its transfer coding."""
        self.wire_size += len(data)
        if self._decoder is None:
            self._take(data)
            return
        try:
            for piece in self._decoder.feed(data):
                self._take(piece)
        except BombError as problem:
            raise AttemptFailed(Cause.TOO_LARGE, str(problem)) from None
        except DecodeError as problem:
            raise AttemptFailed(Cause.DECODE, str(problem)) from None

    def _take(self, piece: bytes) -> None:
        self.size += len(piece)
        settings = self._settings
        if self.size > settings.max_filesize:
            raise AttemptFailed(Cause.TOO_LARGE, f"a body of more than {settings.max_filesize} bytes")
        if self.size > RATIO_FROM and self.size > self.wire_size * settings.max_ratio:
            raise AttemptFailed(
                Cause.TOO_LARGE, f"a body that decodes to more than {settings.max_ratio} times its size"
            )
        if self._hash is None:
            self._hash = sha256(piece)
        else:
            self._hash.update(piece)
        if settings.keep_body:
            self._pieces.append(piece)
        if settings.stores:
            if self.spool is None:
                self.spool = Spool(settings.output or "")
            self.spool.add(piece)

    def end(self) -> tuple[str, bytes]:
        """The body is whole: its SHA-256 in hexadecimal, and the bytes where they are kept in memory."""
        if self._decoder is not None and self.wire_size:
            try:
                self._decoder.finish()
            except DecodeError as problem:
                raise AttemptFailed(Cause.DECODE, str(problem)) from None
        digest = _EMPTY if self._hash is None else self._hash.hexdigest()
        return digest, self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def discard(self) -> None:
        """Nobody wants what has come."""
        self._pieces = []
        if self.spool is not None:
            self.spool.discard()
            self.spool = None

    @property
    def due(self) -> bool:
        """So much is in memory that `write` is to be called, where blocking does no harm."""
        return self.spool is not None and self.spool.due

    def write(self) -> None:
        """Move what is in memory to the disk. Raises `StorageError` where nothing can be stored any more."""
        assert self.spool is not None
        try:
            self.spool.write()
        except OSError as problem:
            raise AttemptFailed(Cause.STORE, file_error_text(problem), permanent=True) from None
