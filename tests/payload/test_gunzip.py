# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A gzip stream is inflated piece by piece, in the same way by each library."""

import gzip
import random
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import isal.igzip_lib
import pytest

import antenna.fast.inflate
from antenna.limits import MAX_GZIP_MEMBERS
from antenna.payload.gunzip import Gunzip
from antenna.refusal import Reason, Refusal

TEXT = b"The quick brown fox jumps over the lazy dog. " * 20
# Compresses to two blocks, because a stored block has at most 65,535 bytes.
NOISE = random.Random(1).randbytes(70_000)
ZIPPED = gzip.compress(TEXT)
MIB = 1024 * 1024

# Sizes of the pieces in which a stream comes.
SIZES = (1, 7, 65536)


Open = Callable[..., Gunzip]


@pytest.fixture(params=[isal.igzip_lib, None], ids=["isal", "zlib"])
def unzip(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Inflate with each of the libraries."""
    monkeypatch.setattr(antenna.fast.inflate, "_library", request.param)
    return Gunzip


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.fixture
def gunzip(unzip: Open) -> Callable[..., bytes]:
    def whole(data: bytes, size: int = 65536, max_size: int = 10 * MIB) -> bytes:
        return b"".join(unzip(in_pieces(data, size), max_size=max_size))

    return whole


def with_optional_fields(data: bytes, flags: int) -> bytes:
    """Return a gzip member with header checksum (2), extra field (4), file name (8) or comment (16); RFC 1952, 2.3."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    header += (struct.pack("<H", 6) + b"ab\x02\x00cd") * bool(flags & 4)
    header += b"name\0" * bool(flags & 8) + b"comment\0" * bool(flags & 16)
    header += struct.pack("<H", zlib.crc32(header) & 0xFFFF) * bool(flags & 2)
    return header + gzip.compress(data)[10:]


@pytest.mark.parametrize(
    ("data", "content"),
    [
        pytest.param(ZIPPED, TEXT, id="one member"),
        pytest.param(gzip.compress(b""), b"", id="nothing in it"),
        pytest.param(gzip.compress(TEXT, 0), TEXT, id="stored"),
        pytest.param(gzip.compress(NOISE, 1), NOISE, id="noise"),
        pytest.param(gzip.compress(bytes(MIB), 1), bytes(MIB), id="more output than fits a piece"),
        pytest.param(ZIPPED * 2, TEXT * 2, id="the same member twice"),
        pytest.param(ZIPPED + gzip.compress(b"") + ZIPPED, TEXT * 2, id="three members"),
        pytest.param(
            b"".join(gzip.compress(b"%c" % byte) for byte in TEXT[:100]), TEXT[:100], id="a member for each byte"
        ),
        pytest.param(ZIPPED + b"trailing junk", TEXT, id="junk after it"),
        pytest.param(ZIPPED + bytes(100), TEXT, id="zeros after it"),
        pytest.param(ZIPPED + b"\x1f", TEXT, id="one byte after it"),
    ],
)
def test_content(gunzip: Callable[..., bytes], data: bytes, content: bytes) -> None:
    # What is large does not come byte by byte, because that takes long.
    for size in SIZES if len(data) < 10_000 else SIZES[1:]:
        assert gunzip(data, size) == content


@pytest.mark.parametrize("flags", range(0, 32, 2))
def test_optional_fields(gunzip: Callable[..., bytes], flags: int) -> None:
    data = with_optional_fields(TEXT, flags)

    for size in SIZES:
        assert gunzip(data * 2, size) == TEXT * 2


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(TEXT, id="no gzip"),
        pytest.param(zlib.compress(TEXT), id="zlib"),
        pytest.param(ZIPPED[10:-8], id="raw deflate"),
        pytest.param(ZIPPED[:1], id="first byte"),
        pytest.param(ZIPPED[:10], id="header only"),
        pytest.param(ZIPPED[:-1], id="last byte missing"),
        pytest.param(ZIPPED[:-8], id="trailer missing"),
        pytest.param(ZIPPED[:-8] + bytes(8), id="wrong checksum"),
        pytest.param(ZIPPED[:-4] + bytes(4), id="wrong size"),
        pytest.param(ZIPPED[:20] + b"\xff" * 40, id="damaged"),
        pytest.param(b"\x1f\x8b\x09" + ZIPPED[3:], id="unknown method"),
        pytest.param(ZIPPED + ZIPPED[:-9], id="second member cut off"),
        pytest.param(ZIPPED + b"\x1f\x8bx", id="second member damaged"),
    ],
)
def test_bad_gzip(gunzip: Callable[..., bytes], data: bytes) -> None:
    for size in (1, 65536):
        with pytest.raises(Refusal) as raised:
            gunzip(data, size)
        assert raised.value.reason is Reason.BAD_GZIP


