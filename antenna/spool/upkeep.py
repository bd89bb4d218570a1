# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Prepares a spool at start, checks that it can be written, and removes what killed processes have left."""

import contextlib
import errno
import os
import secrets
import shutil
import stat
import time
from pathlib import Path

from antenna.files import fsync_directory, fsync_file, make_directories, write_file
from antenna.spool.locks import Lock, Locks
from antenna.spool.stock import SET_ASIDE

# Seconds after which something in tmp/ that is not locked counts as left by a kill, and is removed. Without flock this
# process does not see the locks of others. Then the time has to be longer than writing any crash takes.
_STALE = 60.0
_STALE_WITHOUT_FLOCK = 3600.0

# Prefix of the files that are written as a check. Code that lists entries leaves out names that begin with a dot.
_PROBE = ".probe-"


def make_spool_directories(root: Path) -> None:
    """Make the directories that do not exist yet. Raises ``OSError``."""
    for name in ("save", "publish", SET_ASIDE, "tmp"):
        make_directories(root / name)


def verify(root: Path, locks: Locks) -> list[str]:
    """Check that the spool works: write, lock, rename and remove test entries, as is done with a crash and an id.

    Returns sentences about the durability that the file system lacks. Raises ``OSError``.
    """
    crash = root / "tmp" / f"{_PROBE}{secrets.token_hex(8)}"
    crash_id = crash.with_name(f"{crash.name}-id")
    lock = None
    try:
        crash.mkdir()
        write_file(crash / "raw_crash", [b"probe"])
        write_file(crash_id, [b"probe"])
        lock = locks.acquire(crash, stat.S_IFDIR)
        if lock is None:
            # No other process knows the name. So the file system gives the directory a new inode each time.
            raise OSError(errno.ENOLCK, "no directory can be locked", str(crash))
        lacking = _lacking(crash, lock)
        for directory, work in (("save", crash), ("publish", crash_id), (SET_ASIDE, crash)):
            appeared = work.rename(root / directory / work.name)
            fsync_directory(appeared.parent)
            appeared.rename(work)
    finally:
        if lock is not None:
            lock.release()
        remove_tree(crash)
        remove_tree(crash_id)
    return lacking


def _lacking(crash: Path, lock: Lock) -> list[str]:
    """Return sentences about what the file system of the spool lacks. Raises ``OSError``."""
    lacking = []
    descriptor = os.open(crash / "raw_crash", os.O_RDWR | os.O_CLOEXEC)
    try:
        if not fsync_file(descriptor):
            lacking.append("no fsync of files: crashes that wait may be lost when the power fails")
    finally:
        os.close(descriptor)
    if not fsync_directory(crash):
        lacking.append("no fsync of directories: a crash that was just spooled may be lost when the power fails")
    if not lock.is_shared:
        lacking.append("no flock: several workers may deliver a crash twice")
    return lacking


def probe(root: Path) -> None:
    """Check that the spool can be written, by writing a file and removing it. This is cheap. Raises ``OSError``."""
    path = root / "tmp" / f"{_PROBE}{secrets.token_hex(8)}"
    try:
        write_file(path, [b"probe"])
    finally:
        remove_tree(path)


def clean_up(root: Path, locks: Locks) -> None:
    """Remove what killed processes have left. Raises ``OSError`` if a directory cannot be read."""
    for path in (root / "tmp").iterdir():
        _remove_if_stale(path, locks)
    for directory in ("save", "publish", SET_ASIDE):
        for path in (root / directory).glob(f"{_PROBE}*"):
            _remove_if_stale(path, locks)


def _remove_if_stale(path: Path, locks: Locks) -> None:
    with contextlib.suppress(OSError):
        status = path.lstat()
        age = time.time() - status.st_mtime
        file_type = stat.S_IFMT(status.st_mode)
        if age <= _STALE:
            return
        if file_type not in {stat.S_IFDIR, stat.S_IFREG}:
            path.unlink()  # for instance a FIFO, which no process works on
            return
        lock = locks.acquire(path, file_type)
        if lock is not None:
            if lock.is_shared or age > _STALE_WITHOUT_FLOCK:
                remove_tree(path)
            lock.release()


def remove_tree(path: Path) -> None:
    """Remove a file, or a directory with all its content, as far as possible. Errors are ignored."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
