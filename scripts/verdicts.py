"""Runs whose limit is known, the verdicts on them, and the same runs as the verdicts advise.

Each run is a process of its own, and so is its server. A verdict is right if it names the limit, and the run that does
what it says takes as long as predicted, to within 25 %, and less than before. `scripts/bench verdicts` says more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from dnsserver import DnsServer

from fetchq import Results, fetch_all

CLOSE_ENOUGH = 0.25
SERVER = Path(__file__).with_name("paced_server.py")


@dataclass(frozen=True)
class Case:
    """A run with a known limit."""

    limit: str
    """The bottleneck that the verdict must name."""
    urls: list[str]
    """Paths or URLs, in which {port}, and {tls} for that of the TLS server, are still to be filled in."""
    options: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""
    """What holds the run up apart from servers and settings (see `run`); it is absent from the second run."""
    processes: int = 1
    """How many processes share the list in the second run."""
    predicts: bool = True
    """Whether the verdict must predict the time of the second run."""


def cases() -> dict[str, Case]:
    one, rest = "http://127.0.0.1:{port}", [f"http://127.0.0.{number}:{{port}}" for number in range(3, 9)]
    quick = [f"{host}/10" for host in rest for _ in range(50)]
    return {
        "too few workers": Case("workers", [f"{one}/100"] * 240, {"workers": 4}),
        "per-host limit": Case("per_host", [f"{one}/100"] * 80, {"workers": 20, "per_host": 4}),
        "rate": Case("rate", [f"{one}/20"] * 60, {"workers": 20, "rate": "20/s"}),
        "host interval": Case("host_interval", [f"{one}/20"] * 30, {"workers": 10, "host_interval": 0.1}),
        "one slow host": Case("slow_host", ["http://127.0.0.2:{port}/500"] * 40 + quick, {"workers": 8}),
        "DNS": Case(
            "dns", [f"http://h{n}.example:{{port}}/10" for n in range(120)], {"workers": 3, "dns_servers": "{dns}"}
        ),
        "TLS": Case("tls", ["https://127.0.0.1:{tls}/10?close"] * 100, {"workers": 5, "cacert": "{ca}"}),
        "limited bandwidth": Case("limit_rate", [f"{one}/5/50000"] * 60, {"workers": 10, "limit_rate": "1M"}),
        "slow bodies": Case("bandwidth", [f"{one}/5/20000/200"] * 60, {"workers": 6}, predicts=False),
        "CPU": Case("cpu", [f"{one}/gzip/5"] * 300, {"workers": 40, "keep_body": False}, processes=2),
        "disk": Case("store", [f"{one}/100/5000"] * 300, {"workers": 20, "output": "{folder}"}, trouble="slow disk"),
        "blocking callback": Case("callback", [f"{one}/100"] * 60, {"workers": 10}, trouble="blocking callback"),
        "slow list": Case("input", [f"{one}/200"] * 100, {"workers": 20}, trouble="slow list"),
        "slow reader": Case("output", [f"{one}/80/400000"] * 160, {"workers": 10}, trouble="slow reader"),
        "mode sync": Case("sync", [f"{one}/{ms}" for ms in (1500, 1000, 500, 200)], {"workers": 2, "mode": "sync"}),
        "no limit": Case("none", [f"{one}/{ms}" for ms in range(500, 1500, 50)], {"workers": 30}, predicts=False),
    }


# --- one run, in a process of its own ---


def parse_page(_: object) -> None:
    """A callback that blocks."""
    time.sleep(0.06)


async def run(urls: list[str], options: dict[str, Any], trouble: str) -> Results:
    if trouble == "slow disk":
        synced = os.fsync
        os.fsync = lambda file: (time.sleep(0.8), synced(file))[1]  # type: ignore[assignment]  # patched
    if trouble == "slow list":

        async def slowly() -> Any:
            for url in urls:
                await asyncio.sleep(0.03)
                yield url

        return await fetch_all(slowly(), **options)
    if trouble == "blocking callback":
        return await fetch_all(urls, on_result=parse_page, **options)
    if trouble == "slow reader":

        async def read(_: object) -> None:
            await asyncio.sleep(0.02)

        return await fetch_all(urls, on_result=read, **options)
    return await fetch_all(urls, **options)


def main_of_run() -> None:
    given = json.loads(sys.stdin.read())
    results = asyncio.run(run(given["urls"], given["options"], given["trouble"]))
    summary = results.summary
    assert summary.verdict is not None
    assert summary.attribution is not None
    parts = {
        name: round(seconds / summary.attribution.total, 3) for name, seconds in summary.attribution.parts().items()
    }
    shown = {name: share for name, share in parts.items() if share}
    shown["core"] = round(summary.attribution.cpu / summary.duration, 3)
    print(
        json.dumps(
            {
                "ok": summary.ok,
                "seconds": summary.duration,
                "verdict": summary.verdict.to_json(),
                "parts": shown,
            }
        )
    )


# --- the cases ---


@dataclass
class Judged:
    """A verdict, and whether it proved right."""

    before: float
    """Seconds of the first run."""
    verdict: dict[str, Any]
    parts: dict[str, float]
    """The shares of the workers' time, and `core`, that of a core."""
    after: float | None
    """Seconds of the run that does what the verdict says; None if it says nothing to do."""

    def right(self, case: Case) -> bool:
        if self.verdict["bottleneck"] != case.limit:
            return False
        predicted = self.verdict["predicted"]
        if not case.predicts:
            return predicted is None
        if predicted is None or self.after is None:
            return False
        return abs(self.after - predicted) <= CLOSE_ENOUGH * predicted and self.after < self.before


