"""A coding is undone unless nobody asked for it, it is the file's own, or the user keeps what does not decode."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.factories import examples, header_map

from fetchq.http.coding_policy import MAX_HELD, UndecidedDecoder, asks_for, published_format
from fetchq.http.content_coding import decoder_for
from fetchq.http.decoder import DecodeError, Decoder

# --- what was asked for (RFC 9110, 12.5.3) ---


@pytest.mark.parametrize(
    ("accept_encoding", "codings", "asked"),
    [
        (None, ["gzip"], True),
        (None, ["unknown"], True),
        ("identity", ["gzip"], False),
        ("identity", [], True),
        ("", ["gzip"], False),
        ("gzip", ["gzip"], True),
        ("gzip", ["x-gzip"], True),
        ("X-GZIP", ["gzip"], True),
        ("br, gzip;q=0.5", ["gzip"], True),
        ("br, gzip; q=0", ["gzip"], False),
        ("gzip;q=0.000, *", ["gzip"], False),
        ("gzip;q=0.001", ["gzip"], True),
        ("*", ["zstd"], True),
        ("*;q=0", ["zstd"], False),
        ("gzip, br", ["gzip", "br"], True),
        ("gzip", ["gzip", "br"], False),
    ],
)
def test_an_accept_encoding_says_which_codings_were_asked_for(
    accept_encoding: str | None, codings: list[str], asked: bool
) -> None:
    assert asks_for(accept_encoding, codings) is asked


# --- what a file begins with ---

GZIP, BZIP2, XZ, ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"


@pytest.mark.parametrize(
    ("path", "media_type", "expected"),
    [
        ("/pkg-1.0.tar.gz", "application/x-tar", GZIP),
        ("/PKG.TGZ", "application/octet-stream", GZIP),
        ("/a.tar.bz2", "application/x-tar; charset=binary", BZIP2),
        ("/a.tar.xz", "Application/X-Tar", XZ),
        ("/a.zst", "binary/octet-stream", ZSTD),
        ("/Packages.gz", None, GZIP),
        ("/download", "application/x-gzip", GZIP),
        ("/download", "application/x-tar", None),
        ("/pkg.tar", "application/x-tar", None),
        ("/page.html.gz", "text/html", None),
        ("/sitemap.xml.gz", "application/xml", None),
        ("/data.json.gz", "application/json", None),
        ("/gz", "application/octet-stream", None),
    ],
)
def test_the_type_and_the_name_say_what_a_published_file_begins_with(
    path: str, media_type: str | None, expected: bytes | None
) -> None:
    headers = header_map([] if media_type is None else [("Content-Type", media_type)])
    assert published_format((path, "/elsewhere"), headers) == expected
    assert published_format(("/elsewhere", path), headers) == expected


@pytest.mark.parametrize(
    "disposition",
    ["attachment; filename=pkg.tar.gz", 'attachment; filename="a pkg.tgz"', "inline; FileName*=utf-8''pkg.gz; x=y"],
)
def test_a_name_in_the_content_disposition_counts_too(disposition: str) -> None:
    headers = header_map([("Content-Type", "application/x-tar"), ("Content-Disposition", disposition)])
    assert published_format(("/get",), headers) == GZIP


# --- the decision ---

PLAIN = b"a line of text\n" * 3
LARGE = bytes(range(256)) * 1000
chunk_sizes = st.lists(st.integers(1, 50) | st.integers(1000, 70_000), min_size=1, max_size=4)


def gz(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def undecided(published: bytes | None, *, keeps_damaged: bool = False) -> UndecidedDecoder:
    def make() -> Decoder:
        decoder = decoder_for(["gzip"])
        assert decoder is not None
        return decoder

    return UndecidedDecoder(make, published, keeps_damaged=keeps_damaged)


def all_of(decoder: UndecidedDecoder, wire: bytes, sizes: list[int]) -> bytes:
    def pieces() -> Iterator[bytes]:
        at, turn = 0, 0
        while at < len(wire):
            size = sizes[turn % len(sizes)] + len(wire) // 2000
            yield from decoder.feed(wire[at : at + size])
            at, turn = at + size, turn + 1
        yield from decoder.flush()

    found = b"".join(pieces())
    decoder.finish()
    return found


@pytest.mark.parametrize(
    ("wire", "undoes"),
    [
        pytest.param(gz(PLAIN), False, id="the label of the file"),
        pytest.param(gz(LARGE), False, id="of a large one"),
        pytest.param(gz(gz(PLAIN)), True, id="packed for the way"),
        pytest.param(gz(gz(LARGE)), True, id="packed for the way, large"),
        pytest.param(gz(PLAIN)[:-9], False, id="a file that is damaged, but as published"),
    ],
)
@examples(10)
@given(sizes=chunk_sizes)
def test_a_published_file_is_as_published_however_it_is_cut(wire: bytes, undoes: bool, sizes: list[int]) -> None:
    decoder = undecided(GZIP)
    assert all_of(decoder, wire, sizes) == (gzip.decompress(wire) if undoes else wire)
    assert decoder.decodes is undoes


def test_a_file_of_another_format_is_decoded_or_kept() -> None:
    assert all_of(undecided(BZIP2), gz(b"BZh9..."), [9]) == b"BZh9..."
    assert all_of(undecided(BZIP2), b"BZh9...", [9]) == b"BZh9..."
    assert all_of(undecided(BZIP2), gz(PLAIN), [9]) == PLAIN
    with pytest.raises(DecodeError, match="not valid gzip data"):
        all_of(undecided(BZIP2), PLAIN, [9])


def no_decoder() -> Decoder:
    raise DecodeError("an unknown content coding: x-bzip2")


def test_a_file_in_a_coding_that_nobody_knows_is_kept_if_it_is_what_it_should_be() -> None:
    assert all_of(UndecidedDecoder(no_decoder, BZIP2, keeps_damaged=False), b"BZh9...", [9]) == b"BZh9..."
    assert all_of(UndecidedDecoder(no_decoder, BZIP2, keeps_damaged=True), PLAIN, [9]) == PLAIN
    with pytest.raises(DecodeError, match="unknown content coding"):
        all_of(UndecidedDecoder(no_decoder, BZIP2, keeps_damaged=False), PLAIN, [9])


@examples(60)
@given(wire=st.binary(max_size=300), sizes=chunk_sizes)
@example(wire=gz(PLAIN)[:-1], sizes=[1])
@example(wire=b"\x1f", sizes=[1])
def test_what_does_not_decode_is_kept_where_the_user_wants_it(wire: bytes, sizes: list[int]) -> None:
    try:
        expected = gzip.decompress(wire)
    except (OSError, EOFError, ValueError):
        expected = wire
    assert all_of(undecided(None, keeps_damaged=True), wire, sizes) == expected


def outcome(decode: Callable[[], bytes]) -> bytes | str:
    try:
        return decode()
    except DecodeError as problem:
        return str(problem)


NOISE = gz(b"".join(bytes([n * n % 251]) for n in range(300_000)))


@examples(30)
@given(
    at=st.integers(0, len(NOISE) - 1) | st.integers(0, 30), sizes=chunk_sizes, data=st.binary(min_size=1, max_size=9)
)
def test_damage_gives_the_same_however_the_body_is_cut(at: int, sizes: list[int], data: bytes) -> None:
    wire = NOISE[:at] + data + NOISE[at + len(data) :]
    whole = outcome(lambda: all_of(undecided(None, keeps_damaged=True), wire, [len(wire)]))
    cut = outcome(lambda: all_of(undecided(None, keeps_damaged=True), wire, sizes))
    assert cut == whole


def test_damage_beyond_the_beginning_is_damage() -> None:
    wire = gz(b"".join(n.to_bytes(4) for n in range(200_000)))
    assert len(wire) > 2 * MAX_HELD
    assert outcome(lambda: all_of(undecided(None, keeps_damaged=True), wire[:-20], [70_000])) == (
        "the gzip data ends too early"
    )
