# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Connections of one worker take turns on its CPU."""

import time
from collections.abc import Callable

import gevent

# Seconds for which one connection may keep the others waiting: longer than most reports take, which would only wait
# for one another.
_TURN = 0.005
_AN_INSTANT = 1e-6
# Turns of the loop from an answer's arrival to the connection that waits for it: the loop has to look for events, run
# who waits for them, and so on, through timers and batches. A busy loop may take 0.1 s for each.
_TURNS = 4


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
