# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Writes files to a directory, on a file system that may hang, such as one on the network."""

import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import gevent
from gevent.lock import Semaphore
from gevent.threadpool import ThreadPool

from antenna.backend import BackendConfigurationError, BackendError, Deadline, NoAnswer, TimeLimit
from antenna.crash import TemporaryFilesFailed
from antenna.files import Read, make_directories, replace_file, verify_directory

logger = logging.getLogger(__name__)

R = TypeVar("R")

# Files that one worker writes at the same time.
_THREADS = 10
# Seconds that a start, or a health check, waits for a directory.
_PROBE_TIMEOUT = 5.0

#: A function that returns the content of a file in pieces. If another file has the content, the function reads it with
#: the function that it is given.
Pieces = Callable[[Read], Iterable[bytes]]
# A function that is called in the greenlet, and returns the function that a thread runs. It is given a descriptor that
# only this thread uses.
_Prepare = Callable[[int | None], Callable[[], R]]


class Directory:
    """A directory whose files appear complete or not at all. Raises ``BackendError``, and ``NoAnswer`` if it hangs.

    It has native threads of its own. If it used the common pool and hung, there would be no threads for temporary files
    and for the spool.
    """

    def __init__(self, root: Path) -> None:
        """``root`` need not exist yet."""
        self.root = root
        self._threads: dict[object, _Threads] = {}
        self._logged = False

    def write(self, name: str, pieces: Pieces, deadline: Deadline, descriptor: int | None = None) -> None:
        """Write a file and fsync it. If another file has the content, ``descriptor`` is its descriptor."""

        def prepare(own: int | None) -> Callable[[], None]:
            return partial(replace_file, self.root / name, pieces(_reader(own)))

        self._run(prepare, deadline, descriptor)

    def check(self) -> None:
        """Check that files can be saved. Raises ``BackendError``."""
        self._run(lambda _: partial(verify_directory, self.root), Deadline(_PROBE_TIMEOUT))

    def verify(self) -> None:
        """Make the directory, check that files can be saved, and log what durability its file system lacks.

        Raises ``BackendConfigurationError`` if files cannot be saved.
        """
        try:
            lacking = self._run(lambda _: partial(_make, self.root), Deadline(_PROBE_TIMEOUT))
        except NoAnswer:
            raise
        except BackendError as error:
            raise BackendConfigurationError(f"cannot write to {error}") from error
        if lacking and not self._logged:
            # It is logged only once, because the caller verifies a backend again and again during an outage.
            self._logged = True
            logger.warning("the file system of %s has %s", self.root, "; ".join(lacking))

    def _run(self, prepare: _Prepare[R], deadline: Deadline, descriptor: int | None = None) -> R:
        hub = gevent.get_hub()
        threads = self._threads.get(hub)
        if threads is None:
            threads = self._threads[hub] = _Threads()
        try:
            return threads.run(prepare, deadline, descriptor)
        except OSError as error:
            raise BackendError(f"{self.root}: {error.strerror}") from error


class _Threads:
    """Native threads of one hub. A caller waits for a thread until its deadline, and then leaves it behind."""

    def __init__(self) -> None:
        self._pool = ThreadPool(_THREADS)
        self._free = Semaphore(_THREADS)

    def run(self, prepare: _Prepare[R], deadline: Deadline, descriptor: int | None) -> R:
        """Run the function that ``prepare`` returns, in a thread. Returns or raises what it does.

        Raises ``NoAnswer``.
        """
        if not self._free.acquire(timeout=deadline.left()):
            raise NoAnswer("all threads hang")
        try:
            # A thread that was left behind may go on after its report is closed. By then, the number of the descriptor
            # may belong to another file. So the thread gets a descriptor of its own.
            own = None if descriptor is None else os.dup(descriptor)
            running = self._pool.spawn(_returned_or_raised, prepare(own), own)
        except BaseException:
            self._free.release()
            raise
        running.rawlink(lambda _: self._free.release())
        with TimeLimit(deadline.left()):
            result, error = cast("tuple[R, Exception | None]", running.get())
        if error is not None:
            raise error
        return result


def _returned_or_raised(action: Callable[[], R], own: int | None) -> tuple[R | None, Exception | None]:
    """Call ``action``, and close ``own``. Returns the result and None, or None and the error.

    If the error was raised here, gevent would print it.
    """
    try:
        return action(), None
    except (OSError, TemporaryFilesFailed) as error:
        return None, error
    finally:
        if own is not None:
            os.close(own)


def _make(root: Path) -> list[str]:
    make_directories(root)
    return verify_directory(root)


def _reader(own: int | None) -> Read:
    """Return a function that reads from the descriptor ``own``, whichever descriptor it is given."""
    return os.pread if own is None else lambda _, size, offset: os.pread(own, size, offset)
