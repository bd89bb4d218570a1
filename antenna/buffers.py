# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Bytes of a report while it arrives: in memory while they are few, in an anonymous temporary file otherwise."""

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from antenna.blocking import iterate_blocking, run_blocking

# Pieces of a file are read and written in this size: large enough that the switch to a native
# thread costs little, small enough that many uploads at once need little memory.
PIECE_SIZE = 256 * 1024


class MemoryBudget:
    """How many more bytes of one report may stay in memory."""

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        """``size`` in bytes."""
        self.left = size


def open_temporary_file(directory: Path) -> int:
    """Open a file without a name in ``directory`` and return its descriptor.

    ``O_TMPFILE`` (Linux): no kill can leave it behind, and ``os.link`` can give it a name later.
    Elsewhere, and on file systems without it, a file whose name is removed at once.
    """
    flags = getattr(os, "O_TMPFILE", 0)
    if flags:
        try:
            return os.open(directory, flags | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            # EISDIR: a kernel that does not know O_TMPFILE takes it for O_DIRECTORY.
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
                raise
    descriptor, name = tempfile.mkstemp(prefix="antenna-", dir=directory)
    Path(name).unlink()
    return descriptor


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``; ``os.write`` may write less."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Buffer:
    """An append-only store of bytes that moves to a temporary file when the report's budget is spent.

    Raises ``OSError`` where the temporary directory fails (full, unwritable).
    """

    __slots__ = ("_budget", "_directory", "_pending", "_pending_size", "descriptor", "size")

    def __init__(self, budget: MemoryBudget, directory: Path) -> None:
        """``directory`` is where the temporary file goes if one is needed."""
        self._budget = budget
        self._directory = directory
        self._pending: list[bytes] = []
        self._pending_size = 0
        self.size = 0
        self.descriptor: int | None = None

    @classmethod
    def of_file(cls, path: Path) -> "Buffer":
        """Return a buffer whose content is an existing file. Raises ``OSError``."""
        buffer = cls(MemoryBudget(0), path.parent)
        buffer.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        buffer.size = os.fstat(buffer.descriptor).st_size
        return buffer

    def append(self, piece: bytes) -> None:
        """Add ``piece``."""
        self._pending.append(piece)
        self._pending_size += len(piece)
        self.size += len(piece)
        if self.descriptor is None:
            self._budget.left -= len(piece)
            if self._budget.left < 0:
                self._budget.left += self._pending_size
                self.descriptor = run_blocking(open_temporary_file, self._directory)
        if self.descriptor is not None and self._pending_size >= PIECE_SIZE:
            self.flush()

    def flush(self) -> None:
        """Write to the file what still waits for it."""
        if self.descriptor is not None and self._pending:
            pending, self._pending, self._pending_size = self._pending, [], 0
            run_blocking(write_all, self.descriptor, b"".join(pending))

    @property
    def in_memory(self) -> bool:
        """Whether no temporary file was needed."""
        return self.descriptor is None

    def pieces(self) -> Iterator[bytes]:
        """Yield the content, from the start, in pieces that fit in memory. May be called again.

        ``flush()`` it first. Reads from the disk: see ``antenna.blocking`` if it is not in memory.
        """
        if self.descriptor is None:
            yield from self._pending
            return
        offset = 0
        while piece := os.pread(self.descriptor, PIECE_SIZE, offset):
            yield piece
            offset += len(piece)

    def getvalue(self) -> bytes:
        """Return the whole content: only for what is known to be small, or has to be in memory."""
        if self.descriptor is None:
            return b"".join(self._pending)
        self.flush()
        return b"".join(iterate_blocking(self.pieces()))

    def close(self) -> None:
        """Give the memory and the temporary file back."""
        self._pending = []
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
