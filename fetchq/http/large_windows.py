"""Bounds the memory of decoders that keep much of what they have decoded: a window of 16 MB in br, of 128 MB in zstd.

Short bodies, and as many long ones as fit into a budget, are decoded as they arrive. Of the others, the rest is kept on
the disk as it was received, and decoded when it has arrived whole, one body at a time. So a server that sends slowly
keeps no other row waiting for memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import perf_counter
from typing import TYPE_CHECKING

from fetchq.core.scratch_file import ScratchSpool
from fetchq.http.content_coding import sliced

if TYPE_CHECKING:
    from fetchq.http.decoder import Decoder

__all__ = ["WAITING", "WindowedDecoder", "windowed"]

SHORT = 1_000_000
"""Up to so many decoded bytes, a body in zstd takes no place in the budget. One in br does from its first byte on: its
decoder fills the window before it gives out anything."""
BUDGET = 64_000_000
"""Bytes of the windows of all bodies that are decoded as they arrive, in this process."""
_WINDOWS = {"br": 3 * 16_777_216, "zstd": 64_000_000}
"""The largest windows: of br (RFC 7932, 9.1); of zstd, which may be larger, what lets one body go at a time."""
_ABANDONED = 5.0
"""Seconds after which a turn that is not used is over: its attempt has ended, and nobody has closed the iterator."""


class _Waiting(bytes):
    """No data, unlike other empty pieces."""


WAITING = _Waiting()
"""Is yielded, this very object, while another body is decoded from the disk."""


class _Budget:
    """The bytes that are left of the budget. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used = 0

    def take(self, size: int) -> bool:
        with self._lock:
            fits = self._used + size <= BUDGET
            self._used += size if fits else 0
            return fits

    def give_back(self, size: int) -> None:
        with self._lock:
            self._used -= size


class _Turn:
    """The turn to decode from the disk, which one decoder has. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: object = None
        self._used_at = 0.0

    def take(self, decoder: object) -> bool:
        """Take the turn, or keep it. One that is not used any more, as after a cancelled attempt, is taken over."""
        now = perf_counter()
        with self._lock:
            free = self._owner is None or self._owner is decoder or now - self._used_at > _ABANDONED
            if free:
                self._owner, self._used_at = decoder, now
            return free

    def end(self, decoder: object) -> None:
        with self._lock:
            if self._owner is decoder:
                self._owner = None


_budget = _Budget()
_turn = _Turn()


class WindowedDecoder:
    """Decodes as another decoder does, but holds back what does not fit into the budget until the data has ended."""

    def __init__(self, decoder: Decoder, window: int, short: int) -> None:
        """`window`: the bytes that the decoder may keep; 0 for br, whose first byte tells.

        `short`: up to so many decoded bytes it takes no place.
        """
        self._decoder: Decoder | None = decoder
        self._window = window
        self._short = short
        self._size = 0
        self._taken = 0
        self._rest: Iterator[bytes] = iter(())
        self.held: ScratchSpool | None = None
        """What is held back, as received; None if nothing is."""

    def unbounded(self) -> Decoder:
        """The decoder itself, whose window counts in no budget. This one is of no use then."""
        assert self._decoder is not None
        return self._decoder

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._window == 0 and data:
            self._window = 3 * _window_of_br(data[0])  # with a window's worth of output, which is then joined
        if self.held is None and not self._fits():
            self.held = ScratchSpool()
        if self.held is not None:
            self.held.add(data)
            return
        assert self._decoder is not None
        pieces = self._decoder.feed(data)
        for piece in pieces:
            self._size += len(piece)
            yield piece
            if not self._fits():
                self._rest, self.held = pieces, ScratchSpool()
                return

    def flush(self) -> Iterator[bytes]:
        """Yield what was held back of data that has ended. The iterator must be exhausted. Raises `DecodeError`."""
        if self.held is None:
            return
        try:
            for piece in self._decoded():
                while not _turn.take(self):
                    yield WAITING
                yield piece
        finally:
            _turn.end(self)

    def _decoded(self) -> Iterator[bytes]:
        yield b""  # the turn comes first
        assert self._decoder is not None
        assert self.held is not None
        yield from self._rest
        for piece in self.held.pieces():
            yield from sliced(self._decoder, piece)

    def finish(self) -> None:
        """End the data, after `flush`. Raises `DecodeError` if it has not reached its own end."""
        assert self._decoder is not None
        self._decoder.finish()
        self._free()

    def _fits(self) -> bool:
        """Whether it may go on to decode, since it is short so far, or has its place in the budget."""
        if self._size < self._short or self._taken:
            return True
        if not _budget.take(self._window):
            return False
        self._taken = self._window
        return True

    def _free(self) -> None:
        """Free the window and its place, and what was held back."""
        self._decoder, self.held, self._rest = None, None, iter(())
        if self._taken:
            _budget.give_back(self._taken)
            self._taken = 0

    def __del__(self) -> None:
        self._free()


def windowed(decoder: Decoder, codings: list[str]) -> Decoder:
    """The decoder of these codings, within the budget, if it has a large window."""
    if codings == ["br"]:
        return WindowedDecoder(decoder, 0, 0)
    window = max(_WINDOWS.get(name, 0) for name in codings)
    # What passes between two codings is not seen here, so that there no body is short.
    return WindowedDecoder(decoder, window, SHORT if len(codings) == 1 else 0) if window else decoder


def _window_of_br(first: int) -> int:
    """The bytes of the window that br data with this first byte has (RFC 7932, 9.1)."""
    bits = 16
    if first & 1:
        bits = 17 + (first >> 1 & 7)
        if bits == 17 and (rest := first >> 4 & 7):
            bits = 8 + rest
    return 1 << bits
