"""The matrix of all entries of the fault corpus, both engines and other programs. `scripts/faults` says how."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby, zip_longest
from multiprocessing.util import Finalize
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fault_peers import NOT_NAMED, PEERS, Peer, Verdict, try_out
from faults.base import Entry
from faults.corpus import CORPUS, chosen
from faults.site import Site
from faults.trial import fetch
from support.modes import ENGINE_MODES

from fetchq import __version__

ENGINES = dict(zip(("aiohttp", "requests"), ENGINE_MODES, strict=True))
"""Each engine, and a mode that it fetches in."""
AT_A_TIME = 2 * (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Found:
    """What an engine made of an entry."""

    cause: str
    problem: str | None
    """What is wrong with it."""


@dataclass(frozen=True, slots=True)
class Row:
    """What all made of one entry."""

    entry: Entry
    engines: Mapping[str, Found]
    peers: Mapping[str, Verdict]

    @property
    def problems(self) -> list[str]:
        return [f"{engine}: {found.problem}" for engine, found in self.engines.items() if found.problem]


# --- fetching -----------------------------------------------------------------------------------------------------

_NAMED = {entry.name: entry for entry in CORPUS}
_sites: list[Site] = []
"""That of this process, where it fetches."""


def _open_site() -> None:
    site = Site().__enter__()
    _sites.append(site)
    Finalize(None, site.__exit__, (None, None, None), exitpriority=1)


def _by_engine(name: str, mode: str) -> Found:
    trial = fetch(_NAMED[name], mode, _sites[0])
    return Found(trial.result.cause or "ok", trial.problem())


def rows_of(entries: Sequence[Entry], peers: Sequence[Peer]) -> Iterator[Row]:
    """Have the engines, in processes of their own, and the programs fetch all of them; in order."""
    with ExitStack() as stack:
        site = stack.enter_context(Site())
        spawn = multiprocessing.get_context("spawn")
        engines = stack.enter_context(ProcessPoolExecutor(AT_A_TIME, spawn, _open_site))
        programs = stack.enter_context(ThreadPoolExecutor(4 * AT_A_TIME))
        under_way = [
            (
                entry,
                {name: engines.submit(_by_engine, entry.name, mode) for name, mode in ENGINES.items()},
                {peer.name: programs.submit(try_out, peer, entry, site) for peer in peers},
            )
            for entry in entries
        ]
        for entry, by_engine, by_peer in under_way:
            found = {name: future.result() for name, future in by_engine.items()}
            yield Row(entry, found, {name: future.result() for name, future in by_peer.items()})


# --- showing ------------------------------------------------------------------------------------------------------

_WIDTH = 13


def _show_cells(cells: Sequence[str], widths: Sequence[int]) -> None:
    padded = zip_longest(cells, widths, fillvalue=_WIDTH)
    print(("  " + "  ".join(f"{cell:{width}}" for cell, width in padded)).rstrip())


def show_family(theme: str, rows: Sequence[Row]) -> None:
    """A line for each entry. A program that hung or crashed at one of them is only counted in this family."""
    counted = {name for row in rows for name, verdict in row.peers.items() if verdict in NOT_NAMED}
    widths = [max(len(row.entry.name) for row in rows), max(8, *(len(row.entry.demanded) for row in rows))]
    print(f"\n{theme}: {len(rows)} entries")
    _show_cells(["", "demanded", *ENGINES, "", *rows[0].peers], widths)
    for row in rows:
        verdicts = ["" if name in counted else verdict for name, verdict in row.peers.items()]
        causes = [found.cause for found in row.engines.values()]
        judged = "WRONG" if row.problems else "ok"
        _show_cells([row.entry.name, row.entry.demanded, *causes, judged, *verdicts], widths)
        for problem in row.problems:
            print(f"      {problem}")
    for name in sorted(counted):
        found = Counter(row.peers[name] for row in rows)
        print(f"  {name}: " + ", ".join(f"{verdict} {number}" for verdict, number in sorted(found.items())))
    sys.stdout.flush()


_LOST = {Verdict.NOTHING, Verdict.REFUSED, Verdict.OTHER, Verdict.PART}


def wrong_of(name: str, rows: Sequence[Row]) -> dict[str, int]:
    """How often a program did what the corpus says is wrong."""
    found: Counter[str] = Counter()
    for row in rows:
        verdict, allowed = row.peers[name], row.entry.allowed
        if verdict in (Verdict.TOOK, Verdict.NOTHING) and None not in allowed:
            found["took"] += 1
        elif verdict in _LOST and row.entry.expect is None:
            found["lost"] += 1
        if verdict in (Verdict.PART, *NOT_NAMED):
            found[verdict] += 1
    return {what: found[what] for what in ("took", "lost", Verdict.PART, *NOT_NAMED) if found[what]}


def show_summary(rows: Sequence[Row], peers: Sequence[Peer]) -> None:
    """A table for the README: a row for each family."""
    print(f"\n| family | entries | fetchq {__version__}, both engines |", end="")
    print("".join(f" {peer.name} {peer.version()} |" for peer in peers))
    print("|---|--:|---" + "|---" * len(peers) + "|")
    for theme, members in groupby(rows, key=lambda row: row.entry.theme):
        print(_line(theme, list(members), peers))
    print(_line("all", rows, peers))


def _line(theme: str, rows: Sequence[Row], peers: Sequence[Peer]) -> str:
    right = sum(not row.problems for row in rows)
    cells = [theme, f"{len(rows):,}", f"{right:,} right" if right == len(rows) else f"{len(rows) - right:,} WRONG"]
    for peer in peers:
        asked = sum(row.peers[peer.name] is not Verdict.NOT_ASKED for row in rows)
        wrong = ", ".join(f"{what} {number}" for what, number in wrong_of(peer.name, rows).items())
        cells.append((wrong or "none wrong") if asked else "not asked")
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    try:
        entries = chosen(arguments)
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    peers = [peer for peer in PEERS if peer.version() is not None]
    rows: list[Row] = []
    for theme, members in groupby(rows_of(entries, peers), key=lambda row: row.entry.theme):
        family = list(members)
        show_family(theme, family)
        rows += family
    show_summary(rows, peers)
    wrong = sum(bool(row.problems) for row in rows)
    print(f"\n{len(rows)} entries x {len(ENGINES)} engines: {wrong} entries with a wrong verdict")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
