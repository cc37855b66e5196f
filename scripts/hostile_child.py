"""The command line of fetchq in a process that then says its own peak memory, for scripts/hostile_memory.py.

It is said by the process itself, since the `ru_maxrss` of a child begins with that of the process that forked.
"""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

_ADDRESS_SPACE = 4 << 30


def _peak_kib() -> int:
    try:
        found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    if found is not None:
        return int(found[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    from fetchq.cli import main

    try:
        main()
    finally:
        sys.stderr.write(f"\npeak {_peak_kib() * 1024 // 1000}\n")
