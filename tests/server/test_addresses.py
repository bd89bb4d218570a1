# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The server listens on all addresses of the machine, or on one. If an address is in use, the server waits for it."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn import sock
from gunicorn.config import Config

import antenna.server.addresses
from antenna.config import ConfigurationError
from antenna.server.addresses import EVERYWHERE, addresses_of, gunicorn_address, keep_ipv6_apart, wait_until_free

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=10) as listener:
        yield listener


class System:
    """A system that has some families of addresses, and knows some names."""

    def __init__(self, families: set[socket.AddressFamily], names: dict[str, list[str]]) -> None:
        self._families = families
        self._names = names

    def has_family(self, host: str) -> bool:
        return (V6 if ":" in host else V4) in self._families

    def look_up(self, name: str, *_: object, **__: object) -> list[Any]:
        if name not in self._names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in self._names[name]]


NAMES = {"both": ["::1", "127.0.0.1", "127.0.0.1"], "four": ["192.0.2.1"], "127.0.0.1": ["127.0.0.1"], "::1": ["::1"]}


@pytest.mark.parametrize(
    ("families", "listen_address", "addresses"),
    [
        ({V4, V6}, "", list(EVERYWHERE)),
        ({V4}, "", [EVERYWHERE[0]]),
        ({V6}, "", [EVERYWHERE[1]]),
        (set(), "", list(EVERYWHERE)),
        ({V4, V6}, "127.0.0.1", ["127.0.0.1"]),
        ({V4, V6}, "::1", ["::1"]),
        ({V4}, "::1", ["::1"]),
        ({V4, V6}, "both", ["127.0.0.1", "::1"]),
        ({V4}, "both", ["127.0.0.1"]),
        ({V6}, "both", ["::1"]),
        ({V4, V6}, "four", ["192.0.2.1"]),
    ],
)
def test_addresses(
    monkeypatch: pytest.MonkeyPatch, families: set[socket.AddressFamily], listen_address: str, addresses: list[str]
) -> None:
    system = System(families, NAMES)
    monkeypatch.setattr(antenna.server.addresses, "_has_family", system.has_family)
    monkeypatch.setattr(socket, "getaddrinfo", system.look_up)

    assert addresses_of(listen_address) == addresses


def test_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", System({V4, V6}, {}).look_up)

    with pytest.raises(
        ConfigurationError, match=r"LISTEN_ADDRESS has a bad value 'nobody': .* Name or service not known"
    ):
        addresses_of("nobody")


def test_this_machine_has_an_address() -> None:
    assert addresses_of("")[0] == EVERYWHERE[0]
    assert addresses_of("127.0.0.1") == ["127.0.0.1"]


def test_form_for_gunicorn() -> None:
    assert gunicorn_address("127.0.0.1", 8000) == "127.0.0.1:8000"
    assert gunicorn_address("::1", 8000) == "[::1]:8000"


@pytest.mark.skipif(addresses_of("") != list(EVERYWHERE), reason="this machine has no IPv6")
def test_ipv4_and_ipv6_on_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sock.TCP6Socket, "bind", sock.TCP6Socket.bind)
    keep_ipv6_apart()
    with socket.create_server((EVERYWHERE[0], 0)) as probe:
        port = probe.getsockname()[1]
    config = Config()
    config.set("bind", [gunicorn_address(host, port) for host in addresses_of("")])
    log: Any = None

    wait_until_free(config.address)
    listeners = sock.create_sockets(config, log)

    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port), timeout=1).close()
    for listener in listeners:
        listener.close()


def test_address_that_becomes_free_in_time_is_waited_for(listener: socket.socket) -> None:
    threading.Timer(0.3, listener.close).start()

    wait_until_free([listener.getsockname()], 10)


@pytest.mark.parametrize(
    ("address", "problem"), [(("192.0.2.1", 8000), "Cannot assign requested address"), (None, "Address already in use")]
)
def test_address_that_cannot_be_had_is_named(
    listener: socket.socket, address: tuple[str, int] | None, problem: str
) -> None:
    host, port = address or listener.getsockname()

    with pytest.raises(ConfigurationError, match=f"cannot listen on {host}, port {port}: {problem}"):
        wait_until_free([(host, port)], 0.2)
