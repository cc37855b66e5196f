"""Many hosts that are one server."""

from __future__ import annotations

from support.servers import ScriptServer

__all__ = ["Hosts"]


class Hosts:
    """Names that all lead to one server, for the settings of a run."""

    def __init__(self, server: ScriptServer, count: int) -> None:
        self.server = server
        self.urls = [server.at(f"host{number}.test") for number in range(count)]
        self.resolve = [f"host{number}.test:{server.port}:127.0.0.1" for number in range(count)]

    def rows(self, count: int) -> list[str]:
        """So many URLs, of each host in turn, each with its number as its path."""
        return [f"{self.urls[number % len(self.urls)]}/{number}" for number in range(count)]
