"""Receives a body that nobody needs, where a run only looks whether its URLs answer (`--head`)."""

from __future__ import annotations

from hashlib import sha256
from math import inf

from fetchq.core.model import Cause
from fetchq.http.body import ReceivedBody
from fetchq.http.failure import AttemptFailed

__all__ = ["MOST_READ", "UnreadBody"]

MOST_READ = 65_536
"""Bytes of such a body that are read so that its connection can be used again; it is closed if the body is longer."""
_SHA256_OF_NOTHING = sha256(b"").hexdigest()


class UnreadBody(ReceivedBody):
    """A body that is neither decoded nor kept. An attempt that is cut off in it counts as a success."""

    __slots__ = ()

    def check_length(self, length: int, *, coded: bool) -> None:
        """Read nothing of a body that is longer than `MOST_READ`."""
        if length > MOST_READ:
            self._cut_off()

    def expect_coding(
        self, content_encoding: str, length: int | None, *, asked: bool = True, published: bytes | None = None
    ) -> None:
        """Note the Content-Encoding."""
        self.content_encoding = content_encoding

    def feed(self, data: bytes, until: float = inf) -> None:
        """Count the next piece of the body."""
        self.wire_size += len(data)
        if self.wire_size > MOST_READ:
            self._cut_off()

    def end(self, until: float = inf) -> None:
        """Do nothing: no data is held back."""

    def finish(self) -> None:
        """Set the `digest` of an empty body; of another one it is not known."""
        self.digest = None if self.wire_size else _SHA256_OF_NOTHING

    def take_whole(self, data: bytes) -> None:
        """Count a body that has arrived whole."""
        self.wire_size = len(data)
        self.finish()

    def _cut_off(self) -> None:
        self.truncated = True
        raise AttemptFailed(Cause.TOO_LARGE, "the rest is not needed")
