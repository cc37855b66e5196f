"""Serves every answer of the tests in each way to cut it into packets, to both engines. `scripts/torture` says how."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from packets.ways import ANSWERS, Fetcher, Way, differences
from support.modes import ENGINE_MODES

_SHARE, _TURN = 0.2, 0.01
"""The load from beside: the share of a CPU that it takes, in turns of so many seconds."""


def main(arguments: list[str]) -> int:
    names = [argument for argument in arguments if argument != "--load"]
    chosen = [answer for answer in ANSWERS if not names or any(name in answer.name for name in names)]
    began, found = time.perf_counter(), 0
    with _load(on="--load" in arguments), Fetcher() as fetcher:
        for number, answer in enumerate(chosen, 1):
            for line in differences(fetcher, answer, ENGINE_MODES, tuple(Way)):
                print(line, flush=True)
                found += 1
            if number % 50 == 0:
                print(f"{number} of {len(chosen)} answers, {found} differences", file=sys.stderr, flush=True)
    ways, engines = len(Way), len(ENGINE_MODES)
    print(f"{len(chosen)} answers x {ways} ways x {engines} engines: {len(chosen) * ways * engines} Results,", end=" ")
    print(f"{found} differences, in {time.perf_counter() - began:.0f} s")
    return 1 if found else 0


@contextmanager
def _load(*, on: bool) -> Iterator[None]:
    if not on:
        yield
        return
    beside = multiprocessing.get_context("spawn").Process(target=_burn, daemon=True)
    beside.start()
    try:
        yield
    finally:
        beside.terminate()
        beside.join()


def _burn() -> None:
    while True:
        until = time.perf_counter() + _TURN * _SHARE
        while time.perf_counter() < until:
            pass
        time.sleep(_TURN * (1 - _SHARE))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
