# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Locks on entries. The kernel releases them when the process ends, however it ends."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from antenna.files import REFUSED, require_type

# Errors of flock(2) on a file system that does not have it.
_NO_FLOCK = REFUSED | {errno.ENOLCK}


@dataclass(slots=True)
class Lock:
    """A lock that is held until ``release()``."""

    descriptor: int
    #: Whether other processes see the lock. They do not on a file system without flock.
    is_shared: bool
    _forget: Callable[[], object]

    def release(self) -> None:
        """Release the lock."""
        self._forget()
        os.close(self.descriptor)


class Locks:
    """Takes locks on files and directories with flock. Each method works on the disk, so call it in a native thread.

    On a file system without flock, only the threads of this process exclude each other. Two workers may then deliver
    the same entry. That does no harm: saving is idempotent, and processors are prepared to see an id twice.
    """

    def __init__(self) -> None:
        """At first nothing is locked."""
        # Locks held without flock, by device and inode, which an entry keeps when it is renamed.
        self._held: dict[tuple[int, int], object] = {}

    def acquire(self, path: Path, file_type: int) -> Lock | None:
        """Lock the file or directory at ``path``. Returns None if it is locked already, or not there (any more).

        Raises ``WrongType`` if it is not of the type ``file_type``, such as ``stat.S_IFDIR``, and ``OSError``.
        """
        try:
            # The type is checked before opening, because opening a device may have any effect.
            require_type(path.lstat(), file_type, path)
            descriptor = _open(path, file_type)
        except FileNotFoundError:
            return None
        lock = None
        try:
            status = os.fstat(descriptor)
            require_type(status, file_type, path)
            lock = self._lock(descriptor, status)
            if lock is not None and os.path.samestat(status, path.lstat()):
                return lock
        except FileNotFoundError:
            pass
        except BaseException:
            _give_up(descriptor, lock)
            raise
        _give_up(descriptor, lock)
        return None

    def _lock(self, descriptor: int, status: os.stat_result) -> Lock | None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
        else:
            return Lock(descriptor, is_shared=True, _forget=lambda: None)
        key, owner = (status.st_dev, status.st_ino), object()
        # setdefault() is atomic, so two threads cannot both get the lock.
        if self._held.setdefault(key, owner) is not owner:
            return None
        return Lock(descriptor, is_shared=False, _forget=lambda: self._held.pop(key, None))


def _open(path: Path, file_type: int) -> int:
    """Open a file or directory in order to lock it.

    A file is opened for writing, which flock on NFS needs: see flock(2).
    """
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if file_type == stat.S_IFREG:
        with contextlib.suppress(PermissionError):
            return os.open(path, os.O_RDWR | flags)
    return os.open(path, os.O_RDONLY | flags)


def _give_up(descriptor: int, lock: Lock | None) -> None:
    if lock is None:
        os.close(descriptor)
    else:
        lock.release()
