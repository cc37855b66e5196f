"""What scripts/fuzz fuzzes: everything that reads what strangers write, with the rules that hold for any input."""

from __future__ import annotations

import gzip
import re
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from fuzz_inputs import BYTES, CUTS, FLIPS, PAGES, TEXT, cut
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from fetchq.api import fetch_all_sync
from fetchq.core.name_template import NameTemplate
from fetchq.core.safe_name import numbered_name, shortened_name
from fetchq.core.text import json_printable, one_line, printable, redact, redact_all, redact_url
from fetchq.http.attempt import AttemptFailed
from fetchq.http.coding_policy import published_format
from fetchq.http.content_coding import brotli_module, decoder_for
from fetchq.http.content_disposition import suggested_name
from fetchq.http.cookies import CookieJar
from fetchq.http.dates import cookie_date, http_date
from fetchq.http.decoder import DecodeError
from fetchq.http.framing import Chunks, find_head
from fetchq.http.keep_alive import Announced
from fetchq.http.netrc_file import Netrc, NetrcError
from fetchq.http.no_proxy import NoProxy
from fetchq.http.plain_head import read_plain_head
from fetchq.http.redirects import redirect_target
from fetchq.http.retry_after import retry_after
from fetchq.http.robots_txt import Rules
from fetchq.http.url import Refused, parse_url, shown_url
from fetchq.http.zstd_decoder import zstd_module
from fetchq.inputs.csv import CsvParser
from fetchq.inputs.guessing import Form, GuessingParser
from fetchq.inputs.json import JsonArrayParser, JsonLinesParser
from fetchq.inputs.lines import RowParser, SourceError, TextParser
from fetchq.inputs.pages import page_parser
from fetchq.store.folder import FolderError
from fetchq.store.ledger_connection import LedgerError
from fetchq.store.sinks.bodies_files import body_name, folder_of, row_of
from fetchq.store.stored_run import open_run

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """What is fuzzed: `run` raises for an input that it should take."""

    name: str
    inputs: st.SearchStrategy[Any]
    run: Callable[[Any], None]


# --- the targets ---

_PARSERS: tuple[Callable[[], RowParser], ...] = (
    lambda: TextParser(0),
    lambda: JsonLinesParser(0),
    lambda: JsonArrayParser(0),
    lambda: CsvParser(0, name="a list"),
    lambda: GuessingParser(0, lambda form: TextParser(0) if form is Form.OTHER else JsonArrayParser(0)),
)

_PAGE_PARSERS: tuple[Callable[[], RowParser], ...] = tuple(
    partial(page_parser, form, 0, name="a page", base_url="http://b/") for form in ("html", "markdown", "sitemap")
)


def _rows_of(make: Callable[[], RowParser], pieces: Iterator[bytes]) -> object:
    parser = make()
    found = []
    try:
        for piece in pieces:
            found += parser.feed(piece)
        found += parser.finish()
    except SourceError as problem:
        return str(problem)
    return found


def rows(given: tuple[int, bytes, list[int]]) -> None:
    which, data, cuts = given
    parser = (_PARSERS + _PAGE_PARSERS)[which]
    whole = _rows_of(parser, cut(data, []))
    assert _rows_of(parser, cut(data, cuts)) == whole, "the pieces of a list matter"
    if isinstance(whole, list):
        assert [row.index for row in whole] == list(range(len(whole)))


def urls(text: str) -> None:
    with suppress(Refused):
        target = parse_url(text)
        assert parse_url(target.text).text == target.text, "a parsed URL is parsed into another one"
        assert target.text.isascii()
        assert not re.search(r"[\x00-\x20\x7f]", target.text)
    shown_url(text)


def redirects(text: str) -> None:
    with suppress(Refused):
        assert redirect_target("http://host/a/b?c", [text]).origin[0] in ("http", "https")


def names(given: tuple[str, str]) -> None:
    name = body_name(7, *given)
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,255}", name), name
    assert not name.startswith(".")
    assert row_of(name) == (7, 0)
    assert Path(folder_of(7), name).parts[-1] == name


def file_names(given: tuple[str, str]) -> None:
    values = {"path": given[0], "filename": suggested_name(f"attachment; filename={given[1]}") or "", "index": 7}
    for name in NameTemplate("{path}/{filename}-{index:06}").parts(values.__getitem__):
        short = numbered_name(shortened_name(name, 200), 12)
        assert 0 < len(short.encode()) <= 203
        assert Path("x", short).name == short
        assert not short.startswith((".", "-", " "))
        assert not short.endswith((".", " "))


def shown_texts(text: str) -> None:
    for shown in (printable(text), one_line(text), json_printable(text)):
        assert all(one.isprintable() or one.isspace() for one in shown)
        assert "\n" not in shown
    secret = f"//user:{re.sub('[/?#@]', '', text)}SECRET@host"
    assert "SECRET" not in redact(secret) + redact_all(secret) + redact_url(f"http:{secret}") + one_line(secret)


def headers(text: str) -> None:
    asked = retry_after({"Retry-After": text, "Date": text}, 1e9)
    assert asked is None or asked >= 0
    http_date(text)
    cookie_date(text)
    Announced().read(text)
    published_format(["/a.tar"], CIMultiDict({"Content-Disposition": text, "Content-Type": text[:40]}))


