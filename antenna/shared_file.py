# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Files in memory that all workers of the web server share.

The master makes them. Such a file has no name, and is gone when the last process that has it open ends. Its descriptor
is inherited, and the number of the descriptor is in the environment. So a worker that replaces another one has the
file, and so have the master that SIGUSR2 starts and its workers. The modules that use a file say where their data is:
see ``antenna.throttler.quotas`` and ``antenna.throttler.last_good`` for one, and ``antenna.ops.instance`` for another.
Tests are in ``tests/test_shared_file.py``.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, MutableMapping

SIZE = 8 * 1024 * 1024
"""Size in bytes. Only the part that was written takes memory."""

VARIABLE = "ANTENNA_SHARED_FILE"

# A process waits for a lock for 200 times 0.5 ms. Afterwards it goes on without the lock, see ``locked``.
_LOCK_ATTEMPTS = 200
_LOCK_PAUSE_SECONDS = 0.0005


def create_shared_file(*environs: MutableMapping[str, str], variable: str = VARIABLE, size: int = SIZE) -> None:
    """Make a file, and write its descriptor into each of ``environs``, as ``variable``.

    If the first of ``environs`` names a file already, that one is used. If the system has no room for the file, there
    is no file, and each worker knows only what it has seen itself.
    """
    descriptor = find_shared_file(environs[0], variable, size)
    if descriptor is None:
        try:
            descriptor = _make()
            os.ftruncate(descriptor, size)
        except OSError:
            return
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - that is how it is called
    for environ in environs:
        environ[variable] = str(descriptor)


def find_shared_file(environ: Mapping[str, str], variable: str = VARIABLE, size: int = SIZE) -> int | None:
    """Return the descriptor of the file that ``environ`` names, or None if there is no file of that size."""
    try:
        descriptor = int(environ.get(variable, ""))
        return descriptor if os.fstat(descriptor).st_size == size else None
    except (ValueError, OSError):
        return None


def _make() -> int:
    # Some sandboxes do not allow memfd_create(2), and a read-only file system has no place for a temporary file.
    with contextlib.suppress(AttributeError, OSError):
        return os.memfd_create("antenna", 0)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


@contextlib.contextmanager
def locked(descriptor: int, start: int, size: int) -> Iterator[bool]:
    """Lock a part of the file against other processes. Hold the lock for microseconds only, and do not wait meanwhile.

    The kernel releases the lock of a process that dies. If a process was stopped while it held the lock, the others go
    on without it after 0.1 s, and get False. That is safe if the file holds counts, or texts with checksums.
    """
    is_held = _lock(descriptor, start, size)
    try:
        yield is_held
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
