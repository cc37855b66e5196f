"""Where a response's body ends (RFC 9112, 6.3), and which heads say so in a way that cannot be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multidict import istr

from fetchq.core.model import Cause
from fetchq.http.failure import AttemptFailed

if TYPE_CHECKING:
    from multidict import MultiMapping

__all__ = ["framing"]

# istr: looked up without being folded to lower case each time.
_CONTENT_LENGTH = istr("Content-Length")
_TRANSFER_ENCODING = istr("Transfer-Encoding")


def framing(method: str, status: int, headers: MultiMapping[str], version: tuple[int, int]) -> tuple[int | None, bool]:
    """The length of the body, None where the head does not tell, and whether the message itself shows its end.

    Raises `AttemptFailed` (`protocol`) for a head that is not valid.
    """
    if version not in ((1, 0), (1, 1)) or status < 200:
        raise AttemptFailed(Cause.PROTOCOL, f"an answer in HTTP/{version[0]}.{version[1]} with status {status}")
    lengths = headers.getall(_CONTENT_LENGTH, ())
    codings = headers.getall(_TRANSFER_ENCODING, ())
    if codings:
        if lengths or version < (1, 1) or [coding.strip(" \t").lower() for coding in codings] != ["chunked"]:
            raise AttemptFailed(Cause.PROTOCOL, "a Transfer-Encoding that is not just chunked")
    elif lengths:
        text = lengths[0]
        if len(lengths) > 1 or not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise AttemptFailed(Cause.PROTOCOL, f"not a Content-Length: {', '.join(lengths)}")
    if method == "HEAD" or status in (204, 304):
        return 0, True
    return int(lengths[0]) if lengths else None, bool(codings or lengths)