def cookies(text: str) -> None:
    jar, url = CookieJar(), URL("http://www.host.example/a/b")
    jar.store(url, [text, f"a=b{text}"])
    for cookie in jar:
        assert cookie.domain in ("www.host.example", "host.example")
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", f"{cookie.name}{cookie.value}")
    sent = jar.header_for(url, None)
    assert sent is None or "\n" not in sent


def environment(text: str) -> None:
    with suppress(NetrcError):
        Netrc(text).find("host")
    with suppress(ValueError):
        NoProxy(text).covers("host.example", 80)


def robots(data: bytes) -> None:
    text = data.decode("utf-8-sig", "replace")
    rules = Rules(text, "us")
    for path in ("/", "/a/b?c=d", f"/{text[:200]}"):
        rules.refusal("http://host", f"http://host{path}")
    assert rules.interval >= 0


def heads(given: tuple[bytes, list[int]]) -> None:
    data, cuts = given
    outcomes = []
    for pieces in (cut(data, []), cut(data, cuts)):
        raw, found = b"", (b"", 0)
        try:
            for piece in pieces:
                seen, raw = len(raw), raw + piece
                if (found := find_head(raw, seen))[1]:
                    break
            outcomes.append(found if found[1] else None)
        except AttemptFailed as problem:
            outcomes.append(problem.cause)
    assert outcomes[0] == outcomes[1], "the packets of a head matter"
    if (plain := read_plain_head(data)) is not None:
        assert outcomes[0] == (data[: plain[1]], plain[1]), "the two ways to read a head differ"


def chunks(given: tuple[bytes, list[int]]) -> None:
    data, cuts = given
    outcomes = []
    for pieces in (cut(data, []), cut(data, cuts)):
        framing = Chunks(10**9)
        body = b"".join(map(framing.feed, pieces))
        outcomes.append((body, framing.ended, str(framing.problem), framing.trailers, framing.surplus))
    assert outcomes[0] == outcomes[1], "the packets of a body matter"


def decoding(given: tuple[str, bytes, list[tuple[int, int]], list[int]]) -> None:
    coding, plain, flips, cuts = given
    data = bytearray(_ENCODERS[coding](plain))
    for at, value in flips:
        data[at % len(data)] = value
    outcomes = []
    for pieces in (cut(bytes(data), []), cut(bytes(data), cuts)):
        decoder = decoder_for([coding])
        assert decoder is not None
        found, ok = b"", True
        try:
            for piece in pieces:
                found += b"".join(decoder.feed(piece))
            decoder.finish()
        except DecodeError:
            ok = False
        outcomes.append((ok, found if ok else b""))
    assert outcomes[0] == outcomes[1], "the packets of a coded body matter"
    assert flips or outcomes[0] == (True, plain)


_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
    "br": lambda data: brotli_module().compress(data),
    "zstd": lambda data: zstd_module().compress(data),
}


@lru_cache
def _ledger() -> tuple[tempfile.TemporaryDirectory[str], bytes]:
    """A folder with a small run, and the bytes of its ledger."""
    folder = tempfile.TemporaryDirectory(prefix="fetchq-fuzz-")
    fetch_all_sync(["http://127.0.0.1:1/", "no url", "ftp://host/"] * 5, output=f"{folder.name}/run", retries=0)
    ledger = Path(folder.name, "run", "run.db")
    with sqlite3.connect(ledger) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    return folder, ledger.read_bytes()


def ledgers(flips: list[tuple[int, int]]) -> None:
    folder, whole = _ledger()
    data = bytearray(whole)
    for at, value in flips:
        data[at % len(data)] = value
    path = Path(folder.name, "run")
    (path / "run.db").write_bytes(data)
    with suppress(LedgerError, FolderError):
        run = open_run(path)
        try:
            for result in run:
                assert result.index in range(15)
        finally:
            run.ledger.close()


TARGETS = (
    Target("rows", st.tuples(st.integers(0, len(_PARSERS) - 1), BYTES, CUTS), rows),
    Target("pages", st.tuples(st.integers(0, 2).map(len(_PARSERS).__add__), PAGES.map(str.encode), CUTS), rows),
    Target("urls", TEXT, urls),
    Target("redirects", TEXT, redirects),
    Target("names", st.tuples(TEXT, TEXT), names),
    Target("file names", st.tuples(TEXT, TEXT), file_names),
    Target("texts", TEXT, shown_texts),
    Target("headers", TEXT, headers),
    Target("cookies", TEXT, cookies),
    Target("environment", TEXT, environment),
    Target("robots", BYTES, robots),
    Target("heads", st.tuples(BYTES.map(lambda data: b"HTTP/1.1 200 OK\r\n" + data) | BYTES, CUTS), heads),
    Target("chunks", st.tuples(BYTES, CUTS), chunks),
    Target("decoding", st.tuples(st.sampled_from([*_ENCODERS]), st.binary(max_size=300), FLIPS, CUTS), decoding),
    Target("ledgers", FLIPS, ledgers),
)
