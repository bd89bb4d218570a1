# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""How the collector shares one gevent hub among all connections of a worker.

A worker serves every connection in one native thread. Whatever does not wait in gevent stops all of them. So:

* ``run_blocking`` and ``pread`` send disk work to gevent's pool of native threads.
* ``Turn`` lets others go on in the middle of a computation that takes long.
* ``catch_up`` lets a busy worker see the answers that have arrived already.

What runs in the pool must not wait for a lock of Python's, such as ``datetime.strptime`` has. gevent has replaced that
lock by one for greenlets: a native thread that has to wait for it gets a hub of its own, and sometimes waits for ever.
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

# Names that are looked up at a time.
_LOOKUPS = 10
# Seconds for which one connection may keep the others waiting: longer than most reports take, which would only wait
# for one another.
_TURN = 0.005
_AN_INSTANT = 1e-6
# Turns of the loop from an answer's arrival to the connection that waits for it: the loop has to look for events, run
# who waits for them, and so on, through timers and batches. A busy loop may take 0.1 s for each.
_TURNS = 4

P = ParamSpec("P")
R = TypeVar("R")


def run_blocking(func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run ``func`` in a native thread while other greenlets go on; what it returns or raises comes back.

    Without it, a write or an fsync on a slow disk would hold up every connection of the worker.
    """
    result, error = gevent.get_hub().threadpool.apply(_outcome, (partial(func, *args, **kwargs),))
    if error is not None:
        raise error
    value: R = result
    return value


def patch_all() -> None:
    """Make the blocking calls of this process cooperative. To be called before anything is imported that makes them."""
    with plugins_read_once():
        monkey.patch_all()
    restore_close()


@contextmanager
def plugins_read_once() -> Iterator[None]:
    """Have the list of installed plugins read once, however often gevent's patch asks for it.

    gevent looks for plugins that want to know of its patch at each of some 25 steps, and ``importlib.metadata`` reads
    the metadata of every installed package each time. With 115 packages that took 0.3 s of CPU at each start.
    """
    read = metadata.entry_points
    metadata.entry_points = metadata.entry_points().select
    try:
        yield
    finally:
        metadata.entry_points = read


def restore_close() -> None:
    """Take ``os.close`` back from gevent. To be called once gevent has patched the process.

    gevent lets the loop of the thread's hub close what is not a regular file. Nobody runs that loop in a native thread
    that has come by a hub, so directories stayed open there for ever, and entries of the spool with them, locked.
    What is closed too early for gevent is a socket, and these have a ``close`` of their own.
    """
    os.close = monkey.get_original("os", "close")


def look_up_names_apart() -> None:
    """Give the look-up of names native threads of its own. To be called once in the process that serves.

    A name service that gives no answer holds a thread for many seconds. In the pool that all share, no crash could be
    written to the spool meanwhile.
    """
    hub = gevent.get_hub()
    hub.resolver.pool = ThreadPool(_LOOKUPS, hub=hub)  # type: ignore[attr-defined] # gevent's usual resolver has it


def _outcome(func: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Return what ``func`` returns or raises: an error that gets out of the pool is printed, although we handle it."""
    try:
        return func(), None
    except BaseException as error:  # noqa: BLE001 - raised again by the caller
        return None, error


def pread(descriptor: int, size: int, offset: int) -> bytes:
    """Read as ``os.pread`` while other greenlets go on; may return less than there is.

    What the kernel has in memory, such as a file that has just been written, is read at once: going to another thread
    and back for it takes longer than that.
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
    """Let the loop see what has happened while it was busy, until something is ``done``; return whether it is.

    For those whose patience is at an end: it may have been this worker that took so long.
    """
    for _ in range(_TURNS):
        if done():
            return True
        gevent.sleep(_AN_INSTANT)
    return done()


class Turn:
    """A connection's turn on the CPU of its worker, for loops that need not wait for anything.

    A read from a socket that has bytes lets nobody else go on.
    """

    def __init__(self) -> None:
        """The turn begins now."""
        self._begun = time.monotonic()

    def waited(self, seconds: float) -> None:
        """Leave ``seconds`` out of account, in which others may have gone on."""
        self._begun += seconds

    def pass_on(self) -> bool:
        """Let the others go first if this turn has been a long one; say whether it was."""
        if time.monotonic() - self._begun < _TURN:
            return False
        # gevent.sleep(0) would make the loop look for events after fifty turns only.
        gevent.sleep(_AN_INSTANT)
        self._begun = time.monotonic()
        return True


def put_together(pieces: Iterable[bytes]) -> bytes:
    """Return ``pieces``, each of which takes some time to make, as one; other greenlets have their turn in between."""
    turn = Turn()
    whole = BytesIO()  # unlike a list of pieces, it is not copied in the end
    for piece in pieces:
        whole.write(piece)
        turn.pass_on()
    return whole.getvalue()


def unread_bytes(connection: socket.socket) -> int:
    """Return how many bytes have arrived on ``connection`` that nobody has read yet."""
    count: int = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))[0]
    return count
