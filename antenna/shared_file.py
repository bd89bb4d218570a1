# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A file in memory that the master of the web server makes, and all of its workers share.

It has no name and is gone with the last process that has it open. A worker that replaces another has it, and so has the
master that SIGUSR2 starts, with its workers: its descriptor is handed down, and its number is in the environment. What
lies where in it is up to those who use it: see ``antenna.throttler.quotas`` and ``last_good``.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, MutableMapping

SIZE = 8 * 1024 * 1024
"""Bytes. Memory is taken for what has been written only."""

_VARIABLE = "ANTENNA_SHARED_FILE"

_LOCK_ATTEMPTS = 200
_LOCK_PAUSE_SECONDS = 0.0005


def create_shared_file(*environs: MutableMapping[str, str]) -> None:
    """Make the file, unless the first of ``environs`` has one already, and hand it down in each of them.

    Where the system has no room for it, there is none: then each worker knows what it has seen itself.
    """
    descriptor = find_shared_file(environs[0])
    if descriptor is None:
        try:
            descriptor = _make()
            os.ftruncate(descriptor, SIZE)
        except OSError:
            return
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - that is how it is called
    for environ in environs:
        environ[_VARIABLE] = str(descriptor)


def find_shared_file(environ: Mapping[str, str]) -> int | None:
    """Return the descriptor of the file that ``environ`` names, None if there is none."""
    try:
        descriptor = int(environ.get(_VARIABLE, ""))
        return descriptor if os.fstat(descriptor).st_size == SIZE else None
    except (ValueError, OSError):
        return None


def _make() -> int:
    # A sandbox may lack the call, and a file system that is read-only has no place for the other.
    with contextlib.suppress(AttributeError, OSError):
        return os.memfd_create("antenna", 0)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


@contextlib.contextmanager
def locked(descriptor: int, start: int, size: int) -> Iterator[None]:
    """Keep other processes out of a part of the file. To be held for microseconds, without a wait of any kind.

    The lock of a process that dies is gone. Should a process have been stopped while it held the lock, the others do
    without: what they share is counts, and texts that have a checksum.
    """
    is_held = _lock(descriptor, start, size)
    try:
        yield
    finally:
        if is_held:
            fcntl.lockf(descriptor, fcntl.LOCK_UN, size, start)


def _lock(descriptor: int, start: int, size: int) -> bool:
    for _ in range(_LOCK_ATTEMPTS):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, size, start)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_SECONDS)
        else:
            return True
    return False
