# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Directories that crashes and ids are written to, on file systems that may hang, as those of a network do."""

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
from antenna.files import Read, make_directories, probe, replace_file

logger = logging.getLogger(__name__)

R = TypeVar("R")

# Files that are written at a time by one worker.
_THREADS = 10
# How long a start, or a check of the health, waits for a directory.
_PROBE_TIMEOUT = 5.0

#: Content of a file, given how to read what lies in another one.
Pieces = Callable[[Read], Iterable[bytes]]
# Makes, in the greenlet, what a thread is to do: with a descriptor for the thread alone.
_Prepare = Callable[[int | None], Callable[[], R]]


class Directory:
    """A directory whose files appear complete or not at all. Raises ``BackendError``, ``NoAnswer`` if it hangs.

    It has native threads of its own: those that hang would be missed by the temporary files and by the spool.
    """

    def __init__(self, root: Path) -> None:
        """``root`` need not be there yet."""
        self.root = root
        self._threads: dict[object, _Threads] = {}
        self._logged = False

    def write(self, name: str, pieces: Pieces, deadline: Deadline, descriptor: int | None = None) -> None:
        """Write a file, fsynced. ``descriptor`` is that of the file its content lies in, if there is one."""

        def prepare(own: int | None) -> Callable[[], None]:
            return partial(replace_file, self.root / name, pieces(_reader(own)))

        self._run(prepare, deadline, descriptor)

    def check(self) -> None:
        """Prove that files can be saved."""
        self._run(lambda _: partial(probe, self.root), Deadline(_PROBE_TIMEOUT))

    def verify(self) -> None:
        """Make the directory, prove the same, and log what durability its file system lacks.

        Raises ``BackendConfigurationError`` if files cannot be saved.
        """
        try:
            lacking = self._run(lambda _: partial(_make, self.root), Deadline(_PROBE_TIMEOUT))
        except NoAnswer:
            raise
        except BackendError as error:
            raise BackendConfigurationError(f"cannot write to {error}") from error
        if lacking and not self._logged:
            # Once: an outage has it verified again and again.
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
    """Native threads of one hub that are not waited for beyond a deadline."""

    def __init__(self) -> None:
        self._pool = ThreadPool(_THREADS)
        self._free = Semaphore(_THREADS)

    def run(self, prepare: _Prepare[R], deadline: Deadline, descriptor: int | None) -> R:
        """Run what ``prepare`` returns; what that returns or raises comes back. Raises ``NoAnswer``."""
        if not self._free.acquire(timeout=deadline.left()):
            raise NoAnswer("all threads hang")
        try:
            # A thread that is left behind may go on when the report's own descriptor is that of another file.
            own = None if descriptor is None else os.dup(descriptor)
            running = self._pool.spawn(_outcome, prepare(own), own)
        except BaseException:
            self._free.release()
            raise
        running.rawlink(lambda _: self._free.release())
        with TimeLimit(deadline.left()):
            result, error = cast("tuple[R, Exception | None]", running.get())
        if error is not None:
            raise error
        return result


def _outcome(action: Callable[[], R], own: int | None) -> tuple[R | None, Exception | None]:
    """Return what ``action`` returns or raises: gevent prints an error that gets out of the pool."""
    try:
        return action(), None
    except (OSError, TemporaryFilesFailed) as error:
        return None, error
    finally:
        if own is not None:
            os.close(own)


def _make(root: Path) -> list[str]:
    make_directories(root)
    return probe(root)


def _reader(own: int | None) -> Read:
    """Return how to read from the descriptor ``own``, whichever is asked for."""
    return os.pread if own is None else lambda _, size, offset: os.pread(own, size, offset)
