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


@needs_ipv6
@pytest.mark.parametrize(
    ("listen_address", "hosts"),
    [
        ("", {"127.0.0.1", "::1"}),
        ("127.0.0.1", {"127.0.0.1"}),
        ("[::]", {"::1"}),
    ],
)
def test_listens_where_it_is_told(
    start_server: StartServer, tmp_path: Path, listen_address: str, hosts: set[str]
) -> None:
    server = start_server(file_system_environment(tmp_path) | {"LISTEN_ADDRESS": listen_address}, wait=False)
    server.wait_until(lambda: serves_on(server, min(hosts)))

    assert {host for host in ("127.0.0.1", "::1") if serves_on(server, host)} == hosts


@needs_ipv6
def test_another_server_takes_over_both(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(file_system_environment(tmp_path) | {"LISTEN_ADDRESS": ""})
    os.kill(server.pid, signal.SIGUSR2)
    server.wait_until(lambda: server.logs().count("crashes are saved in") == 2)
    server.terminate()
    server.wait_until(lambda: "Shutting down: Master" in server.logs())

    assert server.wait() == 0
    assert serves_on(server, "127.0.0.1")
    assert serves_on(server, "::1")
