# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""How the collector shares one gevent hub among all connections of a worker.

A worker serves every connection in one native thread. Code that blocks without waiting in gevent stops all of them. So:

* ``run_blocking`` and ``pread`` send disk work to gevent's pool of native threads.
* ``Turn`` lets other greenlets run in the middle of a long computation.
* ``catch_up`` lets a busy worker read the answers that have already arrived.

Code that runs in the pool must not wait for a lock of Python's, such as that of ``datetime.strptime``. gevent has
replaced these locks by locks for greenlets. A native thread that has to wait for one gets a hub of its own, and
sometimes waits for ever. Tests are in ``tests/test_hub.py``.
"""

import fcntl
import os
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from io import BytesIO
from typing import Any, ParamSpec, TypeVar

import gevent
from gevent import monkey
from gevent.threadpool import ThreadPool

# Host names that are looked up at the same time. Each lookup takes a native thread. Further lookups wait.
_LOOKUPS = 10
# Seconds that one connection may compute while the others wait. Most reports take less, so they are read without a
# pause. With a shorter time, reports that arrive together would only wait for one another.
_TURN = 0.005
# Seconds. The shortest sleep after which gevent's loop has looked for events.
_AN_INSTANT = 1e-6
# Rounds of gevent's loop between the arrival of an answer and the greenlet that waits for it. The loop first looks for
# events, then runs the greenlets that wait for them, then those that wait for these. A round of a busy loop may take
# 0.1 s.
_LOOP_ROUNDS = 4

P = ParamSpec("P")
R = TypeVar("R")


def run_blocking(func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run ``func`` in a native thread while other greenlets go on. Returns or raises what ``func`` does.

    Called directly, a write or an fsync on a slow disk would hold up every connection of the worker.
    """
    result, error = gevent.get_hub().threadpool.apply(_returned_or_raised, (partial(func, *args, **kwargs),))
    if error is not None:
        raise error
    value: R = result
    return value


def patch_all() -> None:
    """Let gevent patch this process, so that blocking calls let other greenlets run.

    Call this before anything is imported that makes blocking calls.
    """
    with plugins_read_once():
        monkey.patch_all()
    restore_close()


@contextmanager
def plugins_read_once() -> Iterator[None]:
    """Read the list of installed plugins only once while gevent patches the process.

    At each of some 25 steps, gevent looks for plugins that want to know of the patch, and ``importlib.metadata`` then
    reads the metadata of every installed package. With 115 packages this took 0.3 s of CPU at each start.
    """
    read = metadata.entry_points
    metadata.entry_points = metadata.entry_points().select
    try:
        yield
    finally:
        metadata.entry_points = read


def restore_close() -> None:
    """Undo gevent's replacement of ``os.close``. Call this once, after gevent has patched the process.

    gevent's ``os.close`` leaves everything but regular files to the loop of the thread's hub. In a native thread that
    has got a hub, nothing runs that loop, so directories stayed open for ever, and entries of the spool stayed locked.
    The original closes at once. For sockets that would be too early, but sockets have a ``close`` of their own.
    """
    os.close = monkey.get_original("os", "close")


def look_up_names_apart() -> None:
    """Give the lookup of host names a pool of threads of its own. Call this once in the process that serves.

    A name server that does not answer holds a thread for many seconds. If the lookups were in the common pool, no crash
    could be written to the spool meanwhile.
    """
    hub = gevent.get_hub()
    hub.resolver.pool = ThreadPool(_LOOKUPS, hub=hub)  # type: ignore[attr-defined] # gevent's usual resolver has it


def _returned_or_raised(func: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Call ``func``. Returns its result and None, or None and its error, which gevent would print if it was raised."""
    try:
        return func(), None
    except BaseException as error:  # noqa: BLE001 - raised again by the caller
        return None, error


def pread(descriptor: int, size: int, offset: int) -> bytes:
    """Read like ``os.pread`` while other greenlets go on. May return fewer bytes than ``size``.

    If the kernel has the data in memory, such as that of a file just written, it is read at once. A switch to another
    thread and back would take longer than the read.
    """
    buffer = bytearray(size)
    try:
        count = os.preadv(descriptor, [buffer], offset, os.RWF_NOWAIT)  # Linux: see preadv2(2)
    except (AttributeError, NotImplementedError, OSError):
        count = 0
    if count:
        return bytes(memoryview(buffer)[:count])
    return run_blocking(os.pread, descriptor, size, offset)


def catch_up(done: Callable[[], bool]) -> bool:
    """Let the loop handle what happened while it was busy, until ``done`` returns True. Returns whether it did.

    Call this before a time-out is taken seriously: the answer may have arrived while this worker was busy.
    """
    for _ in range(_LOOP_ROUNDS):
        if done():
            return True
        gevent.sleep(_AN_INSTANT)
    return done()


class Turn:
    """The time for which one connection may compute before it lets the other connections run.

    Loops that need not wait for anything use it. A read from a socket that already has bytes lets no other greenlet
    run.
    """

    def __init__(self) -> None:
        """The turn begins now."""
        self._begun = time.monotonic()

    def exclude(self, seconds: float) -> None:
        """Do not count ``seconds`` in which this greenlet was waiting, since the others could run meanwhile."""
        self._begun += seconds

    def pass_on(self) -> bool:
        """If this turn has lasted long enough, let the other greenlets run and begin a new one.

        Returns whether they ran.
        """
        if time.monotonic() - self._begun < _TURN:
            return False
        # With gevent.sleep(0) the loop would look for events only once in fifty rounds.
        gevent.sleep(_AN_INSTANT)
        self._begun = time.monotonic()
        return True


def put_together(pieces: Iterable[bytes]) -> bytes:
    """Join ``pieces``, each of which takes time to make. Between them, other greenlets have their turn."""
    turn = Turn()
    whole = BytesIO()  # unlike a list of pieces, this is not copied at the end
    for piece in pieces:
        whole.write(piece)
        turn.pass_on()
    return whole.getvalue()


def unread_bytes(connection: socket.socket) -> int:
    """Return the number of bytes that have arrived on ``connection`` and have not been read yet."""
    count: int = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))[0]
    return count
