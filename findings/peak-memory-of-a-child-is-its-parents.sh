#!/usr/bin/env bash
# Linux 6.18, CPython 3.11.7: a process that holds 300 MB starts a small program, and reads its peak memory with wait4
# (ru_maxrss), as GNU time, `resource.getrusage(RUSAGE_CHILDREN)` and many benchmarks do.
#
# One would guess the few megabytes of the small program. It is 300 MB: until it calls exec, a child shares (vfork) or
# copies (fork) its parent's memory, Linux carries that peak into ru_maxrss, and exec does not reset it. VmHWM in
# /proc/self/status is that of the new program alone.
#
# Seen:
#   started from a small process: ru_maxrss   12936 kB, VmHWM of the child   8436 kB
#   started from a large process: ru_maxrss  305928 kB, VmHWM of the child   8404 kB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/peak.py" <<'PYTHON'
import os
import subprocess
import sys

CHILD = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"


def peaks() -> tuple[int, int]:
    """The peak memory of a child in kB: as wait4 tells it, and as the child reads it."""
    child = subprocess.Popen([sys.executable, "-S", "-c", CHILD], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    own = int(child.stdout.read())
    _, child.returncode, usage = os.wait4(child.pid, 0)
    return usage.ru_maxrss, own


small = peaks()
held = bytearray(b"x") * 300_000_000
large = peaks()
for name, (told, own) in (("small", small), ("large", large)):
    print(f"started from a {name} process: ru_maxrss {told:>7} kB, VmHWM of the child {own:>6} kB")
sys.exit(not (large[0] > 250_000 and max(large[1], small[1], small[0]) < 100_000))
PYTHON
python3 "$folder/peak.py"
