"""The benchmarks of `fetchq compare`: whether it finds the differences that are there, and no others.

`python scripts/comparing.py simulate` prints how often the test errs for noise of several kinds, without a network.
"""

from __future__ import annotations

import asyncio
import math
import random
import subprocess
import sys

from aiohttp import web
from measuring import child, report

import fetchq
from fetchq.reports.statistics import differences

TRIES = 20
URLS = 6
DELAY = 0.2
"""Long enough that 10 % of a run is more than what a busy machine adds to it now and then."""
CLASSIC = (1.5, 1.0, 0.5, 0.2)


def compare() -> bool:
    """The classic list, the same mode under two names, and a true difference of 10 %."""
    with child([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        base = server.stdout.readline().strip()
        return all([_classic(base), _equal(base), _ten_percent(base)])


def _classic(base: str) -> bool:
    found = fetchq.compare([f"{base}/{delay}" for delay in CLASSIC], workers=2)
    sync, threads, in_loop = found.variants
    print(found)
    faster = [found.pair(sync, one) for one in (threads, in_loop)]
    return all(
        [
            report("sync, the classic list", sync.mean, 3.3, "ideally 3.2", "s"),
            report("threads, the classic list", threads.mean, 1.8, "ideally 1.7", "s"),
            report("async, the classic list", in_loop.mean, 1.8, "ideally 1.7", "s"),
            report(
                "not called faster than sync", sum(not pair.is_faster for pair in faster), 0, "of threads, async", ""
            ),
        ]
    )


def _equal(base: str) -> bool:
    alarms = 0
    for _ in range(TRIES):
        found = fetchq.compare([f"{base}/{DELAY}"] * URLS, modes=("async", "async"), workers=2)
        alarms += found.pairs[0].significant
    return report("false alarms, the same mode twice", alarms, 1, f"in {TRIES} tries of 5 rounds", "")


def _ten_percent(base: str) -> bool:
    missed, ratios = 0, []
    for _ in range(TRIES):
        # The server delays its answer by as much as the header says.
        agents = (f"{DELAY:g}", f"{DELAY * 1.1:g}")
        found = fetchq.compare(
            [f"{base}/agent"] * URLS, modes="async", workers=2, vary={"user_agent": agents}, rounds=10
        )
        (pair,) = found.pairs
        ratios.append(pair.ratio if pair.faster == 0 else 1 / pair.ratio)
        missed += not (pair.is_faster and pair.faster == 0)
    detail = f"in {TRIES} tries of 10 rounds; ratios found: {min(ratios):.2f} to {max(ratios):.2f}"
    return report("missed differences of 10 %", missed, 2, detail, "")


async def _answer(request: web.Request) -> web.Response:
    asked = request.match_info["delay"]
    await asyncio.sleep(float(request.headers["User-Agent"] if asked == "agent" else asked))
    return web.Response(text="ok")


async def _serve() -> None:
    app = web.Application()
    app.router.add_get("/{delay}", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


# --- the test by itself ----------------------------------------------------------------------------------------------

NOISE = {
    "3 %, normal": lambda: random.gauss(0, 0.03),
    "3 %, exponential": lambda: random.expovariate(1 / 0.03),
    "2 %, and 10 to 40 % more in every tenth run": lambda: (
        random.gauss(0, 0.02) + (random.random() < 0.1) * random.uniform(0.1, 0.4)
    ),
}


def simulate(tries: int = 2000) -> None:
    """How often a difference is found where there is none, and where there is one of 10 %."""
    print(f"{'noise':<44} rounds  false alarms  10 % found")
    for name, noise in NOISE.items():
        for rounds in (5, 10):
            alarms, hits = (
                sum(
                    differences([[each * math.exp(noise()) for _ in range(rounds)] for each in (1, ratio)])[
                        0
                    ].significant
                    for _ in range(tries)
                )
                / tries
                for ratio in (1, 1.1)
            )
            print(f"{name:<44} {rounds:>6}  {100 * alarms:>10.2f} %  {100 * hits:>8.1f} %", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(_serve())
    simulate()
