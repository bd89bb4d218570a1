# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The files of one crash in the spool: ``write_crash`` makes them durable, ``SpooledCrash`` reads and verifies them."""

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path

from antenna.crash import Content, CrashReport, Dump, StoredFile, algorithms_of
from antenna.files import (
    REFUSED,
    WrongType,
    fsync_directory,
    fsync_file,
    open_regular,
    read_regular,
    size_on_disk,
    write_file,
)
from antenna.spool.raw_crash import EntryDamaged, dump_checksums

_DUMP = "dump."

# Bytes. On most file systems a file takes a multiple of this.
_BLOCK = 4096
# About how many bytes the collector adds to the annotations of a report.
_METADATA = 2048

# Largest files, in bytes, that are read. Larger ones cannot come from a collector. A raw crash is held in memory. A
# dump has at most BREAKPAD_MAX_DECOMPRESSED_SIZE bytes, which is 200 MiB by default.
_MOST_RAW_CRASH = 256 * 1024 * 1024
_MOST_DUMP = 4 * 1024 * 1024 * 1024


# Errors of link(2) if a file cannot be given another name. EXDEV: the name would be on another file system. ENOENT: the
# file once had a name, or there is no /proc. EMLINK: the file has the largest number of names. The dump is then copied.
_NO_LINK = REFUSED | {errno.EXDEV, errno.ENOENT, errno.EMLINK, errno.ELOOP}


class SpooledCrash:
    """A crash that is read from the spool, in the form in which a storage takes it. Call ``close()`` when done."""

    def __init__(self, crash_id: str, directory: Path) -> None:
        """Open the files and verify them. Raises ``EntryDamaged`` and ``OSError``.

        The raw crash must have the id ``crash_id``, and each dump the checksum in the raw crash. Verifying also
        computes the checksums that a storage compares, so no dump is hashed twice.
        """
        self.crash_id = crash_id
        try:
            self._raw_crash = read_regular(directory / "raw_crash", _MOST_RAW_CRASH)
            checksums = dump_checksums(self._raw_crash, crash_id)
            names = {path.name.removeprefix(_DUMP) for path in directory.iterdir() if path.name.startswith(_DUMP)}
        except (FileNotFoundError, NotADirectoryError, WrongType) as error:
            raise EntryDamaged(f"raw_crash: {error.strerror}") from error
        if names != checksums.keys():
            raise EntryDamaged(f"the dumps should be {sorted(checksums)}, and are {sorted(names)}")
        self.deferred = os.path.lexists(directory / "deferred")
        self.dumps: dict[str, Dump] = {}
        try:
            for name, checksum in sorted(checksums.items()):
                self.dumps[name] = _verified_dump(name, directory / f"{_DUMP}{name}", checksum)
        except BaseException:
            for dump in self.dumps.values():
                _close(dump.content)
            raise

    @property
    def size(self) -> int:
        """Bytes of all dumps together."""
        return sum(dump.size for dump in self.dumps.values())

    def encoded_raw_crash(self) -> bytes:
        """Return the raw crash as it was encoded when the crash came in."""
        return self._raw_crash

    def raw_crash_pieces(self) -> Iterable[bytes]:
        """Return the raw crash as an iterable with one piece, as a storage takes it."""
        return (self._raw_crash,)

    def encoded_dump_names(self) -> bytes:
        """Return the sorted list of dump names, as JSON."""
        return json.dumps(sorted(self.dumps)).encode("ascii")

    def close(self) -> None:
        """Close the files."""
        for dump in self.dumps.values():
            dump.content.close()


def _verified_dump(name: str, path: Path, checksum: str) -> Dump:
    """Open a dump. Raises ``EntryDamaged`` if its bytes do not have the ``checksum``, and ``OSError``."""
    try:
        content = StoredFile(path)
    except WrongType as error:
        raise EntryDamaged(f"{path.name}: {error.strerror}") from error
    dump = None
    try:
        dump = _dump_with_checksum(name, content, checksum)
    finally:
        if dump is None:
            _close(content)
    if dump is None:
        raise EntryDamaged(f"{path.name}: its {content.size} bytes do not have the checksum in the raw crash")
    return dump


def _dump_with_checksum(name: str, content: Content, checksum: str) -> Dump | None:
    """Return a dump with this content, or None if its bytes do not have the ``checksum``. Raises ``OSError``."""
    if content.size > _MOST_DUMP:
        return None
    dumps = (Dump(name, content, algorithm) for algorithm in algorithms_of(checksum))
    return next((dump for dump in dumps if dump.checksum == checksum), None)


def _close(content: Content) -> None:
    """Close a file in a native thread. ``Content.close`` may only be called in a greenlet."""
    if content.descriptor is not None:
        os.close(content.descriptor)


def expected_size(report: CrashReport) -> int:
    """Return about how many bytes a crash will take on the disk, before it is written."""
    directory = _BLOCK
    raw_crash = _in_blocks(report.annotations_size + _METADATA)
    return directory + raw_crash + sum(_expected_dump_size(dump.content) for dump in report.dumps.values())


def _expected_dump_size(content: Content) -> int:
    if content.descriptor is None:
        return _in_blocks(content.size)
    return size_on_disk(content.descriptor)


def _in_blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def write_crash(report: CrashReport, directory: Path) -> int:
    """Write the files of a crash into ``directory``, which no delivery sees yet.

    Returns the number of bytes that they take on the disk. Raises ``OSError``.
    """
    for name, dump in report.dumps.items():
        path = directory / f"{_DUMP}{name}"
        if not _link(dump.content, path):
            write_file(path, dump.pieces())
    if report.deferred:
        write_file(directory / "deferred", [])
    # The raw crash comes last because its checksums are computed while the dumps are written.
    write_file(directory / "raw_crash", report.raw_crash_pieces())
    fsync_directory(directory)
    return measure(directory)


def measure(directory: Path) -> int:
    """Return the number of bytes that the files of an entry take on the disk. Raises ``OSError``."""
    size = directory.lstat().st_blocks * 512
    for path in directory.iterdir():
        try:
            descriptor = open_regular(path)
        except (WrongType, FileNotFoundError):
            continue
        try:
            size += size_on_disk(descriptor)
        finally:
            os.close(descriptor)
    return size


def _link(content: Content, path: Path) -> bool:
    """Give the temporary file of a dump a name in the spool, instead of copying it. Raises ``OSError``.

    Returns False if that is not possible, because the file is in memory or the file system does not allow it.
    """
    if content.descriptor is None:
        return False
    # If a directory is given, Python calls linkat(2), which can follow the symbolic link in /proc. Otherwise it calls
    # link(2), which cannot. The name is absolute, so any directory will do.
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(f"/proc/self/fd/{content.descriptor}", path, src_dir_fd=root, follow_symlinks=True)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    finally:
        os.close(root)
    fsync_file(content.descriptor)
    return True
