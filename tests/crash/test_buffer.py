# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Content is in memory while it is small, and in a file without a name otherwise."""

import errno
import os
import random
from pathlib import Path

import pytest

from antenna.crash.buffer import Buffer, StoredFile, TemporaryFilesFailed
from antenna.files import PIECE_SIZE
from antenna.payload.memory import Budget, Share
from antenna.payload.report_room import ReportRoom
from antenna.payload.temporary_space import TemporaryShare, TemporarySpace
from antenna.refusal import Reason, Refusal
from tests.support.crashes import Sender


@pytest.fixture
def memory() -> Budget:
    return Budget(10_000)


def room_of(share: Share, directory: Path, disk: TemporaryShare | None = None) -> ReportRoom:
    """Return the room of a report, with a GiB of disk if nothing else is said."""
    return ReportRoom(share, disk or TemporarySpace(2**30).share(Sender()), directory)


@pytest.fixture
def buffer(memory: Budget, tmp_path: Path) -> Buffer:
    return Buffer(room_of(Share(memory, 1000), tmp_path))


def memory_left(memory: Budget) -> int:
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
        buffer = Buffer(room_of(Share(Budget(100_000), 100_000), tmp_path))
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


@pytest.mark.parametrize("size", [0, 7, 2 * PIECE_SIZE + 1])
def test_stored_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (size // 256) + bytes(size % 256))
    stored = StoredFile(path)

    assert stored.size == size
    for _ in range(2):
        pieces = list(stored.pieces())
        assert b"".join(pieces) == path.read_bytes()
        assert all(len(piece) <= PIECE_SIZE for piece in pieces)
    stored.close()
    stored.close()


class TestDisk:
    @pytest.fixture
    def disk(self) -> TemporaryShare:
        return TemporarySpace(1000).share(Sender())

    def test_over_the_bound_of_the_worker(self, tmp_path: Path, disk: TemporaryShare) -> None:
        buffer = Buffer(room_of(Share(Budget(0), 0), tmp_path, disk))
        buffer.append(bytes(900))

        with pytest.raises(Refusal) as refusal:
            buffer.append(bytes(200))
        assert refusal.value.reason is Reason.UNAVAILABLE
        buffer.close()

    def test_is_released(self, tmp_path: Path, disk: TemporaryShare) -> None:
        for _ in range(3):
            buffer = Buffer(room_of(Share(Budget(0), 0), tmp_path, disk))
            buffer.append(bytes(900))
            buffer.close()

        assert disk.reserve(1000)

    def test_is_released_once(self, tmp_path: Path, disk: TemporaryShare) -> None:
        buffer = Buffer(room_of(Share(Budget(0), 0), tmp_path, disk))
        buffer.append(bytes(900))
        buffer.close()
        buffer.close()

        assert disk.reserve(1000)
        assert not disk.reserve(1)


class TestMemory:
    def test_is_released(self, memory: Budget, buffer: Buffer) -> None:
        buffer.append(bytes(400))
        assert memory_left(memory) == 9600
        buffer.append(bytes(400))
        assert memory_left(memory) == 9200
        buffer.close()
        assert memory_left(memory) == 10_000

    def test_is_released_when_the_content_goes_to_a_file(self, memory: Budget, buffer: Buffer) -> None:
        buffer.append(bytes(900))
        buffer.append(bytes(900))
        assert memory_left(memory) == 10_000
        buffer.close()
        assert memory_left(memory) == 10_000

    def test_buffers_of_a_report_share_it(self, memory: Budget, tmp_path: Path) -> None:
        share = Share(memory, 1000)
        first, second = Buffer(room_of(share, tmp_path)), Buffer(room_of(share, tmp_path))
        first.append(bytes(600))
        second.append(bytes(600))

        assert first.descriptor is None
        assert second.descriptor is not None
        for buffer in (first, second):
            buffer.close()
        assert memory_left(memory) == 10_000

    def test_reports_share_it(self, memory: Budget, tmp_path: Path) -> None:
        buffers = [Buffer(room_of(Share(memory, 1000), tmp_path)) for _ in range(20)]
        for buffer in buffers:
            buffer.append(bytes(1000))

        assert [buffer.descriptor is None for buffer in buffers] == [True] * 10 + [False] * 10
        for buffer in buffers:
            assert content(buffer) == bytes(1000)
            buffer.close()
        assert memory_left(memory) == 10_000

    def test_what_waits_for_the_file_counts(self, memory: Budget, buffer: Buffer) -> None:
        buffer.append(bytes(1001))
        buffer.append(bytes(600))
        assert memory_left(memory) == 9400
        buffer.flush()
        assert memory_left(memory) == 10_000
        buffer.close()


@pytest.mark.usefixtures("_with_and_without_o_tmpfile")
class TestTemporaryFile:
    def test_is_closed_with_the_buffer(self, buffer: Buffer) -> None:
        buffer.append(bytes(2000))
        descriptor = buffer.descriptor
        assert descriptor is not None
        buffer.close()
        buffer.close()

        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)

    def test_directory_that_is_not_there(self, tmp_path: Path) -> None:
        buffer = Buffer(room_of(Share(Budget(0), 0), tmp_path / "missing"))

        with pytest.raises(TemporaryFilesFailed, match=f"temporary files in {tmp_path}/missing: No such file"):
            buffer.append(b"x")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
    def test_disk_that_is_full(self, buffer: Buffer) -> None:
        buffer.descriptor = os.open("/dev/full", os.O_RDWR)

        with pytest.raises(TemporaryFilesFailed, match=os.strerror(errno.ENOSPC)):
            buffer.append(bytes(2000))
        buffer.close()

    def test_that_cannot_be_read_again(self, buffer: Buffer) -> None:
        def fail(*_: object) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        buffer.append(bytes(2000))

        with pytest.raises(TemporaryFilesFailed, match=os.strerror(errno.EIO)):
            list(buffer.pieces(fail))
        buffer.close()
