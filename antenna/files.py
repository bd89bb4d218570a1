# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Files that are complete and on the disk or not there at all, and temporary files that no kill leaves behind."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# Files are read and written in pieces of this many bytes: large enough that the switch to a native thread costs little,
# small enough that many reports at once need little memory.
PIECE_SIZE = 256 * 1024

_TEMPORARY = "antenna-report-"
_ZEROS = bytes(PIECE_SIZE)

#: What a disk says that worked, and will work again.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})

#: Reads from a file, given its descriptor, a size and an offset.
Read = Callable[[int, int, int], bytes]


def fsync_directory(directory: Path) -> None:
    """Make names in ``directory`` durable: an fsync of a file is not one of its directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(directory: Path) -> None:
    """Make ``directory`` and those above it, each of them durable."""
    if not directory.is_dir():
        make_directories(directory.parent)
        directory.mkdir(exist_ok=True)
        fsync_directory(directory.parent)


def probe(directory: Path) -> None:
    """Prove that files can be made in ``directory``. Raises ``OSError``."""
    descriptor, name = tempfile.mkstemp(prefix=".tmp-", dir=directory)
    os.close(descriptor)
    Path(name).unlink()


def write_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file in a directory that is not visible yet, and fsync it. Raises ``OSError``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        for piece in pieces:
            write_all(descriptor, piece)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file aside, fsync it and rename it to ``path``; directories are made. Raises ``OSError``."""
    make_directories(path.parent)
    descriptor, temporary = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        try:
            os.fchmod(descriptor, 0o644)
            for piece in pieces:
                write_all(descriptor, piece)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        Path(temporary).rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    fsync_directory(path.parent)


def open_temporary_file(directory: Path) -> int:
    """Open a file without a name in ``directory`` and return its descriptor. Raises ``OSError``.

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
    descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=directory)
    Path(name).unlink(missing_ok=True)  # another worker that starts may have been here
    return descriptor


def prepare_directory(directory: Path) -> None:
    """Prove that temporary files can be made in ``directory``, and remove what a kill left there. Raises ``OSError``.

    Without ``O_TMPFILE`` a file has a name for a moment.
    """
    os.close(open_temporary_file(directory))
    for path in directory.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):  # removed by another worker, or somebody else's
            path.unlink()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``; ``os.write`` may write less."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_pieces(descriptor: int, pieces: Iterable[bytes]) -> None:
    """Write ``pieces``; zeros, of which zip bombs are made, become holes, which take neither time nor disk."""
    for piece in pieces:
        if piece == _ZEROS:
            os.lseek(descriptor, len(piece), os.SEEK_CUR)
        else:
            write_all(descriptor, piece)
    os.truncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))  # with the hole at the end, if there is one


def read_pieces(descriptor: int, size: int, read: Read) -> Iterator[bytes]:
    """Yield the first ``size`` bytes of a file in pieces, which ``read`` reads; fewer if the file is shorter."""
    offset = 0
    while offset < size and (piece := read(descriptor, PIECE_SIZE, offset)):
        yield piece
        offset += len(piece)
