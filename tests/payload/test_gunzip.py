# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A gzip stream is inflated piece by piece, in the same way by each library."""

import ctypes
import gzip
import random
import struct
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import SimpleNamespace

import isal.isal_zlib
import pytest

import antenna.payload.gunzip
import antenna.payload.libdeflate
from antenna.limits import MAX_GZIP_MEMBERS
from antenna.payload.gunzip import Gunzip
from antenna.payload.libdeflate import Libdeflate
from antenna.payload.memory import Memory, Share
from antenna.refusal import Reason, Refusal

TEXT = b"The quick brown fox jumps over the lazy dog. " * 20
NOISE = random.Random(1).randbytes(300_000)
SOME = NOISE[:200_000]
MIB = 1024 * 1024
SMALL = 768 * 1024


Open = Callable[..., Gunzip]


@pytest.fixture(params=["libdeflate", "isal", "zlib"])
def unzip(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Inflate with each of the three; the first takes what is small and in one member, and leaves the rest to isal."""
    monkeypatch.setattr(antenna.payload.gunzip, "_fast_zlib", zlib if request.param == "zlib" else isal.isal_zlib)
    if request.param != "libdeflate":
        return Gunzip
    return partial(Gunzip, memory=Share(Memory(MIB), MIB), whole=Libdeflate.load(SMALL))


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


@pytest.mark.parametrize("size", [1, 7, 65536])
@pytest.mark.parametrize(
    ("data", "content"),
    [
        pytest.param(gzip.compress(TEXT), TEXT, id="one member"),
        pytest.param(gzip.compress(b""), b"", id="nothing in it"),
        pytest.param(gzip.compress(TEXT, 0), TEXT, id="stored"),
        pytest.param(gzip.compress(NOISE), NOISE, id="noise"),
        pytest.param(gzip.compress(bytes(2 * MIB)), bytes(2 * MIB), id="more output than fits a piece"),
        pytest.param(gzip.compress(TEXT) * 2, TEXT * 2, id="the same member twice"),
        pytest.param(gzip.compress(TEXT) + gzip.compress(b"") + gzip.compress(TEXT), TEXT * 2, id="three members"),
        pytest.param(b"".join(gzip.compress(b"%c" % byte) for byte in TEXT), TEXT, id="a member for each byte"),
        pytest.param(gzip.compress(TEXT) + b"trailing junk", TEXT, id="junk after it"),
        pytest.param(gzip.compress(TEXT) + bytes(100), TEXT, id="zeros after it"),
        pytest.param(gzip.compress(TEXT) + b"\x1f", TEXT, id="one byte after it"),
    ],
)
def test_content(gunzip: Callable[..., bytes], data: bytes, content: bytes, size: int) -> None:
    assert gunzip(data, size) == content


@pytest.mark.parametrize("size", [1, 7, 65536])
@pytest.mark.parametrize("flags", range(0, 32, 2))
def test_optional_fields(gunzip: Callable[..., bytes], flags: int, size: int) -> None:
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
def test_bad_gzip(gunzip: Callable[..., bytes], data: bytes, size: int) -> None:
    with pytest.raises(Refusal) as raised:
        gunzip(data, size)
    assert raised.value.reason is Reason.BAD_GZIP


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(gzip.compress(bytes(100 * MIB)), id="bomb"),
        pytest.param(gzip.compress(bytes(MIB)) * 20, id="bomb in members"),
    ],
)
def test_output_is_bounded(unzip: Open, data: bytes) -> None:
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
    pieces = in_pieces(gzip.compress(TEXT) + bytes(100_000), 1000)
    list(unzip(pieces, max_size=MIB))

    assert list(pieces) == []


def test_time_is_measured(unzip: Open) -> None:
    unzipped = unzip([gzip.compress(NOISE)], max_size=MIB)
    assert unzipped.seconds == 0
    list(unzipped)
    assert 0 < unzipped.seconds < 1


class TestSmallStreams:
    """Those that are inflated in one go."""

    @pytest.fixture
    def memory(self) -> Memory:
        return Memory(MIB)

    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Sizes of the streams that were, whether it worked or not."""
        sizes: list[int] = []
        inflate = Libdeflate.inflate

        def counted(library: Libdeflate, data: bytes) -> tuple[list[bytes], int] | None:
            sizes.append(len(data))
            return inflate(library, data)

        monkeypatch.setattr(Libdeflate, "inflate", counted)
        return sizes

    def unzip(self, data: bytes, memory: Memory, max_size: int = 10 * MIB) -> bytes:
        pieces = in_pieces(data, 10_000)
        whole = Libdeflate.load(SMALL)
        assert whole is not None
        return b"".join(Gunzip(pieces, max_size=max_size, memory=Share(memory, MIB), whole=whole))

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(gzip.compress(SOME), id="noise"),
            pytest.param(gzip.compress(bytes(SMALL)), id="as much as may be"),
            pytest.param(gzip.compress(TEXT)[:-8] + bytes(8), id="damaged"),
            pytest.param(gzip.compress(TEXT) * 2, id="two members"),
        ],
    )
    def test_tried(self, data: bytes, memory: Memory, calls: list[int]) -> None:
        with suppress(Refusal):
            self.unzip(data, memory)
        assert calls == [len(data)]

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(gzip.compress(bytes(SMALL + 1)), id="more content"),
            pytest.param(gzip.compress(NOISE), id="a larger stream"),
            pytest.param(with_optional_fields(TEXT, 2), id="optional fields"),
        ],
    )
    def test_not_tried(self, data: bytes, memory: Memory, calls: list[int]) -> None:
        assert self.unzip(data, memory) == gzip.decompress(data)
        assert calls == []

    @pytest.mark.parametrize("start", [TEXT, b"\x1f", gzip.compress(TEXT)[:3] + b"\x02"])
    def test_what_is_unusual_is_not_waited_for(self, memory: Memory, start: bytes) -> None:
        pieces = iter([start, *[bytes(1000)] * 100])
        whole = Libdeflate.load(SMALL)
        unzipped = Gunzip(pieces, max_size=MIB, memory=Share(memory, MIB), whole=whole)
        with pytest.raises(Refusal):
            list(unzipped)

        assert len(list(pieces)) >= 99

    def test_more_than_a_report_may_have(self, memory: Memory) -> None:
        assert self.unzip(gzip.compress(SOME), memory, max_size=len(SOME)) == SOME
        with pytest.raises(Refusal) as raised:
            self.unzip(gzip.compress(SOME), memory, max_size=len(SOME) - 1)
        assert raised.value.reason is Reason.TOO_LARGE

    def test_size_that_is_not_the_content_s(self, memory: Memory) -> None:
        data = gzip.compress(bytes(2 * SMALL)) + b"\x01\0\0\0"

        assert self.unzip(data, memory) == bytes(2 * SMALL)

    def test_without_memory(self, calls: list[int]) -> None:
        assert self.unzip(gzip.compress(SOME), Memory(50_000)) == SOME
        assert calls == []

    def test_memory_is_released(self, memory: Memory) -> None:
        self.unzip(gzip.compress(SOME), memory)
        self.unzip(gzip.compress(bytes(2 * SMALL)), memory)
        unzipped = Gunzip(_client_that_goes(), max_size=MIB, memory=Share(memory, MIB), whole=Libdeflate.load(SMALL))
        with pytest.raises(Refusal):
            list(unzipped)

        assert memory.reserve(MIB)

    def test_bytes_that_drip_take_no_more_memory(self, memory: Memory) -> None:
        data = gzip.compress(SOME)
        unzipped = Gunzip(in_pieces(data, 2), max_size=MIB, memory=Share(memory, MIB), whole=Libdeflate.load(SMALL))
        tracemalloc.start()
        for content in unzipped:
            assert content == SOME[: len(content)]
            break
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert peak < 4 * len(data)

    @pytest.mark.parametrize("size", [250_000, 750_000])
    def test_blocks_without_content_keep_nobody_waiting(self, memory: Memory, size: int) -> None:
        data = blocks_without_content(size)
        whole = Libdeflate.load(SMALL)
        pieces = iter(Gunzip(in_pieces(data, 65536), max_size=MIB, memory=Share(memory, MIB), whole=whole))

        steps: list[float] = []
        piece: bytes | None = b""
        while piece is not None:
            start = time.process_time()
            with suppress(Refusal):  # if it takes too long in all: then that was the last one
                piece = next(pieces, None)
            steps.append(time.process_time() - start)

        assert max(steps) < 0.1

    @pytest.mark.parametrize("before", [0, 100 * MIB], ids=["alone", "after cheap content"])
    def test_blocks_without_content_take_no_end_of_time(self, before: int) -> None:
        data = blocks_without_content(20 * MIB)
        if before:
            compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
            data = compressor.compress(bytes(before)) + compressor.flush(zlib.Z_FULL_FLUSH) + data[10:]
        turns: list[float] = []
        start = time.process_time()
        with pytest.raises(Refusal) as raised:
            turns.extend(time.process_time() for _ in Gunzip(in_pieces(data, 65536), max_size=200 * MIB))

        assert raised.value.args == (Reason.TOO_LARGE.answer, "time to decompress")
        assert time.process_time() - start < 0.8
        assert len(turns) > 10, "nobody else has had a turn"

    @pytest.mark.parametrize("level", [0, 1, 9])
    def test_real_content_has_all_the_time_it_needs(self, level: int) -> None:
        content = random.Random(1).randbytes(MIB) + bytes(MIB) + TEXT
        data = gzip.compress(content, level)

        for size in (7, 1000, 65536):
            assert b"".join(Gunzip(in_pieces(data, size), max_size=5 * MIB)) == content

    def test_threads_share_it(self) -> None:
        whole = Libdeflate.load(SMALL)
        assert whole is not None
        texts = [random.Random(number).randbytes(1000) * 200 for number in range(4)]
        wrong: list[int] = []

        def inflate(number: int) -> None:
            data = gzip.compress(texts[number])
            for _ in range(200):
                inflated = whole.inflate(data)
                if inflated is None or b"".join(inflated[0]) != texts[number]:
                    wrong.append(number)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        threads = [threading.Thread(target=inflate, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)

        assert wrong == []

    def test_content_lives_on(self, memory: Memory) -> None:
        contents = [self.unzip(gzip.compress(text), memory) for text in (TEXT, SOME, b"")]

        assert contents == [TEXT, SOME, b""]

    @pytest.mark.parametrize(
        "package", [None, SimpleNamespace(_deflate=isal.isal_zlib)], ids=["none", "other functions"]
    )
    def test_without_the_library(self, monkeypatch: pytest.MonkeyPatch, package: object) -> None:
        monkeypatch.setattr(antenna.payload.libdeflate, "_package", package)

        assert Libdeflate.load(SMALL) is None

    def test_without_memory_for_an_inflater(self, monkeypatch: pytest.MonkeyPatch) -> None:
        library = SimpleNamespace(
            libdeflate_gzip_decompress_ex=SimpleNamespace(), libdeflate_alloc_decompressor=lambda: None
        )
        monkeypatch.setattr(ctypes, "PyDLL", lambda _: library)

        assert Libdeflate.load(SMALL) is None


def blocks_without_content(size: int) -> bytes:
    """Return a gzip of nothing in ``size`` bytes: for each block, an inflater makes its tables anew (RFC 1951)."""
    # A dynamic block: lengths of code lengths, of which 18 (zeros) and 1 have one each; code lengths; its end.
    lengths = "".join("100" if symbol in (18, 1) else "000" for symbol in _ORDER)
    dynamic = "001" + "00000" + "00000" + "0111" + lengths + "1" + "1111111" + "1" + "1101011" + "0" + "0" + "0"
    fixed = "010" + "0000000"
    blocks = _bytes((dynamic + fixed) * 8)
    end = _bytes("110" + "0000000")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + blocks * (size // len(blocks)) + end + bytes(8)


# In which code lengths of code lengths are sent, up to that of 1: RFC 1951 section 3.2.7.
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)


def _bytes(bits: str) -> bytes:
    """Pack bits as they come, the first into the lowest place of the first byte."""
    size = -(-len(bits) // 8)
    return int(bits[::-1], 2).to_bytes(size, "little")


def _client_that_goes() -> Iterator[bytes]:
    yield gzip.compress(SOME)[:100_000]
    raise Refusal(Reason.INCOMPLETE_BODY)
