# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Connections of one worker take turns on its CPU."""

import time

import gevent

# Seconds for which one connection may keep the others waiting.
_TURN = 0.005
_AN_INSTANT = 1e-6


def take_turns() -> None:
    """Let the others go first if none of them had a turn lately.

    To be called in loops that need not wait for anything: a read from a socket that has bytes lets nobody else go on.
    """
    # The loop's own time is when it last looked for events.
    if not 0 <= time.time() - gevent.get_hub().loop.now() < _TURN:
        # gevent.sleep(0) would make it do so after fifty turns only.
        gevent.sleep(_AN_INSTANT)
