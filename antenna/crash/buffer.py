# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Bytes of a report while it arrives: in memory while they are few, in an anonymous temporary file otherwise."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from antenna.files import Read, open_temporary_file, read_pieces, write_pieces
from antenna.hub import pread, run_blocking
from antenna.payload.memory import Memory, Share
from antenna.payload.temporary_space import TemporaryShare
from antenna.refusal import LossCause, Lost

# Pieces are put together up to this size: one of a few bytes, as a client may send them, takes ten times its size.
_SMALL_PIECE = 4096

_NO_MEMORY = Share(Memory(0), 0)


class Buffer:
    """An append-only store of bytes: in memory as long as the report's share of it lasts, then in a temporary file.

    Raises ``OSError`` where the temporary directory fails (full, unwritable), and ``Refusal`` where the
    worker's temporary files together would get too large: ``Lost``, or what ``TemporaryShare`` raises.
    """

    __slots__ = ("_directory", "_disk", "_memory", "_on_disk", "_pending", "_reserved", "descriptor", "size")

    def __init__(self, memory: Share, directory: Path, disk: TemporaryShare | None = None) -> None:
        """``directory`` is where the temporary file goes if one is needed; ``disk`` bounds it."""
        self._memory = memory
        self._disk = disk
        self._on_disk = 0
        self._directory = directory
        self._pending: list[bytes] = []
        self._reserved = 0
        self.size = 0
        self.descriptor: int | None = None

    @classmethod
    def of_file(cls, path: Path) -> "Buffer":
        """Return a buffer whose content is an existing file. Raises ``OSError``."""
        buffer = cls(_NO_MEMORY, path.parent)
        buffer.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        buffer.size = os.fstat(buffer.descriptor).st_size
        return buffer

    def append(self, piece: bytes) -> None:
        """Add ``piece``."""
        if self._pending and len(self._pending[-1]) + len(piece) <= _SMALL_PIECE:
            self._pending[-1] += piece
        else:
            self._pending.append(piece)
        self.size += len(piece)
        if self._memory.reserve(len(piece)):
            self._reserved += len(piece)
        else:
            self._write()

    def flush(self) -> None:
        """Write to the file what still waits for it, if there is a file."""
        if self.descriptor is not None and self._pending:
            self._write()

    def _write(self) -> None:
        if self._disk is not None:
            size = sum(map(len, self._pending))
            if not self._disk.reserve(size):
                raise Lost(LossCause.TEMP, "no room for temporary files")
            self._on_disk += size
        if self.descriptor is None:
            self.descriptor = run_blocking(open_temporary_file, self._directory)
        run_blocking(write_pieces, self.descriptor, self._pending)
        self._forget()

    def _forget(self) -> None:
        self._pending = []
        if self._reserved:
            self._memory.release(self._reserved)
            self._reserved = 0

    def pieces(self, read: Read = os.pread) -> Iterator[bytes]:
        """Return the content, from the start, in pieces that fit in memory. May be called again.

        ``flush()`` it first. ``antenna.hub.pread`` reads from the disk without stopping the hub. It is the content
        of this moment, whatever becomes of the buffer; its descriptor has to stay open, or ``read`` has another one.
        """
        if self.descriptor is None:
            return iter(self._pending)
        return read_pieces(self.descriptor, self.size, read)

    def getvalue(self) -> bytes:
        """Return the whole content: only for what is known to be small, or has to be in memory."""
        if self.descriptor is None:
            return b"".join(self._pending)
        self.flush()
        return b"".join(self.pieces(pread))

    def close(self) -> None:
        """Give the memory and the temporary file back."""
        self._forget()
        if self._disk is not None:
            self._disk.release(self._on_disk)
            self._on_disk = 0
        if self.descriptor is not None:
            # Giving the blocks of a large file back takes time. That it was never written does not matter any more.
            with contextlib.suppress(OSError):
                run_blocking(os.close, self.descriptor)
            self.descriptor = None
