"""Makes aiohttp's parsers, which read the heads of responses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp.http import HttpResponseParser

from fetchq.http.failure import AttemptFailed
from fetchq.http.wire_checks import MAX_HEADERS, MAX_LINE, bad_head, repair_head

if TYPE_CHECKING:
    from aiohttp.base_protocol import BaseProtocol

__all__ = ["new_parser", "parse_repaired"]


def new_parser(protocol: BaseProtocol, loop: asyncio.AbstractEventLoop) -> Any:
    """A parser of whole heads. It reads one after another, up to one that it refuses."""
    return HttpResponseParser(
        protocol,
        loop,
        0,
        response_with_body=False,
        auto_decompress=False,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        max_headers=MAX_HEADERS,
    )


def parse_repaired(parser: Any, head: bytes) -> Any:
    """Read a head that another parser has refused. Raises `AttemptFailed` (`protocol`) if it cannot be repaired."""
    try:
        return parser.feed_data(repair_head(head))[0]
    except AttemptFailed:
        raise
    except Exception:  # noqa: BLE001  # whatever the parser raises, the server's bytes are the reason
        raise bad_head(head) from None
