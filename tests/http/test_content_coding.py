"""What was coded comes back whole, what is damaged or cut is refused, and a bomb does not fill the memory."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from itertools import chain, cycle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.factories import examples

from fetchq.http import decoder as http_decoder
from fetchq.http.content_coding import ACCEPT_ENCODING, MOST_CODINGS, brotli_module, codings_in, decoder_for
from fetchq.http.decoder import PIECE, BombError, DecodeError, Decoder
from fetchq.http.zstd_decoder import zstd_module

brotli, zstd = brotli_module(), zstd_module()
zeros = bytes


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflater.compress(data) + deflater.flush()


Encode = Callable[[bytes], bytes]

FORMATS: dict[str, tuple[str, Encode]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", lambda data: gzip.compress(data, 1)),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", lambda data: brotli.compress(data, quality=5)),
    "zstd": ("zstd", lambda data: zstd.compress(data)),
}
"""Of each format: the coding it is sent as, and how it is made."""

formats = pytest.mark.parametrize("form", FORMATS)

patterns = st.builds(lambda unit, times: unit * times, st.binary(min_size=1, max_size=40), st.integers(0, 5000))
noise = st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0, 99), st.integers(0, 150_000))
near_a_piece = st.builds(
    zeros, st.sampled_from([PIECE, 2 * PIECE, 3 * PIECE]).flatmap(lambda n: st.integers(n - 3, n + 300))
)
small = st.binary(min_size=1, max_size=300) | patterns.filter(bool)
datas = small | noise | near_a_piece | st.just(b"")
chunk_sizes = st.lists(st.integers(1, 40) | st.integers(1000, 70_000), min_size=1, max_size=4)


def coded(form: str, data: bytes) -> bytes:
    return FORMATS[form][1](data)


def decoder(form: str) -> Decoder:
    found = decoder_for([FORMATS[form][0]])
    assert found is not None
    return found


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """`data` in chunks of these sizes, again and again; not in too many of them."""
    least = len(data) // 2000
    at = 0
    for size in cycle(sizes):
        if at >= len(data):
            return
        yield data[at : at + least + size]
        at += least + size


def decoded(decoder: Decoder, *chunks: bytes, most: int = 10_000_000) -> bytes:
    """All that comes out, the end included; but not endlessly much."""
    pieces, size = [], 0
    for chunk in chunks:
        for piece in decoder.feed(chunk):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise DecodeError("enough")
    decoder.finish()
    return b"".join(pieces)


# --- what was coded comes back ---


@formats
@examples(60)
@given(data=datas, sizes=chunk_sizes)
@example(data=zeros(PIECE + 1), sizes=[PIECE])
def test_what_was_coded_comes_back_however_it_is_cut(form: str, data: bytes, sizes: list[int]) -> None:
    assert decoded(decoder(form), *cut(coded(form, data), sizes)) == data


@formats
@examples(30)
@given(data=noise | near_a_piece | patterns, sizes=chunk_sizes)
@example(data=random.Random(1).randbytes(3 * PIECE), sizes=[4 * PIECE])
def test_no_piece_is_longer_than_a_piece(form: str, data: bytes, sizes: list[int]) -> None:
    undo = decoder(form)
    for chunk in cut(coded(form, data), sizes):
        for piece in undo.feed(chunk):
            assert len(piece) <= PIECE


@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_RLE, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY])
@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, PIECE + 258, PIECE + 259, 2 * PIECE, 2 * PIECE + 7])
def test_raw_deflate_data_that_ends_just_after_a_piece_is_whole(size: int, strategy: int) -> None:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy)
    assert decoded(decoder("raw deflate"), deflater.compress(zeros(size)) + deflater.flush()) == zeros(size)


@pytest.mark.parametrize("form", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE])
def test_a_checksum_in_a_chunk_of_its_own_ends_the_data(form: str, size: int) -> None:
    wire = coded(form, zeros(size))
    trailer = {"gzip": 8, "deflate": 4}[form]
    assert decoded(decoder(form), wire[:-trailer], wire[-trailer:]) == zeros(size)


@examples(60)
@given(st.lists(st.sampled_from(sorted(FORMATS)), min_size=1, max_size=MOST_CODINGS), small, chunk_sizes)
def test_codings_one_upon_the_other_are_all_undone(forms: list[str], data: bytes, sizes: list[int]) -> None:
    wire = data
    for form in forms:
        wire = coded(form, wire)
    undo = decoder_for([FORMATS[form][0] for form in forms])
    assert undo is not None
    assert decoded(undo, *cut(wire, sizes)) == data


@pytest.mark.parametrize("form", ["gzip", "x-gzip", "zstd"])
@examples(30)
@given(parts=st.lists(small | st.just(b""), min_size=1, max_size=4), sizes=chunk_sizes)
def test_several_members_or_frames_are_one_body(form: str, parts: list[bytes], sizes: list[int]) -> None:
    wire = b"".join(coded(form, part) for part in parts)
    assert decoded(decoder(form), *cut(wire, sizes)) == b"".join(parts)


@formats
def test_empty_chunks_change_nothing(form: str) -> None:
    wire = coded(form, b"hello")
    assert decoded(decoder(form), b"", wire[:3], b"", b"", wire[3:], b"") == b"hello"


@formats
def test_nothing_at_all_decodes_to_nothing(form: str) -> None:
    assert decoded(decoder(form)) == decoded(decoder(form), b"") == b""


@formats
def test_coded_nothing_decodes_to_nothing(form: str) -> None:
    assert decoded(decoder(form), coded(form, b"")) == b""


def test_a_gzip_header_may_have_all_its_fields() -> None:
    member = coded("gzip", b"hello")
    flags = 2 | 4 | 8 | 16  # a checksum of the header, extra, name, comment (RFC 1952, 2.3.1)
    header = member[:3] + bytes([flags]) + member[4:10] + b"\x03\x00abc" + b"name\0" + b"comment\0"
    header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    assert decoded(decoder("gzip"), *cut(header + member[10:], [1])) == b"hello"


def test_a_skippable_zstd_frame_is_skipped() -> None:
    skipped = struct.pack("<II", 0x184D2A50, 5) + b"notes"
    assert decoded(decoder("zstd"), skipped + coded("zstd", b"hello") + skipped) == b"hello"


@pytest.mark.parametrize(
    ("form", "empty"), [("gzip", coded("gzip", b"")), ("zstd", struct.pack("<II", 0x184D2A50, 0))], ids=["gzip", "zstd"]
)
def test_very_many_members_or_frames_must_have_some_length(
    form: str, empty: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_decoder, "_MANY_PARTS", 100)
    long = coded(form, bytes(range(100)))
    assert decoded(decoder(form), long * 150) == bytes(range(100)) * 150
    assert decoded(decoder(form), empty * 99 + long) == bytes(range(100))
    data = empty * 200
    for cut in (1, 7, 1000, 10_000):  # however it is cut into packets
        pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
        with pytest.raises(BombError, match=f"^101 members or frames in {101 * len(empty)} bytes of coded data$"):
            list(chain.from_iterable(map(decoder(form).feed, pieces)))


# --- what is cut is refused ---


@formats
@examples(80)
@given(data=small, at=st.floats(0, 1), sizes=chunk_sizes)
@example(data=b"a", at=0.0, sizes=[1])
@example(data=b"a", at=1.0, sizes=[9])
def test_a_body_that_ends_too_early_is_refused(form: str, data: bytes, at: float, sizes: list[int]) -> None:
    wire = coded(form, data)
    end = max(1, min(len(wire) - 1, int(at * len(wire))))
    with pytest.raises(DecodeError, match="ends too early"):
        decoded(decoder(form), *cut(wire[:end], sizes))


@formats
def test_every_proper_beginning_of_a_body_is_refused(form: str) -> None:
    wire = coded(form, b"hello, hello, hello, world")
    for end in range(1, len(wire)):
        with pytest.raises(DecodeError, match="ends too early"):
            decoded(decoder(form), wire[:end])


@pytest.mark.parametrize(("inner", "outer"), [("gzip", "br"), ("zstd", "gzip"), ("deflate", "zstd"), ("br", "deflate")])
def test_a_coding_inside_another_may_not_end_too_early_either(inner: str, outer: str) -> None:
    undo = decoder_for([inner, outer])
    assert undo is not None
    wire = coded(outer, coded(inner, b"hello")[:-1])
    with pytest.raises(DecodeError, match=f"the {inner} data ends too early"):
        decoded(undo, wire)


@pytest.mark.parametrize("form", ["gzip", "zstd"])
@pytest.mark.parametrize("length", range(1, 9))
def test_a_second_member_may_not_end_too_early_either(form: str, length: int) -> None:
    wire = coded(form, b"hello")
    with pytest.raises(DecodeError, match="ends too early"):
        decoded(decoder(form), wire + wire[:length])


# --- what is damaged is refused ---


@formats
@examples(120)
@given(
    data=small,
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4),
    sizes=chunk_sizes,
)
def test_damaged_data_is_decoded_or_refused_and_nothing_else(
    form: str, data: bytes, flips: list[tuple[float, int]], sizes: list[int]
) -> None:
    wire = bytearray(coded(form, data))
    for at, mask in flips:
        wire[min(len(wire) - 1, int(at * len(wire)))] ^= mask
    refused_or(lambda: decoded(decoder(form), *cut(bytes(wire), sizes)))


@formats
@examples(120)
@given(wire=st.binary(max_size=200), sizes=chunk_sizes)
def test_any_bytes_are_decoded_or_refused_and_nothing_else(form: str, wire: bytes, sizes: list[int]) -> None:
    refused_or(lambda: decoded(decoder(form), *cut(wire, sizes)))


@examples(120)
@given(st.integers(PIECE - 2, PIECE + 300), st.integers(0, 40), st.integers(0, 255), st.binary(max_size=3))
def test_raw_deflate_data_damaged_just_after_a_piece_is_decoded_or_refused(
    size: int, back: int, mask: int, tail: bytes
) -> None:
    wire = bytearray(raw_deflate(zeros(size)))
    wire[-1 - back % len(wire)] ^= mask
    refused_or(lambda: decoded(decoder("raw deflate"), bytes(wire) + tail))


@pytest.mark.parametrize("size", [PIECE + 1, PIECE + 3, PIECE + 258])
@pytest.mark.parametrize("padding", [0xFF, 0xF8, 0xF0, 0xE0, 0xC0])
def test_a_raw_deflate_block_that_goes_wrong_just_after_a_piece_is_refused(size: int, padding: int) -> None:
    wire = bytearray(raw_deflate(zeros(size)))
    wire[0] &= 0xFE  # not the last block, but what follows it in the same byte is none
    wire[-1] |= padding
    with pytest.raises(DecodeError):
        decoded(decoder("raw deflate"), bytes(wire))


def refused_or(decode: Callable[[], bytes]) -> None:
    try:
        decode()
    except DecodeError as problem:
        assert str(problem)  # noqa: PT017  # both ends are right; what may not happen is a third


@pytest.mark.parametrize("form", ["gzip", "deflate"])
def test_a_wrong_checksum_is_refused(form: str) -> None:
    wire = bytearray(coded(form, b"hello"))
    wire[-1 if form == "deflate" else -5] ^= 1
    with pytest.raises(DecodeError, match=f"not valid {form} data"):
        decoded(decoder(form), bytes(wire))


def test_a_wrong_length_in_a_gzip_trailer_is_refused() -> None:
    with pytest.raises(DecodeError, match="not valid gzip data"):
        decoded(decoder("gzip"), coded("gzip", b"hello")[:-4] + struct.pack("<I", 6))


def test_a_wrong_checksum_in_a_zstd_frame_is_refused() -> None:
    wire = bytearray(zstd.compress(b"hello", options={zstd.CompressionParameter.checksum_flag: 1}))
    wire[-1] ^= 1
    with pytest.raises(DecodeError, match="not valid zstd data"):
        decoded(decoder("zstd"), bytes(wire))


@pytest.mark.parametrize("cut", range(9))
def test_an_empty_zstd_frame_whose_header_promises_a_byte_is_refused_however_it_is_cut(cut: int) -> None:
    wire = bytearray(zstd.compress(b""))
    assert zstd.get_frame_info(wire).decompressed_size == 0
    wire[5] = 1  # the size of its content
    pieces = [bytes(wire[:cut]), bytes(wire[cut:])]
    with pytest.raises(DecodeError, match="not valid zstd data"):
        decoded(decoder("zstd"), *pieces)


@pytest.mark.parametrize("form", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("plain", [b"<html>plain text</html>", b"{}", b"\0" * 30, b"\xff" * 30])
def test_plain_bytes_are_not_taken_for_coded_ones(form: str, plain: bytes) -> None:
    with pytest.raises(DecodeError):
        decoded(decoder(form), plain)


@pytest.mark.parametrize("form", ["gzip", "x-gzip", "deflate"])
@examples(60)
@given(data=small, tail=st.binary(min_size=1, max_size=30).filter(lambda tail: tail[:1] != b"\x1f"), sizes=chunk_sizes)
@example(data=b"a", tail=b"\n \n", sizes=[99])
@example(data=b"a", tail=zeros(512), sizes=[1])
def test_bytes_after_data_that_a_checksum_shows_to_be_whole_are_ignored(
    form: str, data: bytes, tail: bytes, sizes: list[int]
) -> None:
    assert decoded(decoder(form), *cut(coded(form, data) + tail, sizes)) == data


@pytest.mark.parametrize("form", ["raw deflate", "br", "zstd"])
@pytest.mark.parametrize("tail", [b"x", b"trailing", b"\0" * 8])
@pytest.mark.parametrize("together", [True, False])
def test_bytes_after_data_without_a_checksum_are_refused(form: str, tail: bytes, together: bool) -> None:
    wire = coded(form, b"hello")
    chunks = [wire + tail] if together else [wire, tail]
    with pytest.raises(DecodeError):
        decoded(decoder(form), *chunks)


@pytest.mark.parametrize("tail", [b"\x1f\x8b\x00garbage", b"\x1f\x8b", b"\x1f"])
@examples(10)
@given(sizes=chunk_sizes)
def test_what_begins_like_a_second_member_must_be_one(tail: bytes, sizes: list[int]) -> None:
    with pytest.raises(DecodeError):
        decoded(decoder("gzip"), *cut(coded("gzip", b"hello") + tail, sizes))


def with_window(log: int) -> bytes:
    parameters = zstd.CompressionParameter
    compressor = zstd.ZstdCompressor(options={parameters.window_log: log, parameters.content_size_flag: 0})
    return bytes(compressor.compress(b"hello", mode=compressor.CONTINUE) + compressor.flush())


@pytest.mark.parametrize("log", [23, 24, 27])
def test_a_zstd_window_of_up_to_128_mib_is_decoded(log: int) -> None:
    assert decoded(decoder("zstd"), with_window(log)) == b"hello"


def test_a_larger_zstd_window_is_named() -> None:
    with pytest.raises(DecodeError, match="a window of more than 128 MiB"):
        decoded(decoder("zstd"), with_window(28))


def test_large_window_brotli_is_named() -> None:
    wire = brotli.compress(b"hello")
    with pytest.raises(DecodeError, match="large window"):
        decoded(decoder("br"), bytes([0b0010001]) + wire)


# --- bombs ---

BOMB = 30_000_000


def bomb(form: str) -> bytes:
    if form == "raw deflate":
        return raw_deflate(zeros(BOMB))
    return coded(form, zeros(BOMB))


@formats
def test_a_bomb_is_decoded_in_bounded_memory(form: str) -> None:
    assert peak_of(decoder(form), bomb(form)) < 8 * PIECE


@pytest.mark.parametrize("inner", ["gzip", "br", "zstd"])
def test_a_bomb_inside_a_bomb_is_decoded_in_bounded_memory(inner: str) -> None:
    undo = decoder_for([inner, "gzip"])
    assert undo is not None
    assert peak_of(undo, gzip.compress(bomb(inner))) < 12 * PIECE


def peak_of(undo: Decoder, wire: bytes) -> int:
    """The most memory that Python objects take while `wire` is decoded, fed at once."""
    for _ in undo.feed(wire[:2]):  # what is imported and allocated once does not count
        pass
    size = 0
    tracemalloc.start()
    try:
        for piece in undo.feed(wire[2:]):
            size += len(piece)
        undo.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == BOMB
    return peak - len(wire)  # the input is there in any case, once as what zlib has not consumed yet


# --- which codings ---


@pytest.mark.parametrize(
    ("content_encoding", "codings"),
    [
        ("", []),
        ("identity", []),
        ("gzip", ["gzip"]),
        (" GZip ", ["gzip"]),
        ("gzip, br", ["gzip", "br"]),
        (",deflate ,, identity,\tZSTD,", ["deflate", "zstd"]),
        ("gzip;q=1", ["gzip;q=1"]),
        ("none", []),
        ("UTF-8", []),
        ("binary, gzip", ["gzip"]),
    ],
)
def test_codings_are_read_in_the_order_in_which_they_were_applied(content_encoding: str, codings: list[str]) -> None:
    assert codings_in(content_encoding) == codings


def test_everything_that_is_asked_for_can_be_decoded() -> None:
    for name in codings_in(ACCEPT_ENCODING):
        assert decoder_for([name]) is not None


@pytest.mark.parametrize("codings", [["compress"], ["gzip", "unknown"], ["aws-chunked", "gzip"], ["gzip;q=1"], ["é"]])
def test_an_unknown_coding_has_no_decoder(codings: list[str]) -> None:
    assert decoder_for(codings) is None


def test_too_many_codings_one_upon_the_other_are_refused() -> None:
    assert decoder_for(["gzip"] * MOST_CODINGS) is not None
    for name in ("gzip", "unknown"):
        with pytest.raises(DecodeError, match="5 content codings"):
            decoder_for([name] * (MOST_CODINGS + 1))


def test_what_the_standard_library_writes_as_a_stream_is_decoded() -> None:
    stream = io.BytesIO()
    with gzip.open(stream, "wb") as file:
        for line in range(1000):
            file.write(b"line %d\n" % line)
    assert decoded(decoder("gzip"), *cut(stream.getvalue(), [7])).endswith(b"line 999\n")
