"""Serves the entries to whoever asks, and says where each is, what it does, and what a client must make of it."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby

from support.servers import ScriptServer

from faults.base import Entry, Fault, Place
from faults.corpus import chosen
from faults.server import FaultServer, answer_to
from faults.site import Site

_ENDS = {signal.SIGINT, signal.SIGTERM}


def main(arguments: list[str]) -> int:
    asked = _parser().parse_args(arguments)
    try:
        entries = chosen(asked.word)
    except ValueError as problem:
        _parser().error(str(problem))
    if asked.list:
        show(entries, {})
        return 0
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # before there are threads, which inherit it
    try:
        with Site() as site, served(entries, site, asked.port) as urls:
            show(entries, urls)
            print("\nOver TLS, in place of the http server above:", urls["tls"])
            print(f"trust {site.authority.cacert}; the name server is {site.dns.address}. Ctrl-C ends it.", flush=True)
            signal.sigwait(_ENDS)
    except OSError as problem:
        print(f"port {asked.port}: {problem.strerror}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    parser.add_argument("word", nargs="*", help="a family, or the name of an entry; all, if none is given")
    parser.add_argument("--list", action="store_true", help="say what there is, and serve nothing")
    parser.add_argument("--port", type=int, default=0, help="of the answers to a request (default: a free one)")
    return parser


@contextmanager
def served(entries: list[Entry], site: Site, port: int = 0) -> Iterator[dict[str, str]]:
    """Serve them all at once; yields the URL of each by its name, and that of the TLS server as `tls`."""
    with ExitStack() as stack:
        plain = stack.enter_context(FaultServer(port=port))
        secure = stack.enter_context(ScriptServer(answer_to, tls=site.authority.server()))
        urls = {"tls": secure.url}
        for entry in entries:
            if isinstance(entry, Place):
                urls[entry.name] = stack.enter_context(entry.opens(site))
            elif isinstance(entry, Fault):
                urls[entry.name] = plain.url + entry.target
        yield urls


def show(entries: list[Entry], urls: dict[str, str]) -> None:
    for theme, members in groupby(entries, key=lambda one: one.theme):
        print(f"\n{theme}")
        for one in members:
            print(f"  {one.name}  [{one.demanded}]{' ' * bool(urls)} {urls.get(one.name, '')}".rstrip())
            method = f" Ask with {one.method}." if isinstance(one, Fault) and one.method != "GET" else ""
            print(f"      {one.rule}{method}", flush=True)
