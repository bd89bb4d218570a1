# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Locks on entries, which the kernel releases when the process ends, however it ends."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from antenna.files import REFUSED, require_type

# What a file system without flock says to it.
_NO_FLOCK = REFUSED | {errno.ENOLCK}


@dataclass(slots=True)
class Lock:
    """A lock that is held until ``release()``."""

    descriptor: int
    #: Whether other processes see it: not on a file system without flock.
    is_shared: bool
    _forget: Callable[[], object]

    def release(self) -> None:
        """Let others have it."""
        self._forget()
        os.close(self.descriptor)


class Locks:
    """Takes locks on files and directories, by flock. Every method works on the disk.

    On a file system without flock the locks of this process exclude only each other. Then two workers may deliver an
    entry, which does no harm: saving is idempotent, and processors expect an id twice.
    """

    def __init__(self) -> None:
        """Nothing is locked yet."""
        # What is locked without flock, by device and inode: an entry keeps these when it is renamed.
        self._held: dict[tuple[int, int], object] = {}

    def take(self, path: Path, file_type: int) -> Lock | None:
        """Lock what is at ``path``; None if somebody else has it locked, or if it is not there, or no longer.

        Raises ``WrongType`` if it is not of ``file_type``, such as ``stat.S_IFDIR``, and ``OSError``.
        """
        try:
            # Before it is opened: to open a device may do anything.
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
        # setdefault() is atomic: no two threads get the entry.
        if self._held.setdefault(key, owner) is not owner:
            return None
        return Lock(descriptor, is_shared=False, _forget=lambda: self._held.pop(key, None))


def _open(path: Path, file_type: int) -> int:
    """Open what is to be locked. For writing, if it is a file: NFS gives no flock otherwise, see flock(2)."""
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
