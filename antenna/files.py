# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Durable files, which are complete or not there at all, and temporary files that no kill leaves behind.

Some file systems lack some calls. Network shares (SMB), FUSE and the sandboxes of containers may refuse to set a mode,
to fsync a directory, or to make a file without a name. The functions here then do without the call, since a crash that
is saved with less durability is worth more than one that is not. ``verify_directory`` says at start what is missing.
Any other error is raised. Tests are in ``tests/test_files.py``.
"""

import contextlib
import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# Files are read and written in pieces of this many bytes. They are so large that switching to a native thread costs
# little, and so small that many reports at once need little memory.
PIECE_SIZE = 256 * 1024

# Prefix of temporary files on systems where these need a name.
_TEMPORARY = "antenna-report-"
# Prefix of files that are written under another name before they are renamed.
_ASIDE = ".tmp-"
_ZEROS = bytes(PIECE_SIZE)

#: Errors of a disk that used to work, and that may work again.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})

#: Errors of a call that a file system does not have, or does not allow for this file.
REFUSED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EBADF, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP})
# Errors of fsync(2) for a file on FUSE and special file systems, which do not have it. No other error is ignored here:
# without fsync a promise is worth little.
_NO_FSYNC = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
# Errors of network shares if a rename would replace a file.
_NO_REPLACE = REFUSED | {errno.EEXIST, errno.EBUSY, errno.ETXTBSY}

#: A function that reads from a file, given its descriptor, a size and an offset.
Read = Callable[[int, int, int], bytes]

_TYPES = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


class WrongType(OSError):
    """Raised if a path belongs to a thing of another type than it should, such as a FIFO."""


def fsync_directory(directory: Path) -> bool:
    """Make the names in ``directory`` durable. An fsync of a file does not do that.

    Returns False on a file system that cannot do it. Raises ``OSError``.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return False
    return True


def fsync_file(descriptor: int) -> bool:
    """Make the content of a file durable. Returns False on a file system that cannot do it. Raises ``OSError``."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise
        return False
    return True


def make_directories(directory: Path) -> None:
    """Make ``directory`` and its parents, if they do not exist, and make their names durable."""
    if not directory.is_dir():
        make_directories(directory.parent)
        directory.mkdir(exist_ok=True)
        fsync_directory(directory.parent)


def verify_directory(directory: Path) -> list[str]:
    """Check that files can be saved in ``directory`` by saving one twice.

    Returns sentences about the durability that its file system lacks. Raises ``OSError``.
    """
    path = directory / f"{_ASIDE}{secrets.token_hex(8)}"
    try:
        _replace(path, [b"probe"])
        _replace(path, [b"probe"])
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            lacking = [] if fsync_file(descriptor) else ["no fsync of files: content may be lost when the power fails"]
            if not _set_mode(descriptor):
                lacking.append("no chmod: files keep the mode that the volume gives them")
        finally:
            os.close(descriptor)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    if not fsync_directory(directory):
        lacking.append("no fsync of directories: a file that was just saved may be lost when the power fails")
    return lacking


def write_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a new file and fsync it. No other process may look into its directory yet. Raises ``OSError``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        write_pieces(descriptor, pieces)
        fsync_file(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file under another name, fsync it and rename it to ``path``. Missing directories are made.

    Raises ``OSError``.
    """
    make_directories(path.parent)
    _replace(path, pieces)


