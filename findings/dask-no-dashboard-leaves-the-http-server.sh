#!/usr/bin/env bash
# Dask's scheduler, distributed 2026.8.0: --no-dashboard takes the pages away, and not the HTTP server nor its port.
#
# One would guess that `dask scheduler --no-dashboard` listens on the port for its workers alone. It goes on to listen on
# the port of the dashboard, 8787 unless another one is named, and to answer there: /health, /metrics and
# /json/identity.json, which names the workers and their addresses. Only the pages, such as /status, are missing, though
# the log says "dashboard at". So two schedulers of one machine still want the same port. --dashboard-address says where
# it listens.
#
# Seen, with --no-dashboard --dashboard-address 127.0.0.1:0:
#   ports it listens on: 2
#   /status 404
#   /health 200
#   /json/identity.json 200
set -euo pipefail
folder=$(mktemp -d)
scheduler=
trap '[ -z "$scheduler" ] || kill "$scheduler" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check distributed==2026.8.0 dask==2026.8.0 2>/dev/null
cd "$folder"
venv/bin/python -m distributed.cli.dask_scheduler --host 127.0.0.1 --port 0 --no-dashboard \
    --dashboard-address 127.0.0.1:0 >log 2>&1 &
scheduler=$!
for _ in $(seq 300); do
    ! grep -q "dashboard at" log || break
    sleep 0.1
done
venv/bin/python - "$scheduler" <<'PYTHON'
import os
import re
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

held = {os.readlink(one) for one in Path(f"/proc/{sys.argv[1]}/fd").iterdir()}
rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
listening = [row for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in held]
(site,) = re.findall(r"dashboard at:\s+(http://[^/\s]+)", Path("log").read_text())


def status(path: str) -> int:
    try:
        return urlopen(site + path).status
    except HTTPError as refused:
        return refused.code


seen = {path: status(path) for path in ("/status", "/health", "/json/identity.json")}
print(f"ports it listens on: {len(listening)}")
for path, code in seen.items():
    print(path, code)
sys.exit(0 if (len(listening), *seen.values()) == (2, 404, 200, 200) else "it is no longer so")
PYTHON