def judge(case: Case, names: dict[str, str]) -> Judged:
    """Make the run of a case, and the one that its verdict advises; `names` are filled into its URLs and options."""
    (first,) = make_runs(case.urls, case.options, case.trouble, 1, names)
    verdict, after = first["verdict"], None
    if case.predicts:
        options = case.options | (verdict["advice"] or {})
        runs = make_runs(case.urls, options, "", case.processes, names)
        after = max(one["seconds"] for one in runs)
    return Judged(first["seconds"], verdict, first["parts"], after)


def make_runs(
    urls: list[str], options: dict[str, Any], trouble: str, processes: int, names: dict[str, str]
) -> list[dict[str, Any]]:
    """Run the list in so many processes, each with its share of the rows."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        names = names | {"folder": f"{folder}/run"}
        filled = {key: value.format(**names) if isinstance(value, str) else value for key, value in options.items()}
        children = []
        for number in range(processes):
            share = [url.format(**names) for url in urls[number::processes]]
            child = subprocess.Popen(
                [sys.executable, __file__, "_run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            children.append(stack.enter_context(child))
            assert child.stdin is not None
            child.stdin.write(json.dumps({"urls": share, "options": filled, "trouble": trouble}))
            child.stdin.close()
        found = []
        for child in children:
            assert child.stdout is not None
            found.append(json.loads(child.stdout.read()))
        assert sum(one["ok"] for one in found) == len(urls), "a row failed"
        return found


@contextlib.contextmanager
def servers(name_delay: float = 0.2, handshake_ms: int = 300) -> Iterator[dict[str, str]]:
    """The servers of all cases; yields what is filled into URLs and options."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(f"{folder}/ca.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(f"{folder}/server.pem")
        plain = stack.enter_context(paced_server())
        secure = stack.enter_context(paced_server(f"{folder}/server.pem", str(handshake_ms)))
        dns = stack.enter_context(DnsServer(delay=name_delay))
        yield {"port": plain, "tls": secure, "dns": dns.address, "ca": f"{folder}/ca.pem"}


@contextlib.contextmanager
def paced_server(*arguments: str) -> Iterator[str]:
    command = [sys.executable, str(SERVER), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait()


def show(name: str, case: Case, judged: Judged) -> bool:
    """Print what was found; whether it is right."""
    right = judged.right(case)
    predicted = judged.verdict["predicted"]
    times = f"{judged.before:.2f} s"
    if judged.after is not None and predicted is not None:
        times += f", predicted {predicted:.2f} s, measured {judged.after:.2f} s ({judged.after / predicted - 1:+.0%})"
    print(f"{'right' if right else 'WRONG'}  {name}: {judged.verdict['bottleneck']}, {times}")
    print(f"       {judged.verdict['text']}", flush=True)
    if not right:
        print(f"       expected {case.limit}; the workers' time: {judged.parts}", flush=True)
    return right


def verdicts(chosen: list[str]) -> bool:
    """Judge all cases, or those whose name has one of these words in it; whether all are right."""
    with servers() as names:
        right = [
            show(name, case, judge(case, names))
            for name, case in cases().items()
            if not chosen or any(word in name for word in chosen)
        ]
    print(f"{sum(right)} of {len(right)} right")
    return all(right)


if __name__ == "__main__":
    if sys.argv[1:] == ["_run"]:
        main_of_run()
    else:
        sys.exit(0 if verdicts(sys.argv[1:]) else 1)
