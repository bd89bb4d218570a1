# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Content is in memory while it is small, and in a file without a name otherwise."""

import errno
import io
import os
import random
from pathlib import Path

import pytest

from antenna.config import build_config
from antenna.crash.buffer import Buffer
from antenna.files import PIECE_SIZE
from antenna.limits import Limits
from antenna.payload.body import RequestBody
from antenna.payload.memory import Memory, Share
from antenna.payload.temporary_space import TemporaryShare, TemporarySpace
from antenna.refusal import Reason, Refusal


@pytest.fixture
def memory() -> Memory:
    return Memory(10_000)


@pytest.fixture
def buffer(memory: Memory, tmp_path: Path) -> Buffer:
    return Buffer(Share(memory, 1000), tmp_path)


@pytest.fixture(params=["O_TMPFILE", "without"])
def _with_and_without_o_tmpfile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also as on file systems that know no files without a name."""
    if request.param == "without":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)


def room(memory: Memory) -> int:
    """Return how many bytes of memory are left."""
    for size in range(10_000, -1, -1):
        if memory.reserve(size):
            memory.release(size)
            return size
    raise AssertionError


def content(buffer: Buffer) -> bytes:
    buffer.flush()
    assert b"".join(buffer.pieces()) == b"".join(buffer.pieces()) == buffer.getvalue()
    assert len(buffer.getvalue()) == buffer.size
    return buffer.getvalue()


@pytest.mark.usefixtures("_with_and_without_o_tmpfile")
class TestContent:
    def test_nothing(self, buffer: Buffer) -> None:
        assert content(buffer) == b""
        assert buffer.descriptor is None

    @pytest.mark.parametrize("size", [1, 10, 1000])
    def test_small(self, buffer: Buffer, size: int) -> None:
        for number in range(1000 // size):
            buffer.append(bytes([number % 256]) * size)

        assert content(buffer) == b"".join(bytes([number % 256]) * size for number in range(1000 // size))
        assert buffer.descriptor is None

    def test_small_pieces_are_put_together(self, tmp_path: Path) -> None:
        buffer = Buffer(Share(Memory(100_000), 100_000), tmp_path)
        for number in range(50_000):
            buffer.append(b"%c%c" % (number % 256, number // 256))

        assert content(buffer) == b"".join(b"%c%c" % (number % 256, number // 256) for number in range(50_000))
        assert len(list(buffer.pieces())) < 50

    @pytest.mark.parametrize(("size", "number"), [(7, 400), (300, 100), (1001, 10), (3 * PIECE_SIZE, 3)])
    def test_large(self, buffer: Buffer, size: int, number: int, tmp_path: Path) -> None:
        pieces = [random.randbytes(size) for _ in range(number)]
        for piece in pieces:
            buffer.append(piece)

        assert content(buffer) == b"".join(pieces)
        assert buffer.descriptor is not None
        assert list(tmp_path.iterdir()) == []
        buffer.close()

    @pytest.mark.parametrize("pattern", ["0", "x0", "0x", "x0x", "00x00", "0x0x0"])
    def test_zeros(self, buffer: Buffer, pattern: str) -> None:
        pieces = [bytes(PIECE_SIZE) if each == "0" else random.randbytes(1000) for each in pattern]
        for piece in pieces:
            buffer.append(piece)

        assert content(buffer) == b"".join(pieces)
        buffer.close()

    def test_zeros_take_no_disk(self, buffer: Buffer) -> None:
        for _ in range(40):
            buffer.append(bytes(PIECE_SIZE))

        assert buffer.descriptor is not None
        assert os.fstat(buffer.descriptor).st_blocks == 0
        buffer.close()

    def test_pieces_are_bounded(self, buffer: Buffer) -> None:
        buffer.append(bytes(2 * PIECE_SIZE + 1))

        assert [len(piece) for piece in buffer.pieces()] == [PIECE_SIZE, PIECE_SIZE, 1]
        buffer.close()

    def test_existing_file(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"content")
        buffer = Buffer.of_file(path)

        assert content(buffer) == b"content"
        buffer.close()


class TestDisk:
    @pytest.fixture
    def disk(self) -> TemporaryShare:
        environ = {"wsgi.input": io.BytesIO()}
        return TemporarySpace(1000).share(RequestBody(environ, Limits(build_config({}).with_namespace("breakpad"))))

    def test_over_the_bound_of_the_worker(self, tmp_path: Path, disk: TemporaryShare) -> None:
        buffer = Buffer(Share(Memory(0), 0), tmp_path, disk)
        buffer.append(bytes(900))

        with pytest.raises(Refusal) as refusal:
            buffer.append(bytes(200))
        assert refusal.value.reason is Reason.UNAVAILABLE
        buffer.close()

    def test_is_released(self, tmp_path: Path, disk: TemporaryShare) -> None:
        for _ in range(3):
            buffer = Buffer(Share(Memory(0), 0), tmp_path, disk)
            buffer.append(bytes(900))
            buffer.close()

        assert disk.reserve(1000)

    def test_is_released_once(self, tmp_path: Path, disk: TemporaryShare) -> None:
        buffer = Buffer(Share(Memory(0), 0), tmp_path, disk)
        buffer.append(bytes(900))
        buffer.close()
        buffer.close()

        assert disk.reserve(1000)
        assert not disk.reserve(1)


class TestMemory:
    def test_is_released(self, memory: Memory, buffer: Buffer) -> None:
        buffer.append(bytes(400))
        assert room(memory) == 9600
        buffer.append(bytes(400))
        assert room(memory) == 9200
        buffer.close()
        assert room(memory) == 10_000

    def test_is_released_when_the_content_goes_to_a_file(self, memory: Memory, buffer: Buffer) -> None:
        buffer.append(bytes(900))
        buffer.append(bytes(900))
        assert room(memory) == 10_000
        buffer.close()
        assert room(memory) == 10_000

    def test_buffers_of_a_report_share_it(self, memory: Memory, tmp_path: Path) -> None:
        share = Share(memory, 1000)
        first, second = Buffer(share, tmp_path), Buffer(share, tmp_path)
        first.append(bytes(600))
        second.append(bytes(600))

        assert first.descriptor is None
        assert second.descriptor is not None
        for buffer in (first, second):
            buffer.close()
        assert room(memory) == 10_000

    def test_reports_share_it(self, memory: Memory, tmp_path: Path) -> None:
        buffers = [Buffer(Share(memory, 1000), tmp_path) for _ in range(20)]
        for buffer in buffers:
            buffer.append(bytes(1000))

        assert [buffer.descriptor is None for buffer in buffers] == [True] * 10 + [False] * 10
        for buffer in buffers:
            assert content(buffer) == bytes(1000)
            buffer.close()
        assert room(memory) == 10_000

    def test_what_waits_for_the_file_counts(self, memory: Memory, buffer: Buffer) -> None:
        buffer.append(bytes(1001))
        buffer.append(bytes(600))
        assert room(memory) == 9400
        buffer.flush()
        assert room(memory) == 10_000
        buffer.close()


@pytest.mark.usefixtures("_with_and_without_o_tmpfile")
class TestTemporaryFiles:
    def test_are_closed_with_the_buffer(self, buffer: Buffer) -> None:
        buffer.append(bytes(2000))
        descriptor = buffer.descriptor
        assert descriptor is not None
        buffer.close()
        buffer.close()

        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)

    def test_directory_that_is_not_there(self, tmp_path: Path) -> None:
        buffer = Buffer(Share(Memory(0), 0), tmp_path / "missing")

        with pytest.raises(FileNotFoundError):
            buffer.append(b"x")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
    def test_disk_that_is_full(self, buffer: Buffer) -> None:
        buffer.descriptor = os.open("/dev/full", os.O_RDWR)

        with pytest.raises(OSError) as raised:  # noqa: PT011 - the number tells
            buffer.append(bytes(2000))
        assert raised.value.errno == errno.ENOSPC
        buffer.close()
