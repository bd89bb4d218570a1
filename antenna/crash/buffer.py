# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The bytes of a dump: in memory while they are few, in a temporary file otherwise, or in a file of the spool.

A ``Buffer`` asks its ``Room`` before it grows. The room says whether there is memory. Where there is none, the buffer
goes to the disk: the room makes other reports leave if it has to, and raises the refusal of this one if that does not
help.
``antenna.payload.report_room`` is the room of a report that arrives.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from antenna.files import Read, open_regular, open_temporary_file, read_pieces, write_pieces
from antenna.hub import pread, run_blocking

# Pieces are put together up to this size: one of a few bytes, as a client may send them, takes ten times its size.
_SMALL_PIECE = 4096


class TemporaryFilesFailed(Exception):
    """The directory for temporary files is full or broken, or one of the files cannot be read again.

    The text says which directory, and what the system says of it.
    """


class Room(Protocol):
    """The memory and the disk that a buffer may take."""

    @property
    def directory(self) -> Path:
        """Where temporary files go."""

    def reserve_memory(self, size: int) -> bool:
        """Reserve ``size`` bytes of memory if there is room for them; say whether there is."""

    def release_memory(self, size: int) -> None:
        """Release what was reserved."""

    def reserve_disk(self, size: int) -> None:
        """Reserve ``size`` bytes of disk. Raises ``Refusal`` if there is no room for them."""

    def release_disk(self, size: int) -> None:
        """Release what was reserved."""


class Content(Protocol):
    """Bytes that can be read again and again."""

    @property
    def size(self) -> int:
        """Number of bytes."""

    @property
    def descriptor(self) -> int | None:
        """That of the file the bytes lie in, if there is one."""

    def pieces(self, read: Read = os.pread) -> Iterator[bytes]:
        """Return the bytes, from the start, in pieces that fit in memory. May be called again.

        ``os.pread`` is for native threads. ``antenna.hub.pread`` is for greenlets, which it does not stop.
        """

    def close(self) -> None:
        """Give memory and files back."""


class Buffer:
    """An append-only store of bytes: in memory as long as its room has some, then in a temporary file.

    Raises ``TemporaryFilesFailed``, and what ``Room.reserve_disk`` raises.
    """

    __slots__ = ("_on_disk", "_pending", "_reserved", "_room", "descriptor", "size")

    def __init__(self, room: Room) -> None:
        """``room`` is asked before the buffer grows."""
        self._room = room
        self._on_disk = 0
        self._pending: list[bytes] = []
        self._reserved = 0
        self.size = 0
        self.descriptor: int | None = None

    def append(self, piece: bytes) -> None:
        """Add ``piece``."""
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
        """Write to the file what still waits for it, if there is a file."""
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
        """Return the content, from the start, in pieces that fit in memory. May be called again.

        ``flush()`` it first. ``antenna.hub.pread`` reads from the disk without stopping the hub. It is the content
        of this moment, whatever becomes of the buffer; its descriptor has to stay open, or ``read`` has another one.
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
        """Return the whole content. Only for content that is small, or that has to be in memory."""
        if self.descriptor is None:
            return b"".join(self._pending)
        self.flush()
        return b"".join(self.pieces(pread))

    def close(self) -> None:
        """Give the memory and the temporary file back."""
        self._forget()
        self._room.release_disk(self._on_disk)
        self._on_disk = 0
        _close(self)


class StoredFile:
    """The content of an existing file. Raises ``WrongType`` for anything but a file, and ``OSError``."""

    __slots__ = ("descriptor", "size")

    def __init__(self, path: Path) -> None:
        """Open the file."""
        self.descriptor: int | None = open_regular(path)
        self.size = os.fstat(self.descriptor).st_size

    def pieces(self, read: Read = os.pread) -> Iterator[bytes]:
        """Return the content, as ``Content.pieces``."""
        assert self.descriptor is not None  # noqa: S101 - for mypy: the file is open until close()
        return read_pieces(self.descriptor, self.size, read)

    def close(self) -> None:
        """Close the file."""
        _close(self)


def _close(content: Buffer | StoredFile) -> None:
    if content.descriptor is not None:
        # Giving the blocks of a large file back takes time. That it was never written does not matter any more.
        with contextlib.suppress(OSError):
            run_blocking(os.close, content.descriptor)
        content.descriptor = None
