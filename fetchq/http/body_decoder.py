"""Makes the decoders of bodies, and says what they hold back and how much they may receive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchq.http.coding_policy import UndecidedDecoder
from fetchq.http.content_coding import decoder_for
from fetchq.http.decoder import DecodeError
from fetchq.http.large_windows import WindowedDecoder, windowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fetchq.core.body_spool import Spool
    from fetchq.core.settings import Settings
    from fetchq.http.decoder import Decoder

__all__ = ["decoder_of", "held_back_by", "held_by", "most_received"]


def most_received(max_filesize: int) -> int:
    """The most bytes to receive of a coded body: a coding may have bytes without end of which nothing is decoded.

    That is twice the limit of what is decoded, and what a short body may have beside its data.
    """
    return 2 * max_filesize + 65_536


def decoder_of(codings: list[str], content_encoding: str, limits: Settings) -> Decoder:
    """The decoder of these codings. Raises `DecodeError` if there are too many, or one is unknown."""
    decoder = decoder_for(codings, max_size=limits.max_filesize, max_ratio=limits.max_ratio)
    if decoder is None:
        raise DecodeError(f"an unknown content coding: {content_encoding}")
    return windowed(decoder, codings)


def held_by(decoder: Decoder | None) -> Spool | None:
    """What a decoder holds back on the disk, as received; None if nothing is."""
    return decoder.held if isinstance(decoder, UndecidedDecoder | WindowedDecoder) else None


def held_back_by(decoder: Decoder) -> Iterator[bytes]:
    """End the data, and yield what the decoder has held back of it. Raises `DecodeError`."""
    if isinstance(decoder, UndecidedDecoder | WindowedDecoder):
        yield from decoder.flush()
    decoder.finish()