@pytest.mark.parametrize("members", [1, 20], ids=["bomb", "bomb in members"])
def test_output_is_bounded(unzip: Open, members: int) -> None:
    data = gzip.compress(bytes(20 * MIB // members), 1) * members
    sizes: list[int] = []
    with pytest.raises(Refusal) as raised:
        sizes.extend(map(len, unzip([data], max_size=10 * MIB)))
    assert raised.value.reason is Reason.TOO_LARGE
    assert sum(sizes) <= 10 * MIB
    assert max(sizes) <= 256 * 1024


def test_output_of_just_that_size(gunzip: Callable[..., bytes]) -> None:
    assert len(gunzip(gzip.compress(bytes(MIB)), max_size=MIB)) == MIB


def test_members_are_bounded(gunzip: Callable[..., bytes]) -> None:
    member = gzip.compress(b"x")

    assert gunzip(member * MAX_GZIP_MEMBERS) == b"x" * MAX_GZIP_MEMBERS
    with pytest.raises(Refusal) as raised:
        gunzip(member * (MAX_GZIP_MEMBERS + 1))
    assert raised.value.reason is Reason.TOO_LARGE


def test_all_input_is_read(unzip: Open) -> None:
    pieces = in_pieces(ZIPPED + bytes(100_000), 1000)
    list(unzip(pieces, max_size=MIB))

    assert list(pieces) == []


def test_time_is_measured(unzip: Open) -> None:
    unzipped = unzip([gzip.compress(NOISE)], max_size=MIB)
    assert unzipped.seconds == 0
    list(unzipped)
    assert 0 < unzipped.seconds < 1


class TestCosts:
    @pytest.mark.parametrize("size", [250_000, 750_000])
    def test_blocks_without_content_keep_nobody_waiting(self, size: int) -> None:
        pieces = iter(Gunzip(in_pieces(blocks_without_content(size), 128 * 1024), max_size=MIB))

        steps: list[float] = []
        piece: bytes | None = b""
        while piece is not None:
            start = time.process_time()
            with suppress(Refusal):  # if it takes too long in all: then that was the last one
                piece = next(pieces, None)
            steps.append(time.process_time() - start)

        assert max(steps) < 0.1

    @pytest.mark.parametrize("before", [0, 60 * MIB], ids=["alone", "after cheap content"])
    def test_blocks_without_content_take_no_end_of_time(self, before: int) -> None:
        data = blocks_without_content(20 * MIB)
        if before:
            compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
            data = compressor.compress(bytes(before)) + compressor.flush(zlib.Z_FULL_FLUSH) + data[10:]
        turns: list[float] = []
        start = time.process_time()
        with pytest.raises(Refusal) as raised:
            turns.extend(time.process_time() for _ in Gunzip(in_pieces(data, 128 * 1024), max_size=200 * MIB))

        assert raised.value.args == (Reason.TOO_LARGE.answer, "time to decompress")
        assert time.process_time() - start < 0.8
        assert len(turns) > 10, "nobody else has had a turn"

    @pytest.mark.parametrize(("level", "size"), [(0, 65536), (1, 7), (9, 1000)])
    def test_real_content_has_all_the_time_it_needs(self, level: int, size: int) -> None:
        content = NOISE * 4 + bytes(MIB // 4) + TEXT
        data = gzip.compress(content, level)

        assert b"".join(Gunzip(in_pieces(data, size), max_size=5 * MIB)) == content


def blocks_without_content(size: int) -> bytes:
    """Return a gzip of nothing in ``size`` bytes: for each block, an inflater makes its tables anew (RFC 1951)."""
    # A dynamic block: lengths of code lengths, of which 18 (zeros) and 1 have one each; code lengths; its end.
    lengths = "".join("100" if symbol in (18, 1) else "000" for symbol in _ORDER)
    dynamic = "001" + "00000" + "00000" + "0111" + lengths + "1" + "1111111" + "1" + "1101011" + "0" + "0" + "0"
    fixed = "010" + "0000000"
    blocks = _bytes((dynamic + fixed) * 8)
    end = _bytes("110" + "0000000")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + blocks * (size // len(blocks)) + end + bytes(8)


# The order in which code lengths of code lengths are sent, up to that of 1 (RFC 1951 section 3.2.7).
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)


def _bytes(bits: str) -> bytes:
    """Pack bits into bytes. The first bit goes into the lowest place of the first byte."""
    size = -(-len(bits) // 8)
    return int(bits[::-1], 2).to_bytes(size, "little")
