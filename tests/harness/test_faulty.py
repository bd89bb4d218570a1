# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The faulty proxy passes bytes on, and fails exactly as it is told to."""

import contextlib
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.faulty import (
    HALF_REQUEST,
    HANG,
    LATE_ANSWER,
    LOST_ANSWER,
    PASS,
    REFUSE,
    RESET,
    SILENCE,
    End,
    Fault,
    FaultyProxy,
)
from tests.support.raw_http import RawConnection, exchange

BODY = bytes(1000)
REQUEST = b"POST /a HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + BODY


class Echo(socketserver.ThreadingTCPServer):
    """Answers each request with its own body, and remembers the bodies."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), EchoHandler)
        self.bodies: list[bytes] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class EchoHandler(socketserver.StreamRequestHandler):
    server: Echo

    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError):
            self.answer_requests()

    def answer_requests(self) -> None:
        while self.rfile.readline():
            while self.rfile.readline() != b"\r\n":
                pass
            body = self.rfile.read(1000)
            if len(body) < 1000:
                return
            self.server.bodies.append(body)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + body)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultyProxy]:
    with FaultyProxy(echo.port) as proxy:
        yield proxy


def send(proxy: FaultyProxy, seconds: float = 10.0) -> bytes:
    return exchange("127.0.0.1", proxy.port, REQUEST, seconds).body


def test_passes_exchanges_and_keeps_a_record(proxy: FaultyProxy) -> None:
    with RawConnection("127.0.0.1", proxy.port) as connection:
        for _ in range(3):
            connection.send(REQUEST)
            assert connection.receive().body == BODY

    assert [exchange.request_line for exchange in proxy.exchanges] == ["POST /a HTTP/1.1"] * 3
    assert all(exchange.answered is not None for exchange in proxy.exchanges)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (REFUSE, ConnectionRefusedError),
        (RESET, ConnectionResetError),
        (HALF_REQUEST, ConnectionResetError),
        (LOST_ANSWER, ConnectionResetError),
        (Fault(request_size=0, end=End.CLOSE), EOFError),
        (Fault(answer_size=100, end=End.CLOSE), AssertionError),
        (HANG, TimeoutError),
        (SILENCE, TimeoutError),
        (LATE_ANSWER, TimeoutError),
    ],
)
def test_faults_come_and_go(proxy: FaultyProxy, fault: Fault, error: type[Exception]) -> None:
    for _ in range(2):
        proxy.fault = fault
        with pytest.raises(error):
            send(proxy, seconds=0.2)
        proxy.fault = PASS
        assert send(proxy) == BODY


@pytest.mark.parametrize(("fault", "arrives"), [(RESET, 0), (HALF_REQUEST, 0), (LOST_ANSWER, 1), (LATE_ANSWER, 1)])
def test_whether_the_backend_has_done_its_work(proxy: FaultyProxy, echo: Echo, fault: Fault, arrives: int) -> None:
    proxy.fault = fault
    with pytest.raises(OSError, match=r"timed out|reset"):
        send(proxy, seconds=0.2)

    assert len(echo.bodies) == arrives


def test_what_hangs_goes_on_in_the_end(proxy: FaultyProxy, echo: Echo) -> None:
    proxy.fault = HANG
    with RawConnection("127.0.0.1", proxy.port) as connection:
        connection.send(REQUEST)
        time.sleep(0.2)
        assert not echo.bodies
        proxy.fault = PASS
        assert connection.receive().body == BODY


def test_open_connections_are_reset_when_others_are_refused(proxy: FaultyProxy) -> None:
    with RawConnection("127.0.0.1", proxy.port) as connection:
        connection.send(REQUEST)
        connection.receive()
        proxy.fault = REFUSE
        with pytest.raises(ConnectionResetError):
            connection.receive()


def test_answer_of_its_own(proxy: FaultyProxy, echo: Echo) -> None:
    proxy.fault = Fault(status=429, body=b"slow down")

    answer = exchange("127.0.0.1", proxy.port, REQUEST)

    assert (answer.status, answer.body) == (429, b"slow down")
    assert not echo.bodies


def test_altered_answer(proxy: FaultyProxy) -> None:
    proxy.fault = Fault(alter=lambda answer: answer.replace(b"\0", b"1"))

    assert send(proxy) == b"1" * 1000


def test_delay_and_rate(proxy: FaultyProxy) -> None:
    for fault in (Fault(delay=0.3), Fault(rate=6000)):
        proxy.fault = fault
        start = time.monotonic()
        assert send(proxy) == BODY
        assert 0.25 < time.monotonic() - start < 5


def test_fault_by_request(proxy: FaultyProxy) -> None:
    proxy.choose = lambda _request_line: RESET if len(proxy.exchanges) == 2 else PASS

    assert send(proxy) == BODY
    with pytest.raises(ConnectionResetError):
        send(proxy)
    assert send(proxy) == BODY
