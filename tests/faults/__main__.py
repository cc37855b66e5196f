"""`python -m tests.faults`: what it imports lies in tests/ and scripts/, as for the tests themselves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scripts")]

if __name__ == "__main__":
    from faults.by_hand import main

    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
