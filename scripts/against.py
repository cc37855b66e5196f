"""fetch_iter of this checkout against that of another one, in one run; `scripts/bench against` prints it.

In both, the process runs a round of the same list first, so that start-up is not measured. It needs nginx and openssl.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fetch_round import FILES
from measuring import in_turn, nginx, ratio, report

ROUNDS = 7
KINDS = {
    "1 KiB": ("http", "1k", 20_000, 0.55),
    "100 KiB": ("http", "100k", 5_000, 0.8),
    "TLS": ("https", "1k", 20_000, 0.75),
}
"""The scheme, the folder, how many URLs, and the bound of the ratio."""
FEW, MANY = 2_000, 10_000
"""URLs of two runs whose instructions are counted: the difference is what the others take."""
HERE = Path(__file__).parent.parent


def against() -> bool:
    """CPU per URL, and instructions per URL where there is valgrind."""
    other = os.environ.get("OTHER")
    if other is None or not all(map(shutil.which, ("nginx", "openssl"))):
        print("against: needs nginx, openssl, and another checkout of fetchq in $OTHER", file=sys.stderr)
        return other is None
    kept = True
    with tempfile.TemporaryDirectory() as folder, _nginx(Path(folder)) as bases:
        for kind, (scheme, place, count, bound) in KINDS.items():
            base = f"{bases[scheme]}/{place}/"
            mine, theirs = in_turn(ROUNDS, *(partial(_cpu, tree, base, count) for tree in (str(HERE), other)))
            each = " against ".join(
                f"{statistics.median(one):.0f} [{min(one):.0f} to {max(one):.0f}]" for one in (mine, theirs)
            )
            kept &= report(f"fetch_iter / $OTHER, {kind}", ratio(mine, theirs), bound, f"{each} us/URL")
        if shutil.which("valgrind"):
            base = f"{bases['http']}/1k/"
            mine, theirs = (_instructions(tree, base) for tree in (str(HERE), other))
            detail = f"{mine:,.0f} against {theirs:,.0f}"
            kept &= report("instructions / $OTHER, 1 KiB", mine / theirs, 0.5, detail)
    return kept


@contextlib.contextmanager
def _nginx(folder: Path) -> Iterator[dict[str, str]]:
    """A server of bodies of both sizes, with and without TLS; yields its URLs by their scheme."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    for place, size in (("1k", 1024), ("100k", 102_400)):
        (folder / place).mkdir()
        for number in range(FILES):
            (folder / place / str(number)).write_bytes(number.to_bytes(8) * (size // 8))
    more = f"tcp_nopush on; ssl_certificate {certificate}; ssl_certificate_key {key};\n"
    with nginx(folder, "1k/1", "ssl", settings=more) as (plain, secure):
        yield {"http": f"http://127.0.0.1:{plain}", "https": f"https://127.0.0.1:{secure}"}


def _program(tree: str, *arguments: object, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """`fetch_round` in a process of its own, with the fetchq of a checkout."""
    command = [*before, sys.executable, str(HERE / "scripts" / "fetch_round.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": tree, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment)


def _cpu(tree: str, base: str, count: int) -> float:
    """CPU microseconds per URL."""
    return float(_program(tree, base, count, count).stdout)


def _instructions(tree: str, base: str) -> float:
    """Instructions per URL, outside of the kernel."""
    valgrind = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
    _program(tree, base, 10, 0)  # all is compiled
    few, many = (_program(tree, base, count, 0, before=valgrind).stderr for count in (FEW, MANY))
    return (_counted(many) - _counted(few)) / (MANY - FEW)


def _counted(said: str) -> int:
    """The instructions that cachegrind has counted."""
    found = re.search(r"I\s+refs:\s+([\d,]+)", said)
    assert found is not None, said
    return int(found[1].replace(",", ""))
