# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The viewer's web server: a client that holds a connection for nothing loses it."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import gevent
import pytest

from antenna.viewer.server import Handler, make_server, url_of


def hello(_: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(Handler, "silence", 0.25)
    monkeypatch.setattr(Handler, "request_time", 0.6)
    started, ports = threading.Event(), list[int]()
    stop = threading.Event()

    def serve() -> None:
        server = make_server("127.0.0.1", 0, hello)
        server.start()
        ports.append(int(server.server_port or 0))
        started.set()
        while not stop.is_set():
            gevent.sleep(0.05)
        server.stop(timeout=0)

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(10)
    yield ports[0]
    stop.set()
    thread.join()


def seconds_until_closed(connection: socket.socket, *, trickle: bytes = b"") -> float:
    """How long the server keeps a connection on which ``trickle`` comes again and again."""
    began = time.monotonic()
    connection.settimeout(0.05)
    while time.monotonic() - began < 10:
        try:
            if trickle:
                connection.sendall(trickle)
            if not connection.recv(1000):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]
)
def test_a_client_that_falls_silent(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(sent)
        assert seconds_until_closed(connection) < 5


def test_a_client_that_sends_a_byte_now_and_then(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert 0.4 < seconds_until_closed(connection, trickle=b"a") < 5


def test_others_are_served(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.makefile("rb").read().endswith(b"hello")


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:8001/"), ("::1", "http://[::1]:8001/"), ("a", "http://a:8001/")]
)
def test_what_to_type_into_a_browser(host: str, url: str) -> None:
    assert url_of(host, 8001) == url
