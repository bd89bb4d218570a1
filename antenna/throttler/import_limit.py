# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Ends the import of an operator's module that takes too long, since everything else in the process waits for it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import gevent

# Seconds. If the module swallows the exception, with a bare ``except``, it is raised again after this time.
_AGAIN = 0.5


class ImportTooSlow(BaseException):
    """Raised in an import that takes too long. It is no ``Exception``, so that few modules swallow it."""


@contextmanager
def import_limit(seconds: float) -> Iterator[None]:
    """Raise ``ImportTooSlow`` in the block if it takes longer than ``seconds``.

    gevent ends waiting, such as for the network, and a signal ends computing. Nothing ends code in C that does not
    return. Signals reach the main thread only, so in any other thread computing is not ended.
    """
    importing = gevent.getcurrent()
    is_over = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        # If the import waits, other greenlets run. They must not be interrupted.
        if not is_over and gevent.getcurrent() is importing:
            raise ImportTooSlow

    try:
        handler = signal.signal(signal.SIGALRM, interrupt)
    except ValueError:  # not in the main thread
        with gevent.Timeout(seconds, ImportTooSlow()):
            yield
        return
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
        with gevent.Timeout(seconds, ImportTooSlow()):
            yield
        is_over = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
