"""What a durable run costs; `scripts/bench` says what the parts are."""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from measuring import (
    FETCHQ,
    WORKERS,
    bare_loop,
    cpu_of_children,
    in_loop,
    in_turn,
    ratio,
    report,
    server,
    write_list,
)
from speed import storing_peers

LEDGER_URLS = 100_000


def ledger() -> bool:
    """What durability costs: the ledger alone, and bodies as files.

    Every run has a folder of its own, and nothing is deleted in between: ext4 takes its time to use an inode again
    that was free a minute ago, and whoever comes next would pay for that. Nor does anybody pay for what the one before
    has not written to the disk: fetchq, which waits for the disk, would write that as well.
    """
    with server() as base, tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        urls = write_list(root / "urls.txt", base, LEDGER_URLS)
        numbers = itertools.count()

        def fetchq(save: str | None) -> tuple[float, float]:
            durable = () if save is None else ("-o", str(root / f"run{next(numbers)}"), "--save", save)
            os.sync()
            with open(os.devnull, "wb") as out:
                return cpu_of_children([*FETCHQ, str(urls), "-w", str(WORKERS), "-q", *durable], stdout=out)

        kept, plain = in_turn(5, lambda: fetchq("none")[0], lambda: fetchq(None)[0])
        each = [statistics.median(one) / LEDGER_URLS * 1e6 for one in (kept, plain)]
        good = report(
            "-o --save none / without -o", ratio(kept, plain), 1.15, f"{each[0]:.0f} and {each[1]:.0f} us/URL"
        )

        def peer(command: list[str]) -> float:
            os.sync()
            return cpu_of_children([*command, str(root / f"peer{next(numbers)}")])[1]

        least = [sys.executable, __file__, base]
        for name, command in storing_peers(root, base, LEDGER_URLS).items():
            ours, bare, theirs = in_turn(
                {"wget2": 3, "aria2c": 1}[name],
                lambda: fetchq("files")[1],
                lambda: peer(least),
                lambda command=command: peer(command),
            )
            each = [statistics.median(one) for one in (ours, bare, theirs)]
            detail = f"{each[0]:.1f} and {each[2]:.1f} s for {LEDGER_URLS:,} files"
            good = report(f"-o with files / {name}", ratio(ours, theirs), 1.0, detail) and good
            detail = f"{each[1]:.1f} s, nothing recorded"
            report(f"bare aiohttp loop with files / {name}", ratio(bare, theirs), None, detail)
        return good


def resume() -> bool:
    """Going on with a finished run of 1,000,000 rows, which must see that there is nothing to do."""
    from fetchq import fetch_all_sync
    from fetchq.core.settings import Settings
    from fetchq.store.open_session import session_for_sources

    rows = 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        urls = Path(folder) / "urls.txt"
        with urls.open("w") as file:
            file.writelines(f"http://127.0.0.1:9/{number}\n" for number in range(rows))
        (one,) = fetch_all_sync(["http://127.0.0.1:9/0"], retries=0)
        settings = Settings(output=f"{folder}/run", save="none")
        with session_for_sources(settings, [str(urls)]) as session:
            writer = session.writer()
            for batch in session.source:
                writer.commit([replace(one, index=request.index, url=request.url) for request in batch])
            session.end()
        program = "import resource,subprocess,sys; subprocess.run(sys.argv[1:],stderr=subprocess.DEVNULL)"
        program += ";print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        began = time.perf_counter()
        peak = int(subprocess.check_output([sys.executable, "-c", program, *FETCHQ, "resume", f"{folder}/run"])) / 1000
        seconds = time.perf_counter() - began
    kept = report("resume of 1,000,000 finished rows", seconds, 3.0, "", "s")
    return report("its peak memory", peak, 150, "", "MB") and kept


def _files(base: str, folder: str) -> None:
    """The same with each body in a file: nothing less can be done over aiohttp in one process."""

    def keep(number: int, body: bytes) -> None:
        part = f"{folder}/{number}.part"
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(file, body)
        os.close(file)
        os.rename(part, f"{folder}/{number // 1000}/{number}.bin")

    for number in range(0, LEDGER_URLS, 1000):
        Path(folder, str(number // 1000)).mkdir(parents=True)
    in_loop(bare_loop(base, LEDGER_URLS, keep))


if __name__ == "__main__":
    _files(*sys.argv[1:])
