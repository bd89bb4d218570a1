# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Ends the import of an operator's module that takes too long. Meanwhile everything else in the process would wait."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import gevent

# Seconds. If the module swallows the exception, with a bare ``except``, it is raised again after this time.
_AGAIN = 0.5


class ImportTooSlow(BaseException):
    """Raised in an import that takes too long. It is not an ``Exception``, because modules often swallow these."""


@contextmanager
def import_limit(seconds: float) -> Iterator[None]:
    """Raise ``ImportTooSlow`` in the block if it takes longer than ``seconds``.

    If the block waits, for instance for the network, gevent ends it. If it computes, a signal ends it. Signals reach
    only the main thread, so in other threads computing is not ended. Code in C that does not return cannot be ended at
    all.
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
