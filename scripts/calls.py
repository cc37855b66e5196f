"""The benchmark of single calls: CPU and seconds of each, against a session of aiohttp that is kept."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from time import perf_counter, process_time

import aiohttp
from measuring import in_loop, in_turn, ratio, report, server, url_of

from fetchq import Client, fetch_all

_CALLS = 1000
_WARM = 20
_ROUNDS = 3


def client() -> bool:
    """1,000 calls one after the other, warm."""
    with server() as base:

        def figures(kind: str) -> tuple[float, float]:
            cpu, seconds = subprocess.check_output([sys.executable, __file__, kind, base]).split()
            return float(cpu), float(seconds)

        def cpu_of(kind: str) -> Callable[[], float]:
            return lambda: figures(kind)[0]

        bare, one, listed = in_turn(_ROUNDS, cpu_of("aiohttp"), cpu_of("fetch"), cpu_of("fetch_all"))
        alone = statistics.median(figures("alone")[1] for _ in range(_ROUNDS)) * 1e3
    against = f"against {statistics.median(bare) * 1e6:.0f} us of aiohttp"
    kept = [
        report("CPU of client.fetch", ratio(one, bare), 1.3, f"{statistics.median(one) * 1e6:.0f} us {against}"),
        report("CPU of client.fetch_all([url])", ratio(listed, bare), 1.3, f"{statistics.median(listed) * 1e6:.0f} us"),
        report("fetch_all([url]) without Client", alone, 2.0, "of the clock", "ms"),
    ]
    return all(kept)


async def _measure(kind: str, url: str) -> tuple[float, float]:
    """CPU seconds and seconds of a call."""
    async with Client(workers=20) as kept, aiohttp.ClientSession() as session:

        async def get() -> None:
            async with session.get(url) as response:
                assert response.status == 200
                await response.read()

        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "aiohttp": get,
            "fetch": lambda: kept.fetch(url),
            "fetch_all": lambda: kept.fetch_all([url]),
            "alone": lambda: fetch_all([url]),
        }
        call = calls[kind]
        for _ in range(_WARM):
            await call()
        cpu, began = process_time(), perf_counter()
        for _ in range(_CALLS):
            await call()
        return (process_time() - cpu) / _CALLS, (perf_counter() - began) / _CALLS


if __name__ == "__main__":
    print(*in_loop(_measure(sys.argv[1], url_of(sys.argv[2], 0))))
