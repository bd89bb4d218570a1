# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The server is reached over IPv4 and IPv6, or on the one address of its options."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.support.fixtures import StartServer
from tests.support.raw_http import RawConnection
from tests.support.server import AntennaServer, file_system_environment


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def serves_on(server: AntennaServer, host: str) -> bool:
    try:
        with RawConnection(host, server.port, 10) as connection:
            connection.send(b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return connection.receive().status == 200
    except ConnectionRefusedError:
        return False


# tests/server/test_conf.py checks to which addresses each value of the option leads. If a system lets a socket of IPv6
# take connections of IPv4 too, only a running server shows that ours does not.
@needs_ipv6
def test_listens_on_ipv6_alone_where_it_is_told_so(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(file_system_environment(tmp_path) | {"LISTEN_ADDRESS": "[::]"}, wait=False)
    server.wait_until(lambda: serves_on(server, "::1"))

    assert not serves_on(server, "127.0.0.1")


@needs_ipv6
def test_listens_on_both_and_another_server_takes_over_both(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(file_system_environment(tmp_path) | {"LISTEN_ADDRESS": ""})
    assert serves_on(server, "::1")
    os.kill(server.pid, signal.SIGUSR2)
    server.wait_until(lambda: server.logs().count("crashes are saved in") == 2)
    server.terminate()
    server.wait_until(lambda: "Shutting down: Master" in server.logs())

    assert server.wait() == 0
    assert serves_on(server, "127.0.0.1")
    assert serves_on(server, "::1")
