"""What a list of so many rows costs: the table of the README, by a formula whose constants were measured.

    seconds = max(rows x CPU / processes, rows x latency / requests at a time) + start + rows x preparing

`python scripts/cost_model.py` prints the table. The constants are those of a virtual machine with 2 cores, Python 3.11,
and bodies of 1 KiB from nginx on the loopback (`scripts/bench processes`, `scripts/bench processes-memory`, `fetchq
cluster prepare`): measure yours, and put them in.
"""

from __future__ import annotations

from dataclasses import dataclass

CPU = 100e-6
"""Seconds of a core for a row, from the list to its record in JSON Lines."""
CPU_STORED = 150e-6
"""The same for a row of a durable run or of a job, with its body."""
LATENCY = 0.1
"""Seconds that a server takes to answer, in the table; on the loopback it took 1 ms."""
START = 1.0
"""Seconds until the first row is fetched."""
PREPARE = 2.8e-6
"""Seconds for each row to divide a list into shards: 28 s for ten million."""
MEMORY = 60e6
"""Bytes of a process; that of each further one is the same."""
PREPARE_MEMORY = 71e6
LEDGER = 384
"""Bytes of the ledger for each row."""
PARQUET = 52
"""Bytes of a record in Parquet, which a job keeps beside the ledger."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to fetch a list."""

    rows: int
    choice: str
    processes: int
    workers: int
    """Requests at a time, in all processes together."""
    cpu: float = CPU
    of_job: bool = False

    @property
    def seconds(self) -> float:
        """How long it takes."""
        fetching = max(self.rows * self.cpu / self.processes, self.rows * LATENCY / self.workers)
        return fetching + START + (self.rows * PREPARE if self.of_job else 0.0)

    @property
    def disk(self) -> float:
        """Bytes of what is kept of the records, without the bodies."""
        return self.rows * (LEDGER + PARQUET) if self.of_job else self.rows * LEDGER if self.cpu > CPU else 0.0


WAYS = (
    Way(10**6, "`--workers 1000`", 1, 1000),
    Way(10**6, "`-o run/ --processes 2 --workers 1000`", 2, 1000, CPU_STORED),
    Way(10**7, "`--processes 4 --workers 4000`", 4, 4000),
    Way(10**7, "`-o run/ --processes 4 --workers 4000`", 4, 4000, CPU_STORED),
    Way(10**7, "`cluster`, 8 processes of 1,000 workers", 8, 8000, CPU_STORED, of_job=True),
    Way(10**9, "`cluster`, 64 processes of 1,000 workers", 64, 64_000, CPU_STORED, of_job=True),
)


def time_text(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def bytes_text(size: float) -> str:
    if not size:
        return "-"
    return f"{size / 1e9:.1f} GB" if size < 1e11 else f"{size / 1e9:,.0f} GB"


def table() -> list[str]:
    """The lines of the table, in Markdown."""
    lines = ["| rows | choose | time | CPU | memory | records on the disk |", "|---|---|---|---|---|---|"]
    for way in WAYS:
        cells = (
            f"{way.rows:,}",
            way.choice,
            time_text(way.seconds),
            time_text(way.rows * way.cpu),
            f"{max(way.processes * MEMORY, PREPARE_MEMORY * way.of_job) / 1e6:,.0f} MB",
            bytes_text(way.disk),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