def _replace(path: Path, pieces: Iterable[bytes]) -> None:
    aside = path.with_name(f"{_ASIDE}{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        try:
            _set_mode(descriptor)
            write_pieces(descriptor, pieces)
            fsync_file(descriptor)
        finally:
            os.close(descriptor)
        _rename_over(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    fsync_directory(path.parent)


def _set_mode(descriptor: int) -> bool:
    """Make a file readable for everybody, whatever the umask is. Returns False if the file system does not allow it."""
    try:
        os.fchmod(descriptor, 0o644)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return False
    return True


def _rename_over(aside: Path, path: Path) -> None:
    """Rename a file to ``path``, where there may be a file already. Raises ``OSError``."""
    try:
        aside.rename(path)
    except OSError as error:
        if error.errno not in _NO_REPLACE or not path.is_file():
            raise
        # Some network shares cannot replace a file, so it is removed first. For a moment there is no file under this
        # name. If the process is killed now, the new file is still there, under its other name.
        path.unlink()
        aside.rename(path)


def open_temporary_file(directory: Path) -> int:
    """Open a file without a name in ``directory`` and return its descriptor. Raises ``OSError``.

    With ``O_TMPFILE`` (Linux) no kill can leave the file behind, and ``os.link`` can give it a name later. Without it,
    on some file systems and other systems, the file is made with a name, which is removed at once.
    """
    flags = getattr(os, "O_TMPFILE", 0)
    if flags:
        try:
            return os.open(directory, flags | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            # EISDIR: a kernel that does not know O_TMPFILE takes it for O_DIRECTORY.
            if error.errno not in REFUSED | {errno.EISDIR}:
                raise
    descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=directory)
    Path(name).unlink(missing_ok=True)  # another worker that starts may have removed it already
    return descriptor


def prepare_directory(directory: Path) -> None:
    """Check that temporary files can be written in ``directory``, and remove those that a kill has left there.

    Without ``O_TMPFILE`` a file has a name for a moment, so a kill can leave it behind. Raises ``OSError``.
    """
    probe_temporary_file(directory)
    for path in directory.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):  # another worker has removed it, or it belongs to another user
            path.unlink()


def probe_temporary_file(directory: Path) -> None:
    """Check that temporary files can be written in ``directory``. Raises ``OSError``."""
    descriptor = open_temporary_file(directory)
    try:
        write_pieces(descriptor, [b"probe", _ZEROS])
    finally:
        os.close(descriptor)


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file and return its descriptor. Raises ``WrongType`` if it is of another type, and ``OSError``.

    The type is checked because opening a FIFO may take for ever, opening a device may have any effect, and a symbolic
    link may lead anywhere.
    """
    with contextlib.suppress(FileNotFoundError):
        require_type(path.lstat(), stat.S_IFREG, path)
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    try:
        require_type(os.fstat(descriptor), stat.S_IFREG, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most ``most`` bytes.

    Raises ``WrongType`` if it is larger or of another type, and ``OSError``.
    """
    descriptor = open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
        if size > most:
            raise WrongType(errno.EFBIG, f"has {size} bytes, and may have {most}", str(path))
        return b"".join(read_pieces(descriptor, size, os.pread))
    finally:
        os.close(descriptor)


def require_type(status: os.stat_result, wanted: int, path: Path) -> None:
    """Raise ``WrongType`` if ``status`` does not have the file type ``wanted``, such as ``stat.S_IFDIR``."""
    found = stat.S_IFMT(status.st_mode)
    if found != wanted:
        what = _TYPES.get(found, "something unknown")
        raise WrongType(errno.EINVAL, f"is {what}, and should be {_TYPES[wanted]}", str(path))


def size_on_disk(descriptor: int) -> int:
    """Return the number of bytes that a file takes on its disk, where holes take none. Raises ``OSError``."""
    status = os.fstat(descriptor)
    if status.st_blocks or not status.st_size:
        return status.st_blocks * 512
    # Either the file is one hole, or the file system does not count blocks, or it keeps small files beside their names.
    offset = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # lseek(2): there is no data
            return 0
    finally:
        os.lseek(descriptor, offset, os.SEEK_SET)
    return status.st_size


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``. One call of ``os.write`` may write only a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_pieces(descriptor: int, pieces: Iterable[bytes]) -> None:
    """Write ``pieces`` to a file. Pieces of zeros become holes, which take neither time nor room on the disk.

    Zip bombs consist of zeros.
    """
    hole = 0
    for piece in pieces:
        if piece == _ZEROS:
            hole = os.lseek(descriptor, len(piece), os.SEEK_CUR)
        else:
            write_all(descriptor, piece)
            hole = 0
    if not hole:
        return
    try:
        os.truncate(descriptor, hole)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        os.lseek(descriptor, hole - len(_ZEROS), os.SEEK_SET)
        write_all(descriptor, _ZEROS)


def read_pieces(descriptor: int, size: int, read: Read) -> Iterator[bytes]:
    """Yield the first ``size`` bytes of a file in pieces, using ``read``.

    If the file is shorter, there are fewer bytes.
    """
    offset = 0
    while offset < size and (piece := read(descriptor, PIECE_SIZE, offset)):
        yield piece
        offset += len(piece)
