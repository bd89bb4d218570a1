# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Long computations let other greenlets run."""

import time

import gevent
from gevent import socket

from antenna.hub import Turn

WORK = 0.5
STEP = 0.006


def work() -> None:
    """Use the CPU, as the reading of a large report does."""
    turn = Turn()
    end = time.monotonic() + WORK
    while time.monotonic() < end:
        step = time.monotonic() + STEP
        while time.monotonic() < step:
            pass
        turn.pass_on()


def test_a_connection_is_served_during_the_work_of_others() -> None:
    server, client = socket.socketpair()

    def echo() -> None:
        while data := server.recv(100):
            server.send(data)

    echoing = gevent.spawn(echo)
    working = [gevent.spawn(work) for _ in range(2)]
    waits = []
    while not all(worker.dead for worker in working):
        begun = time.monotonic()
        client.send(b"x")
        client.recv(100)
        waits.append(time.monotonic() - begun)
    client.close()
    echoing.join()
    server.close()

    # An answer takes two steps of each computation, if the machine does nothing else. Without turns it takes all of the
    # work.
    assert sorted(waits)[len(waits) // 2] < WORK / 5
    assert len(waits) > 5
