# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The bytes of a dump: in memory while they are few, otherwise in a temporary file, or in a file of the spool.

A ``Buffer`` asks its ``Room`` before it grows. The room says whether there is memory. If there is none, the buffer goes
to the disk. If the disk has no room either, the room may refuse other reports, and if that does not help it refuses
this one. ``antenna.payload.report_room`` is the room of an arriving report.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from antenna.files import Read, open_regular, open_temporary_file, read_pieces, write_pieces
from antenna.hub import pread, run_blocking

# Bytes. Pieces are joined up to this size, because a piece of a few bytes, as a client may send them, takes ten times
# its size in memory.
_SMALL_PIECE = 4096


class TemporaryFilesFailed(Exception):
    """The disk for temporary files is full or broken, or one of the files cannot be read again.

    The text names the directory and the error of the system.
    """


class Room(Protocol):
    """The memory and the room on disk that a buffer may take."""

    @property
    def directory(self) -> Path:
        """The directory in which temporary files are made."""

    def reserve_memory(self, size: int) -> bool:
        """Reserve ``size`` bytes of memory if that many are left. Returns whether it did."""

    def release_memory(self, size: int) -> None:
        """Release ``size`` bytes of memory."""

    def reserve_disk(self, size: int) -> None:
        """Reserve ``size`` bytes on disk. Raises ``Refusal`` if there is no room for them."""

    def release_disk(self, size: int) -> None:
        """Release ``size`` bytes on disk."""


class Content(Protocol):
    """Bytes that can be read several times."""

    @property
    def size(self) -> int:
        """Number of bytes."""

    @property
    def descriptor(self) -> int | None:
        """The descriptor of the file that has the bytes. None if they are in memory."""

    def pieces(self, read: Read = os.pread) -> Iterator[bytes]:
        """Return the bytes, from the start, in pieces that fit into memory. May be called several times.

        Pass ``os.pread`` in a native thread, and ``antenna.hub.pread`` in a greenlet, so that the hub is not stopped.
        """

    def close(self) -> None:
        """Release memory and files."""


class Buffer:
    """An append-only store of bytes. They stay in memory while the room grants memory, then go to a temporary file.

    Raises ``TemporaryFilesFailed``, and what ``Room.reserve_disk`` raises.
    """

    __slots__ = ("_on_disk", "_pending", "_reserved", "_room", "descriptor", "size")

    def __init__(self, room: Room) -> None:
        """The buffer asks ``room`` before it grows."""
        self._room = room
        self._on_disk = 0
        self._pending: list[bytes] = []
        self._reserved = 0
        self.size = 0
        self.descriptor: int | None = None

    def append(self, piece: bytes) -> None:
        """Add ``piece`` at the end."""
        if self._pending and len(self._pending[-1]) + len(piece) <= _SMALL_PIECE:
            self._pending[-1] += piece
        else:
            self._pending.append(piece)
        self.size += len(piece)
        if self._room.reserve_memory(len(piece)):
            self._reserved += len(piece)
        else:
            self._write()

    def flush(self) -> None:
        """If there is a file, write to it the pieces that are still in memory."""
        if self.descriptor is not None and self._pending:
            self._write()

    def _write(self) -> None:
        size = sum(map(len, self._pending))
        self._room.reserve_disk(size)
        self._on_disk += size
        try:
            if self.descriptor is None:
                self.descriptor = run_blocking(open_temporary_file, self._room.directory)
            run_blocking(write_pieces, self.descriptor, self._pending)
        except OSError as error:
            raise self._failure(error) from error
        self._forget()

    def _failure(self, error: OSError) -> TemporaryFilesFailed:
        return TemporaryFilesFailed(f"temporary files in {self._room.directory}: {error.strerror}")

    def _forget(self) -> None:
        self._pending = []
        if self._reserved:
            self._room.release_memory(self._reserved)
            self._reserved = 0

    def pieces(self, read: Read = os.pread) -> Iterator[bytes]:
        """Return the content, from the start, in pieces that fit into memory. May be called several times.

        Call ``flush()`` before. ``antenna.hub.pread`` reads from the disk without stopping the hub. The iterator yields
        the content at the time of this call, even if the buffer grows later. The buffer must not be closed before it
        ends: another file might get the descriptor.
        """
        if self.descriptor is None:
            return iter(self._pending)
        return self._read_again(read_pieces(self.descriptor, self.size, read))

    def _read_again(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        except OSError as error:
            raise self._failure(error) from error

    def getvalue(self) -> bytes:
        """Return the whole content. Use this only if the content is small or has to be in memory."""
        if self.descriptor is None:
            return b"".join(self._pending)
        self.flush()
        return b"".join(self.pieces(pread))

    def close(self) -> None:
        """Release the memory and the temporary file."""
        self._forget()
        self._room.release_disk(self._on_disk)
        self._on_disk = 0
        _close(self)


class StoredFile:
    """The content of an existing file. Raises ``WrongType`` if it is not a regular file, and ``OSError``."""

    __slots__ = ("descriptor", "size")

    def __init__(self, path: Path) -> None:
        """Open the file."""
        self.descriptor: int | None = open_regular(path)
        self.size = os.fstat(self.descriptor).st_size

    def pieces(self, read: Read = os.pread) -> Iterator[bytes]:
        """Return the content like ``Content.pieces``."""
        assert self.descriptor is not None  # noqa: S101 - for mypy: the file is open until close()
        return read_pieces(self.descriptor, self.size, read)

    def close(self) -> None:
        """Close the file."""
        _close(self)


def _close(content: Buffer | StoredFile) -> None:
    if content.descriptor is not None:
        # Freeing the blocks of a large file takes time. Errors are ignored, since the content is not needed any more.
        with contextlib.suppress(OSError):
            run_blocking(os.close, content.descriptor)
        content.descriptor = None
