"""Receives the body of a response: decodes it, enforces the limits, hashes it, and keeps or spools it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fetchq.core.body_spool import Spool
from fetchq.core.disk import file_error_text
from fetchq.core.model import Cause
from fetchq.core.settings import Settings
from fetchq.http.body_buffer import BodyBuffer
from fetchq.http.body_decoder import decoder_of, held_back_by, held_by, most_received
from fetchq.http.coding_policy import UndecidedDecoder
from fetchq.http.content_coding import RATIO_FROM, SLICE, codings_in, sliced
from fetchq.http.decoder import BombError, DecodeError, Decoder
from fetchq.http.failure import AttemptFailed
from fetchq.http.large_windows import WAITING, WindowedDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fetchq.core.stored_response import BodyOrigin

__all__ = ["NO_BODY", "ReceivedBody"]

_MOST_HELD = 1_000_000
"""Bytes of a spooled body that are in memory, after which no more is decoded before they are written."""
_SHA256_OF_NOTHING = sha256(b"").hexdigest()


class ReceivedBody:
    """A body, as far as it has arrived. The methods raise `AttemptFailed`."""

    # fmt: off
    __slots__ = (
        "_decoder", "_ended", "_hash", "_kept", "_max_size", "_settings", "_stores", "content",
        "content_encoding", "digest", "held_back", "origin", "rest", "size", "spool", "truncated", "waits", "wire_size",
        "writing",
    )
    # fmt: on

    def __init__(self, settings: Settings, *, stores: bool) -> None:
        """`stores`: whether the body is to be spooled (`Settings.spools`)."""
        self._settings = settings
        self._stores = stores
        self._max_size = settings.max_filesize
        self._decoder: Decoder | None = None
        self._ended = False
        """Whether the data has ended for the decoder."""
        self._hash: Any = None
        self._kept: BodyBuffer | None = None
        self.rest: Iterator[bytes] | None = None
        """What was fed and is left to decode: `go_on` comes before the next `feed`, and before `finish`."""
        self.held_back = self.waits = False
        """Whether some of the body may be held back until `end`; and whether `rest` waits for another body."""
        self.size = self.wire_size = 0
        """Bytes so far: decoded, and as received (without the transfer coding)."""
        self.content_encoding: str | None = None
        """The Content-Encoding, as the server sent it."""
        self.digest: str | None = None
        """SHA-256 of the decoded body, in hexadecimal, once the body is complete."""
        self.content = b""
        """The decoded body, once it is complete; empty if the run does not keep bodies in memory."""
        self.spool: Spool | None = None
        """The decoded body, if it is to be stored and is not empty."""
        self.origin: BodyOrigin | None = None
        """Where the body came from, if an earlier run has stored it (`fetchq.http.revalidation`)."""
        self.truncated = False
        """Whether only the beginning of the body was read, into `content`, which is enough of a robots.txt."""
        self.writing = False
        """Whether a thread is in `write`. It stays true if the attempt is interrupted while the thread goes on."""

    def check_length(self, length: int, *, coded: bool) -> None:
        """Refuse a body whose Content-Length shows that it is too large. `coded`: whether it has a content coding."""
        most = self._max_size
        if length > (most_received(most) if coded else most):
            raise AttemptFailed(Cause.TOO_LARGE, f"a body of {length} bytes; at most {most}")

    def expect_coding(
        self, content_encoding: str, length: int | None, *, asked: bool = True, published: bytes | None = None
    ) -> None:
        """Prepare for a body with this Content-Encoding and this Content-Length.

        `asked`: whether the request asked for the codings (`asks_for`). `published`: what `published_format` says.
        """
        self.content_encoding = content_encoding
        if not asked or not (codings := codings_in(content_encoding)):
            return
        settings = self._settings
        make = partial(decoder_of, codings, content_encoding, settings)
        if published is not None:
            self._decoder = UndecidedDecoder(make, published, keeps_damaged=settings.accept_encoded)
            self.held_back = True
            return
        try:
            self._decoder = make() if length != 0 else None
            self.held_back = isinstance(self._decoder, WindowedDecoder)
        except DecodeError as problem:
            if not settings.accept_encoded:
                raise AttemptFailed(Cause.DECODE, str(problem)) from None
        else:
            if settings.accept_encoded:
                self._decoder = UndecidedDecoder(make, None, keeps_damaged=True)
                self.held_back = True

    @property
    def decoded(self) -> bool:
        """Whether a content coding was undone, so that the body is not as it came."""
        decoder = self._decoder
        return decoder.decodes if isinstance(decoder, UndecidedDecoder) else decoder is not None

    def feed(self, data: bytes, until: float = inf) -> None:
        """Take the next piece of the body, as received.

        What takes longer than `until` (`time.perf_counter`) to decode, or much memory, is left in `rest`.
        """
        self.wire_size += len(data)
        if self.wire_size > self._max_size and self.wire_size > (most := most_received(self._max_size)):
            raise AttemptFailed(Cause.TOO_LARGE, f"a body of more than {most} bytes, as received")
        if (decoder := self._decoder) is None:
            self.rest, until = iter((data,)), inf
        else:
            self.rest = decoder.feed(data) if len(data) <= SLICE else sliced(decoder, data)
        self.go_on(until)

    def end(self, until: float = inf) -> None:
        """Decode what was held back until the body ended. What takes longer than `until` is left in `rest`."""
        self.held_back = False
        if (decoder := self._decoder) is not None and not self._ended and self.wire_size:
            self._ended = True
            self.rest = held_back_by(decoder)
            self.go_on(until)

    def go_on(self, until: float = inf) -> None:
        """Go on with the `rest`, until then, or until so much is in memory that it is to be written first."""
        settings, rest, self.rest = self._settings, self.rest, None
        self.waits = False
        assert rest is not None
        try:
            for piece in rest:
                if piece is WAITING:
                    self.rest, self.waits = rest, True
                    return
                self.size += len(piece)
                if self._hash is None:
                    self._hash = sha256(piece)
                else:
                    self._hash.update(piece)
                if settings.keep_body and piece:
                    if self._kept is None:
                        self._kept = BodyBuffer()
                    self._kept.add(piece)
                if self.size > RATIO_FROM or self.size > self._max_size:
                    self._check_size()
                if self._stores and piece:
                    if self.spool is None:
                        self.spool = Spool(settings.output or "") if not settings.record_bodies else spool_for(settings)
                    self.spool.add(piece)
                if (until != inf and perf_counter() >= until) or (self.spool and self.spool.in_memory >= _MOST_HELD):
                    self.rest = rest
                    return
        except BombError as problem:
            raise AttemptFailed(Cause.TOO_LARGE, str(problem)) from None
        except DecodeError as problem:
            raise AttemptFailed(Cause.DECODE, str(problem)) from None
        except AttemptFailed:
            if isinstance(rest, Generator):
                rest.close()  # which its traceback would keep from ending
            raise
        except MemoryError:
            raise AttemptFailed(Cause.TOO_LARGE, "there is not enough memory to decode it") from None

    def _check_size(self) -> None:
        if self.size > self._max_size:
            raise AttemptFailed(Cause.TOO_LARGE, f"a body of more than {self._max_size} bytes")
        ratio = self._settings.max_ratio
        if self.size > RATIO_FROM and self.size > self.wire_size * ratio:
            raise AttemptFailed(Cause.TOO_LARGE, f"a body that decodes to more than {ratio} times its size")

    def finish(self) -> None:
        """Note that the body is complete: set `digest` and `content`."""
        self.end()
        while self.rest is not None:
            self.go_on()
        self.digest = _SHA256_OF_NOTHING if self._hash is None else self._hash.hexdigest()
        if self._kept is not None:
            self.content, self._kept = self._kept.take(), None

    def take_whole(self, data: bytes) -> None:
        """Take a body that is not coded and has arrived whole: `feed` and `finish` in one step."""
        self.size = self.wire_size = len(data)
        if self.size > RATIO_FROM or self.size > self._max_size:
            self._check_size()
        self.digest = sha256(data).hexdigest()
        settings = self._settings
        if settings.keep_body:
            self.content = data
        if self._stores and data:
            self.spool = Spool(settings.output or "") if not settings.record_bodies else spool_for(settings)
            self.spool.add(data)

    def discard(self) -> None:
        """Free the body, in memory and on the disk."""
        self._kept = self.rest = self._decoder = None
        if self.spool is not None:
            self.spool.discard()
            self.spool = None

    def suspend(self) -> str | None:
        """Free the body, but for the part that a later session may resume. Returns the path of that part, or None."""
        self._kept = None
        spool, self.spool = self.spool, None
        return None if spool is None else spool.suspend()

    def adopt(self, spool: Spool, pieces: list[bytes], state: Any) -> None:
        """Begin with a suspended part.

        `pieces`: its bytes, if the run keeps bodies in memory. `state`: the SHA-256 object that has hashed them.
        """
        self.spool = spool
        self.size = self.wire_size = spool.size
        if pieces:
            self._kept = BodyBuffer()
            for piece in pieces:
                self._kept.add(piece)
        self._hash = state

    @property
    def write_due(self) -> bool:
        """Whether so much of the body is in memory that `write` is to be called."""
        held = held_by(self._decoder)
        return (self.spool is not None and self.spool.due) or (held is not None and held.due)

    def write(self) -> None:
        """Move the spooled bytes from memory to the disk. It blocks. Raises `StorageError` if nothing can be stored."""
        held = held_by(self._decoder)
        try:
            if held is not None and held.due:
                held.write()
            if self.spool is None or not self.spool.due:
                return
            self.spool.write()
        except OSError as problem:
            raise AttemptFailed(Cause.STORE, file_error_text(problem), permanent=True) from None
        if self.spool.description:
            with suppress(OSError):  # without a checkpoint, a later session starts the body over
                self.spool.checkpoint(self._hash.copy().hexdigest())


def spool_for(settings: Settings) -> Spool:
    """The spool of a body that a record will include: in the run's folder, if bodies are stored there."""
    if settings.stores:
        return Spool(settings.output or "")
    from fetchq.core.scratch_file import ScratchSpool  # here, since few runs need it

    return ScratchSpool()


NO_BODY = ReceivedBody(Settings(), stores=False)
"""Stands for the body of a response that has not arrived, or is not valid HTTP. It is never fed."""
