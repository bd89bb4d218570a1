# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A gzip stream is inflated piece by piece, in the same way by each library."""

import gzip
import random
import struct
import zlib
from collections.abc import Iterator

import isal.isal_zlib
import pytest

import antenna.gunzip
from antenna.gunzip import Gunzip
from antenna.limits import MAX_GZIP_MEMBERS
from antenna.reasons import MalformedCrashReport, Reason

TEXT = b"The quick brown fox jumps over the lazy dog. " * 20
NOISE = random.Random(1).randbytes(300_000)
MIB = 1024 * 1024


@pytest.fixture(params=["isal", "zlib"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inflate with each of the two."""
    monkeypatch.setattr(antenna.gunzip, "_fast_zlib", isal.isal_zlib if request.param == "isal" else zlib)


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def gunzip(data: bytes, size: int = 65536, max_size: int = 10 * MIB) -> bytes:
    return b"".join(Gunzip(in_pieces(data, size), max_size=max_size))


def with_optional_fields(data: bytes, flags: int) -> bytes:
    """Return a gzip member with header checksum (2), extra field (4), file name (8) or comment (16); RFC 1952, 2.3."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    header += (struct.pack("<H", 6) + b"ab\x02\x00cd") * bool(flags & 4)
    header += b"name\0" * bool(flags & 8) + b"comment\0" * bool(flags & 16)
    header += struct.pack("<H", zlib.crc32(header) & 0xFFFF) * bool(flags & 2)
    return header + gzip.compress(data)[10:]


@pytest.mark.parametrize("size", [1, 7, 65536])
@pytest.mark.parametrize(
    ("data", "content"),
    [
        pytest.param(gzip.compress(TEXT), TEXT, id="one member"),
        pytest.param(gzip.compress(b""), b"", id="nothing in it"),
        pytest.param(gzip.compress(TEXT, 0), TEXT, id="stored"),
        pytest.param(gzip.compress(NOISE), NOISE, id="noise"),
        pytest.param(gzip.compress(bytes(2 * MIB)), bytes(2 * MIB), id="more output than fits a piece"),
        pytest.param(gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(TEXT), TEXT * 2, id="three members"),
        pytest.param(b"".join(gzip.compress(b"%c" % byte) for byte in TEXT), TEXT, id="a member for each byte"),
        pytest.param(gzip.compress(TEXT) + b"trailing junk", TEXT, id="junk after it"),
        pytest.param(gzip.compress(TEXT) + bytes(100), TEXT, id="zeros after it"),
        pytest.param(gzip.compress(TEXT) + b"\x1f", TEXT, id="one byte after it"),
    ],
)
def test_content(data: bytes, content: bytes, size: int) -> None:
    assert gunzip(data, size) == content


@pytest.mark.parametrize("size", [1, 7, 65536])
@pytest.mark.parametrize("flags", range(0, 32, 2))
def test_optional_fields(flags: int, size: int) -> None:
    data = with_optional_fields(TEXT, flags)

    assert gunzip(data * 2, size) == TEXT * 2


@pytest.mark.parametrize("size", [1, 65536])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(TEXT, id="no gzip"),
        pytest.param(zlib.compress(TEXT), id="zlib"),
        pytest.param(gzip.compress(TEXT)[10:-8], id="raw deflate"),
        pytest.param(gzip.compress(TEXT)[:1], id="first byte"),
        pytest.param(gzip.compress(TEXT)[:10], id="header only"),
        pytest.param(gzip.compress(TEXT)[:-1], id="last byte missing"),
        pytest.param(gzip.compress(TEXT)[:-8], id="trailer missing"),
        pytest.param(gzip.compress(TEXT)[:-8] + bytes(8), id="wrong checksum"),
        pytest.param(gzip.compress(TEXT)[:-4] + bytes(4), id="wrong size"),
        pytest.param(gzip.compress(TEXT)[:20] + b"\xff" * 40, id="damaged"),
        pytest.param(b"\x1f\x8b\x09" + gzip.compress(TEXT)[3:], id="unknown method"),
        pytest.param(gzip.compress(TEXT) + gzip.compress(TEXT)[:-9], id="second member cut off"),
        pytest.param(gzip.compress(TEXT) + b"\x1f\x8bx", id="second member damaged"),
    ],
)
def test_bad_gzip(data: bytes, size: int) -> None:
    with pytest.raises(MalformedCrashReport) as raised:
        gunzip(data, size)
    assert raised.value.reason is Reason.BAD_GZIP


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(gzip.compress(bytes(100 * MIB)), id="bomb"),
        pytest.param(gzip.compress(bytes(MIB)) * 20, id="bomb in members"),
    ],
)
def test_output_is_bounded(data: bytes) -> None:
    sizes: list[int] = []
    with pytest.raises(MalformedCrashReport) as raised:
        sizes.extend(map(len, Gunzip([data], max_size=10 * MIB)))
    assert raised.value.reason is Reason.TOO_LARGE
    assert sum(sizes) <= 10 * MIB
    assert max(sizes) <= 256 * 1024


def test_output_of_just_that_size() -> None:
    assert len(gunzip(gzip.compress(bytes(MIB)), max_size=MIB)) == MIB


def test_members_are_bounded() -> None:
    member = gzip.compress(b"x")

    assert gunzip(member * MAX_GZIP_MEMBERS) == b"x" * MAX_GZIP_MEMBERS
    with pytest.raises(MalformedCrashReport) as raised:
        gunzip(member * (MAX_GZIP_MEMBERS + 1))
    assert raised.value.reason is Reason.TOO_LARGE


def test_all_input_is_read() -> None:
    pieces = in_pieces(gzip.compress(TEXT) + bytes(100_000), 1000)
    list(Gunzip(pieces, max_size=MIB))

    assert list(pieces) == []


def test_time_is_measured() -> None:
    unzipped = Gunzip([gzip.compress(NOISE)], max_size=MIB)
    assert unzipped.seconds == 0
    list(unzipped)
    assert 0 < unzipped.seconds < 1
