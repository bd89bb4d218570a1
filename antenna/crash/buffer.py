# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Bytes of a report while it arrives: in memory while they are few, in an anonymous temporary file otherwise."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from antenna.hub import pread, run_blocking
from antenna.payload.memory import Memory, Share
from antenna.payload.temporary_space import TemporaryShare
from antenna.refusal import Reason, Refusal

# Content comes and goes in pieces of this size: large enough that the switch to a native thread costs little, small
# enough that many reports at once need little memory.
PIECE_SIZE = 256 * 1024

# Pieces are put together up to this size: one of a few bytes, as a client may send them, takes ten times its size.
_SMALL_PIECE = 4096

_PREFIX = "antenna-report-"
_ZEROS = bytes(PIECE_SIZE)

_NO_MEMORY = Share(Memory(0), 0)

#: What a disk says that worked, and will work again.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})

#: Reads from a file, given its descriptor, a size and an offset.
Read = Callable[[int, int, int], bytes]


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
    descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=directory)
    Path(name).unlink(missing_ok=True)  # another worker that starts may have been here
    return descriptor


def prepare_directory(directory: Path) -> None:
    """Prove that temporary files can be made in ``directory``, and take away what a kill left there.

    Without ``O_TMPFILE`` a file has a name for a moment. Raises ``OSError``.
    """
    os.close(open_temporary_file(directory))
    for path in directory.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # taken away by another worker, or somebody else's
            path.unlink()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``; ``os.write`` may write less."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _write_pieces(descriptor: int, pieces: list[bytes]) -> None:
    """Write ``pieces``; zeros, of which zip bombs are made, become holes, which take neither time nor disk."""
    for piece in pieces:
        if piece == _ZEROS:
            os.lseek(descriptor, len(piece), os.SEEK_CUR)
        else:
            write_all(descriptor, piece)
    os.truncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))  # with the hole at the end, if there is one


def _read_pieces(descriptor: int, size: int, read: Read) -> Iterator[bytes]:
    offset = 0
    while offset < size and (piece := read(descriptor, PIECE_SIZE, offset)):
        yield piece
        offset += len(piece)


class Buffer:
    """An append-only store of bytes: in memory as long as the report's share of it lasts, then in a temporary file.

    Raises ``OSError`` where the temporary directory fails (full, unwritable), and ``Refusal`` where the
    worker's temporary files together would get too large: ``UNAVAILABLE``, or what ``TemporaryShare`` raises.
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
                raise Refusal(Reason.UNAVAILABLE, "no room for temporary files")
            self._on_disk += size
        if self.descriptor is None:
            self.descriptor = run_blocking(open_temporary_file, self._directory)
        run_blocking(_write_pieces, self.descriptor, self._pending)
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
        return _read_pieces(self.descriptor, self.size, read)

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
