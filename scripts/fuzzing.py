"""Fuzzes the parsers of fetchq with hypothesis: see scripts/fuzz."""

from __future__ import annotations

import argparse
import random
import sys
from time import process_time
from typing import Any

from fuzz_targets import TARGETS, Target
from hypothesis import HealthCheck, Phase, given, seed, settings

LONGEST_STEP = 1.0
"""Seconds of CPU that one input may take."""


def fuzz(target: Target, seconds: float, number: int, most: int = 10**9) -> int:
    """Run a target for so many seconds, or `most` inputs. Returns how many inputs it took; raises what it finds."""
    taken, until = 0, process_time() + seconds

    def step(given: Any) -> None:
        nonlocal taken
        taken += 1
        begun = process_time()
        target.run(given)
        took = process_time() - begun
        assert took < LONGEST_STEP, f"{took:.1f} s for one input"

    while process_time() < until and taken < most:
        check = settings(
            max_examples=min(200, most - taken), deadline=None, database=None, phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        seed(number + taken)(check(given(target.inputs)(step)))()
    return taken


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("seconds", type=float, nargs="?", default=120.0)
    arguments.add_argument("names", nargs="*", metavar="NAME")
    arguments.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = arguments.parse_args()
    targets = [one for one in TARGETS if not given.names or one.name in given.names]
    print(f"seed {given.seed}")
    failed = 0
    for target in targets:
        try:
            taken = fuzz(target, given.seconds / len(targets), given.seed)
        except Exception as problem:  # noqa: BLE001  # whatever a target raises is what is looked for
            failed += 1
            notes = "\n    ".join(getattr(problem, "__notes__", ()))
            print(f"{target.name:12} FAILED: {type(problem).__name__}: {problem}\n    {notes}"[:3000])
        else:
            print(f"{target.name:12} {taken:8,} inputs ok")
    return 1 if failed or not targets else 0


if __name__ == "__main__":
    sys.exit(main())
