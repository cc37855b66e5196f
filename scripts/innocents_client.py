"""Runs the command with a watch on its event loop: `innocents_client.py MODE FILE ARGUMENT...`.

MODE "asyncio" measures each step of the loop; "uvloop" has no hook for that, so the delay of a timer is taken. FILE
gets the longest one as JSON: the seconds by the clock, and those of CPU.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import sys
import time
from pathlib import Path
from typing import Any


def main(mode: str, file: str, arguments: list[str]) -> None:
    longest = {"wall": 0.0, "cpu": 0.0}
    atexit.register(lambda: Path(file).write_text(json.dumps([longest["wall"], longest["cpu"]])))
    if mode == "asyncio":
        from fetchq.workers import process

        process.loop_factory = lambda: None
        watch_steps(longest)
    elif mode == "uvloop":
        watch_delays(longest)
    sys.argv[1:] = arguments
    from fetchq.__main__ import main as fetchq

    fetchq()


def watch_steps(longest: dict[str, float]) -> None:
    handle: Any = asyncio.Handle
    run = handle._run

    def timed(self: Any) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        run(self)
        spent, worked = time.perf_counter() - wall, time.thread_time() - cpu
        if worked > longest["cpu"] and begun:
            longest["cpu"] = worked
        if spent > longest["wall"] and begun:
            longest["wall"] = spent

    from fetchq.engines.aiohttp.connection import Connection

    begun: list[None] = []
    first = Connection.data_received

    def received(self: Any, data: bytes) -> None:
        """From the first answer on: libraries are imported before that."""
        begun.append(None)
        Connection.data_received = first  # type: ignore[method-assign]
        first(self, data)

    Connection.data_received = received  # type: ignore[method-assign]
    handle._run = timed


def watch_delays(longest: dict[str, float]) -> None:
    from fetchq.workers.loop_monitor import LoopMonitor

    stop = LoopMonitor.stop

    def stopped(self: LoopMonitor) -> None:
        longest["wall"] = self.longest_delay
        stop(self)

    LoopMonitor.stop = stopped  # type: ignore[method-assign]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
