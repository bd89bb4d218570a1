# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""When a listening socket is closed, the kernel resets no connection."""

import socket
import sys
from collections.abc import Iterator

import pytest

from antenna.server.listener import refuse_new_connections

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="done with a filter of Linux")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=10) as listener:
        yield listener


def connect(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=0.3)


def test_nobody_new_gets_in(listener: socket.socket) -> None:
    refuse_new_connections(listener)

    with pytest.raises(TimeoutError):
        connect(listener)


def test_whoever_is_in_is_served(listener: socket.socket) -> None:
    with connect(listener) as waiting, connect(listener) as sending:
        sending.sendall(b"before")
        refuse_new_connections(listener)
        sending.sendall(b" and after")
        accepted = [listener.accept()[0] for _ in range(2)]
        listener.close()

        assert accepted[1].recv(100) == b"before and after"
        accepted[1].sendall(b"answer")
        accepted[1].close()
        assert sending.recv(100) == b"answer"
        assert sending.recv(100) == b""
        waiting.sendall(b"late")
        assert accepted[0].recv(100) == b"late"
        accepted[0].close()


def test_port_is_free_for_the_next_server(listener: socket.socket) -> None:
    address = listener.getsockname()
    refuse_new_connections(listener)
    listener.close()

    with socket.create_server(address) as successor, connect(successor):
        successor.accept()[0].close()
