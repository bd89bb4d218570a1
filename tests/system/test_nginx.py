# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""nginx in front of the collector refuses in the collector's words.

It does not let one address take all connections.
"""

import contextlib

import pytest

from tests.support.collector import Collector
from tests.support.fixtures import StartNginx
from tests.support.nginx import Nginx
from tests.support.raw_http import RawResponse
from tests.support.reports import annotation, chunked_report, dump, report

PRODUCT = annotation("ProductName", "Firefox")
HEAD = "POST /submit HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
# The beginning of a report. Its client sends no more.
STALLED = f"{HEAD}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b"


@pytest.fixture
def nginx(collector: Collector, start_nginx: StartNginx) -> Nginx:
    return start_nginx(collector.server.port, {"limit_conn addresses 200;": "limit_conn addresses 3;"})


def ask(nginx: Nginx, request: bytes) -> RawResponse:
    with nginx.connect() as connection:
        connection.send(request)
        return connection.receive()


@pytest.mark.parametrize(
    "request_bytes",
    [
        report(PRODUCT, dump(b"MDMP" * 100_000)),
        chunked_report(PRODUCT, dump(b"MDMP")),
        report(PRODUCT, headers={"X-Forwarded-Client-Cert": "x" * 20_000}),
    ],
    ids=["length", "chunked", "long header"],
)
def test_crashes_get_through(collector: Collector, nginx: Nginx, request_bytes: bytes) -> None:
    collector.assert_saved(ask(nginx, request_bytes))


@pytest.mark.parametrize(
    ("request_text", "status", "text"),
    [
        pytest.param("nonsense\r\n\r\n", 400, "Discarded=malformed_bad_request", id="400"),
        pytest.param("GET / HTTP/2.0\r\n\r\n", 400, "Discarded=malformed_bad_request", id="505"),
        pytest.param(HEAD + "Content-Length: x\r\n\r\n", 400, "Discarded=malformed_bad_request", id="length"),
        pytest.param(HEAD.replace("POST", "TRACE") + "\r\n", 405, "Method not allowed\n", id="405"),
        pytest.param(HEAD.replace("/s", "/" + "s" * 33_000) + "\r\n", 413, "Discarded=malformed_too_large", id="414"),
        pytest.param(HEAD + f"X: {'x' * 33_000}\r\n\r\n", 413, "Discarded=malformed_too_large", id="494"),
        pytest.param(
            HEAD + "Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "Discarded=malformed_unsupported_encoding", id="501"
        ),
    ],
)
def test_refusals_are_in_the_collectors_words(nginx: Nginx, request_text: str, status: int, text: str) -> None:
    answer = ask(nginx, request_text.encode())

    assert (answer.status, answer.text) == (status, text)
    assert answer.headers["Content-Type"] == "text/plain"


def test_collector_that_is_away(start_nginx: StartNginx) -> None:
    answer = ask(start_nginx(1), report(PRODUCT))

    assert (answer.status, answer.text) == (503, "Discarded=unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_collectors_own_refusals_pass(nginx: Nginx) -> None:
    answer = ask(nginx, report(dump(b"MDMP")))

    assert (answer.status, answer.text) == (400, "Discarded=malformed_no_annotations")


def test_one_address_cannot_take_all_connections(collector: Collector, nginx: Nginx) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(3):
            held.enter_context(nginx.connect()).send(STALLED.encode())
        answer = ask(nginx, report(PRODUCT, dump(bytes(300_000))))
        assert (answer.status, answer.text) == (503, "Discarded=unavailable")
        assert int(answer.headers["Retry-After"]) > 0

    collector.server.wait_until(lambda: ask(nginx, report(PRODUCT)).status == 200, 5)


def test_logs_no_address_and_no_query(collector: Collector, nginx: Nginx) -> None:
    ask(nginx, report(PRODUCT).replace(b"/submit", b"/submit?who=me", 1))

    # nginx logs a request after its answer.
    collector.server.wait_until(lambda: "/submit" in nginx.logs())
    assert "127.0.0.1" not in nginx.logs()
    assert "who=me" not in nginx.logs()
