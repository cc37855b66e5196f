"""Many hosts that are one server."""

from __future__ import annotations

from collections.abc import Iterable

from fetchq import Result
from support.servers import ScriptServer

__all__ = ["Hosts", "places"]


class Hosts:
    """Names that all lead to one server, for the settings of a run."""

    def __init__(self, server: ScriptServer, count: int) -> None:
        self.server = server
        self.urls = [server.at(f"host{number}.test") for number in range(count)]
        self.resolve = [f"host{number}.test:{server.port}:127.0.0.1" for number in range(count)]

    def rows(self, count: int) -> list[str]:
        """So many URLs, of each host in turn, each with its number as its path."""
        return [f"{self.urls[number % len(self.urls)]}/{number}" for number in range(count)]


def places(results: Iterable[Result], workers: int) -> dict[str, set[bool]]:
    """Of each host, in which half of the workers its rows were fetched."""
    found: dict[str, set[bool]] = {}
    for result in results:
        found.setdefault(result.url.split("/")[2], set()).add((result.worker or 0) <= workers / 2)
    return found
