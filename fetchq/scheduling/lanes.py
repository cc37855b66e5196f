"""Divides the hosts of a list into lanes, so that several processes can fetch it, and each host is fetched by one.

A host has one lane, by the CRC-32 of its key: `hash()` differs from process to process. A lane is never in two
processes at a time, so the limits, the rate and the pauses of a host in its process hold for the whole run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from zlib import crc32

from fetchq.scheduling.host_key import key_for

if TYPE_CHECKING:
    from fetchq.core.settings import Settings

__all__ = ["lane_for", "lane_of_host"]


def lane_for(settings: Settings, lanes: int) -> Callable[[str], int]:
    """The function that computes the lane of a URL, or of a text that is none: a number from 0, below `lanes`."""
    key_of = key_for(settings)

    def lane_of(url: str) -> int:
        return lane_of_host(key_of(url), lanes)

    return lane_of


def lane_of_host(host: str, lanes: int) -> int:
    """The lane of a host, by its key: a number from 0, below `lanes`."""
    return crc32(host.encode("utf-8", "surrogatepass")) % lanes
