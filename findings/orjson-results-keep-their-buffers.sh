#!/usr/bin/env bash
# orjson 3.13.0: a short result that is kept takes four kilobytes of memory, which sys.getsizeof does not tell.
#
# A program that encodes rows as they come, and keeps the lines for a while, would guess that 100,000 lines of 14 bytes
# take 6 MB: 14 bytes, 33 of a bytes object, and 8 for the place in the list. They take 410 MB. orjson writes into a
# bytes object with room for four kilobytes (for one in versions before 3.12), and when it knows the length, it only
# notes that, and gives nothing back. A copy of the result, its text (line.decode()), or a join of many lines takes no
# more than it should, as json.dumps and msgspec do.
#
# Seen, in bytes of memory for each line (glibc, Python 3.11), where sys.getsizeof says 47:
#   orjson.dumps             4121
#   a copy of orjson.dumps     56
#   json.dumps, encoded        56
#   msgspec.json.encode        88
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check orjson==3.13.0 msgspec==0.22.0 2>/dev/null
cat >"$folder/kept.py" <<'PYTHON'
import json
import os
import sys

import msgspec
import orjson

WAYS = {
    "orjson.dumps": orjson.dumps,
    "a copy of orjson.dumps": lambda row: bytes(memoryview(orjson.dumps(row))),
    "json.dumps, encoded": lambda row: json.dumps(row, separators=(",", ":")).encode(),
    "msgspec.json.encode": msgspec.json.encode,
}
LINES = 100_000


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


encode = WAYS[sys.argv[1]]
encode({"row": 1})
before = resident()
lines = [encode({"row": 100_000 + row}) for row in range(LINES)]
memory = resident() - before
assert lines[0] == b'{"row":100000}' and sys.getsizeof(lines[0]) == 47
print(memory // LINES)
PYTHON
wrong=0
for way in "orjson.dumps" "a copy of orjson.dumps" "json.dumps, encoded" "msgspec.json.encode"; do
    bytes=$("$folder/venv/bin/python" "$folder/kept.py" "$way")
    printf '%-23s %5d\n' "$way" "$bytes"
    if [[ $way == orjson.dumps ]]; then ((bytes > 2000)) || wrong=1; else ((bytes < 200)) || wrong=1; fi
done
exit $wrong
