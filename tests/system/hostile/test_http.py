# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Requests that are almost HTTP, byte by byte."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.captures import load_capture
from tests.support.raw_http import RawResponse
from tests.support.reports import BOUNDARY, annotation, chunked, dump, extra, multipart, post, report
from tests.support.watch import HONEST, MIB, Target

PRODUCT = annotation("ProductName", "Firefox")
BODY = multipart(PRODUCT, dump(b"MDMP"))
CHUNKED = {"Content-Length": None, "Transfer-Encoding": "chunked"}
CHUNKED_BODY = chunked(BODY, 100)


def head(*lines: bytes, request_line: bytes = b"POST /submit HTTP/1.1") -> bytes:
    """Return the head of a request that has these lines, and those that a report needs."""
    content_type = f"Content-Type: multipart/form-data; boundary={BOUNDARY}".encode()
    return b"\r\n".join([request_line, b"Host: x", content_type, *lines, b"", b""])


def with_head(*lines: bytes, body: bytes = BODY, request_line: bytes = b"POST /submit HTTP/1.1") -> bytes:
    return head(b"Content-Length: %d" % len(body), *lines, request_line=request_line) + body


class TestRefused:
    @pytest.mark.parametrize(
        ("request_bytes", "why"),
        [
            pytest.param(with_head(b"Transfer-Encoding: chunked"), "bad_request", id="chunked with a length"),
            pytest.param(with_head(b"Content-Length: 5"), "bad_request", id="two lengths"),
            pytest.param(head(b"Content-Length: -1") + BODY, "bad_request", id="negative length"),
            pytest.param(head(b"Content-Length: +5") + BODY, "bad_request", id="length with a plus"),
            pytest.param(head(b"Content-Length: 0x5") + BODY, "bad_request", id="length in base 16"),
            pytest.param(head(b"Content-Length: 5, 5") + BODY, "bad_request", id="list of lengths"),
            pytest.param(head(b"Content-Length: \xb2") + BODY, "bad_request", id="length of a digit that is none"),
            pytest.param(head(b"Content-Length: " + b"9" * 5000) + BODY, "bad_request", id="length of 5,000 digits"),
            pytest.param(head(b"Content-Length: " + b"9" * 4000) + BODY, "too_large", id="length of 4,000 digits"),
            pytest.param(with_head(b"Content-Type: text/plain"), "bad_request", id="two types"),
            pytest.param(with_head(b"Expect: nonsense"), "bad_request", id="unknown expectation"),
            pytest.param(with_head(b"No colon"), "bad_request", id="header without a colon"),
            pytest.param(with_head(b": no name"), "bad_request", id="header without a name"),
            pytest.param(with_head(b"X Y: 1"), "bad_request", id="header name with a space"),
            pytest.param(with_head(b"X\xe9: 1"), "bad_request", id="header name of odd bytes"),
            pytest.param(with_head(b"X: \0"), "bad_request", id="NUL in a header"),
            pytest.param(with_head(b"X: 1\n Y: 2"), "bad_request", id="bare line feed"),
            pytest.param(with_head(b"X: 1", b" folded"), "bad_request", id="folded header"),
            pytest.param(with_head(b"X: " + b"x" * 200_000), "too_large", id="very long header"),
            pytest.param(with_head(*[b"X: 1"] * 50_000), "too_large", id="50,000 headers"),
            pytest.param(with_head(*[b"X: " + b"x" * 4000] * 9), "too_large", id="headers of 36 kB"),
            pytest.param(with_head(request_line=b"POST /" + b"x" * 33_000 + b" HTTP/1.1"), "too_large", id="long path"),
            pytest.param(with_head(request_line=b"POST /submit"), "bad_request", id="no version"),
            pytest.param(with_head(request_line=b"POST /submit HTTP/3.0"), "bad_request", id="later version"),
            pytest.param(with_head(request_line=b"POST /submit HTTP/1.\xb2"), "bad_request", id="odd version"),
            pytest.param(with_head(request_line=b"post /submit HTTP/1.1"), "bad_request", id="method in lower case"),
            pytest.param(with_head(request_line=b"POST /sub\0mit HTTP/1.1"), "bad_request", id="NUL in the path"),
            pytest.param(with_head(request_line=b"POST submit HTTP/1.1"), "bad_request", id="path without a slash"),
            pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "bad_request", id="HTTP/2"),
            pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", "bad_request", id="TLS"),
            pytest.param(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + HONEST, "bad_request", id="PROXY protocol"),
            pytest.param(b"\0" * 40_000, "too_large", id="zeros"),
            pytest.param(b"x" * 40_000, "too_large", id="no line"),
            pytest.param(post(b"zz\r\n" + CHUNKED_BODY, CHUNKED), "bad_framing", id="chunk without a size"),
            pytest.param(post(CHUNKED_BODY.replace(b"\r\n", b"\n"), CHUNKED), "bad_framing", id="chunks with bare LF"),
            pytest.param(post(b"5;" + b"x" * 9000, CHUNKED), "bad_framing", id="chunk extension without an end"),
            pytest.param(post(b"ffffffffffffffffff\r\n", CHUNKED), "bad_framing", id="chunk larger than any"),
            pytest.param(post(b"fffffffffffffff\r\nx" * 2, CHUNKED), "incomplete_body", id="chunk that never ends"),
            pytest.param(post(CHUNKED_BODY[:-2] + b"X: y\r\n" * 5000, CHUNKED), "bad_framing", id="trailers"),
        ],
    )
    def test_with_a_reason(self, target: Target, request_bytes: bytes, why: str) -> None:
        with target.server.connect() as connection:
            connection.send(request_bytes)
            if why == "incomplete_body":
                connection.socket.shutdown(socket.SHUT_WR)
            target.assert_refused(connection.receive(), f"malformed_{why}")
            assert connection.is_closed_by_server()


class TestTransferEncoding:
    @pytest.mark.parametrize(
        "lines",
        [
            [b"Transfer-Encoding: gzip"],
            [b"Transfer-Encoding: gzip, chunked"],
            [b"Transfer-Encoding: GZIP,Chunked"],
            [b"Transfer-Encoding: chunked, gzip"],
            [b"Transfer-Encoding: chunked, chunked"],
            [b"Transfer-Encoding: chunked,"],
            [b"Transfer-Encoding: chunked; q=1"],
            [b'Transfer-Encoding: "chunked"'],
            [b"Transfer-Encoding: identity"],
            [b"Transfer-Encoding: identity, chunked"],
            [b"Transfer-Encoding: deflate, chunked"],
            [b"Transfer-Encoding: xchunked"],
            [b"Transfer-Encoding: chunked\xff"],
            [b"Transfer-Encoding: \x0bchunked"],
            [b"Transfer-Encoding: chunked\0"],
            [b"Transfer-Encoding:"],
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
            [b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: chunked", b" "],
            [b"Transfer-Encoding:", b" chunked"],
            [b"Transfer-Encoding : chunked"],
            [b"transfer-encoding\t: gzip"],
            [b"Transfer-Encoding: gzip", b"Content-Length: 5"],
        ],
    )
    def test_other_than_chunked_is_refused(self, target: Target, lines: list[bytes]) -> None:
        for version in (b"1.1", b"1.0"):
            with target.server.connect() as connection:
                connection.send(head(*lines, request_line=b"POST /submit HTTP/" + version) + CHUNKED_BODY)
                answer = connection.receive()
                target.assert_refused(answer, "malformed_unsupported_encoding")
                assert answer.headers["Connection"] == "close"
                assert connection.is_closed_by_server()

    @pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED", b"\tchunked \t", b"  chunked"])
    def test_chunked_in_any_spelling(self, target: Target, value: bytes) -> None:
        target.collector.assert_saved(target.submit(head(b"Transfer-Encoding:" + value) + CHUNKED_BODY))

    @pytest.mark.parametrize(
        "request_bytes",
        [
            with_head(b"Transfer-Encoding: chunked", body=CHUNKED_BODY),
            head(b"Transfer-Encoding: chunked", request_line=b"POST /submit HTTP/1.0") + CHUNKED_BODY,
        ],
        ids=["with a length", "in HTTP/1.0"],
    )
    def test_chunked_where_it_may_not_be(self, target: Target, request_bytes: bytes) -> None:
        target.assert_refused(target.submit(request_bytes), "malformed_bad_request")


class TestSizeOfHead:
    """The request line and the headers may have 32 KiB together. There is no other limit on them."""

    @staticmethod
    def request_of(size: int, where: str) -> bytes:
        """Return a request that has a head of ``size`` bytes."""
        request_line, lines = b"POST /submit%b HTTP/1.1", []
        if where == "headers":
            lines = [b"X:1"] * 5000
        elif where == "header":
            lines = [b"X-Forwarded-Client-Cert: "]
        plain = with_head(*lines, request_line=request_line % (b"?" if where == "query" else b""))
        missing = size - len(plain) + len(BODY)
        if where == "query":
            return with_head(request_line=request_line % (b"?" + b"q" * missing))
        return with_head(*lines[:-1], lines[-1] + b"x" * missing)

    @pytest.mark.parametrize("where", ["query", "header", "headers"])
    def test_is_bounded(self, target: Target, where: str) -> None:
        most = self.request_of(32 * 1024, where)

        target.collector.assert_saved(target.submit(most))
        target.assert_refused(target.submit(self.request_of(32 * 1024 + 1, where)), "malformed_too_large")

    @pytest.mark.parametrize("where", ["query", "header", "headers"])
    def test_is_bounded_on_a_connection_that_goes_on(self, target: Target, where: str) -> None:
        most = self.request_of(32 * 1024, where)
        with target.server.connect() as connection:
            connection.send(HONEST + most + most + self.request_of(32 * 1024 + 1, where))
            for _ in range(3):
                target.collector.assert_saved(connection.receive())
            target.assert_refused(connection.receive(), "malformed_too_large")

    def test_that_comes_in_small_pieces(self, target: Target) -> None:
        request_bytes = self.request_of(32 * 1024, "header")
        with target.server.connect() as connection:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(request_bytes), 1001):
                connection.send(request_bytes[start : start + 1001])
            target.collector.assert_saved(connection.receive())


class TestKept:
    @pytest.mark.parametrize(
        "request_bytes",
        [
            pytest.param(with_head(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings"), id="HTTP/2 upgrade"),
            pytest.param(with_head(b"Upgrade: websocket", b"Connection: Upgrade"), id="websocket"),
            pytest.param(with_head(b"Content_Length: 5", b"Transfer_Encoding: gzip"), id="headers with underscores"),
            pytest.param(with_head(b"Script_Name: /x", b"X-Forwarded-Proto: https"), id="headers of proxies"),
            pytest.param(with_head(b"Trailer: x", b"TE: trailers, gzip"), id="trailers announced"),
            pytest.param(with_head(*[b"X: 1"] * 105), id="108 headers"),
            pytest.param(with_head(b"X: " + b"x" * 9000), id="long header"),
            pytest.param(with_head(request_line=b"POST /submit?" + b"x" * 9000 + b" HTTP/1.1"), id="long query"),
            pytest.param(with_head(b"User-Agent: \xff\xfe\xe9\xc3"), id="user agent of odd bytes"),
            pytest.param(with_head(b"Expect: 100-Continue"), id="expectation"),
            pytest.param(with_head(request_line=b"POST http://x/submit HTTP/1.1"), id="absolute URI"),
            pytest.param(with_head(request_line=b"POST /%73ubmit?" + b"&=" * 3000 + b" HTTP/1.1"), id="odd URI"),
            pytest.param(with_head(request_line=b"POST /submit?id={%zz}&x=%ff HTTP/1.0"), id="query"),
            pytest.param(b"\r\n" + HONEST, id="empty line before"),
            pytest.param(post(chunked(BODY, 1), CHUNKED), id="chunks of one byte"),
            pytest.param(
                post(CHUNKED_BODY.replace(b"\r\n", b";a=b;c\r\n", 1)[:-2] + b"A: 1\r\nB: 2\r\n\r\n", CHUNKED),
                id="chunk extension and trailers",
            ),
        ],
    )
    def test_odd_but_valid(self, target: Target, request_bytes: bytes) -> None:
        crash = target.collector.assert_saved(target.submit(request_bytes))

        assert list(crash.dumps) == ["upload_file_minidump"]

    def test_user_agent_of_odd_bytes_is_text(self, target: Target) -> None:
        for header, text in ((b"\xff\xe9", "ÿé"), ("Fenix é".encode(), "Fenix é")):
            crash = target.collector.assert_saved(target.submit(with_head(b"User-Agent: " + header)))
            assert crash.raw_crash["metadata"]["user_agent"] == text

    def test_head_that_comes_byte_by_byte(self, target: Target) -> None:
        with target.server.connect() as connection:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in with_head(b"X: " + b"x" * 500):
                connection.send(bytes([byte]))
            target.collector.assert_saved(connection.receive())


class TestSeveralRequestsAtOnce:
    def test_are_all_answered(self, target: Target) -> None:
        number = 100
        with target.server.connect() as connection:
            connection.send(HONEST * number)
            ids = {target.collector.assert_kept(connection.receive()) for _ in range(number)}

        assert len(ids) == number

    def test_of_every_framing(self, target: Target) -> None:
        requests = [HONEST, post(CHUNKED_BODY, CHUNKED), report(dump(b"no annotation")), HONEST]
        with target.server.connect() as connection:
            connection.send(b"".join(requests * 10))
            answers = [connection.receive() for _ in requests * 10]

        assert [answer.status for answer in answers] == [200, 200, 400, 200] * 10

    def test_body_that_goes_on_beyond_its_length_is_no_request(self, target: Target) -> None:
        with target.server.connect() as connection:
            connection.send(HONEST + b"and more that is no HTTP\r\n\r\n")
            target.collector.assert_kept(connection.receive())
            target.assert_refused(connection.receive(), "malformed_bad_request")
            assert connection.is_closed_by_server()

    def test_body_that_claims_to_be_longer_swallows_the_next(self, target: Target) -> None:
        lying = post(BODY, {"Content-Length": str(len(BODY) + len(HONEST))})
        with target.server.connect() as connection:
            connection.send(lying + HONEST + HONEST)
            target.collector.assert_saved(connection.receive())
            target.collector.assert_saved(connection.receive())
            connection.socket.shutdown(socket.SHUT_WR)
            assert connection.is_closed_by_server()


class TestOtherPaths:
    @pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/__lbheartbeat__", 405), ("/submit/x", 404)])
    def test_answer_arrives_although_nobody_reads_the_body(self, target: Target, path: str, status: int) -> None:
        request = report(PRODUCT, dump(bytes(5 * MIB))).replace(b"/submit", path.encode(), 1)

        assert target.submit(request).status == status
        target.new_log_records()  # the first crash on a wrong path is a warning in the log, as it should be

    def test_connection_serves_on_after_a_request_without_a_body(self, target: Target) -> None:
        with target.server.connect() as connection:
            connection.send(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n" + HONEST)
            assert connection.receive().status == 404
            target.collector.assert_saved(connection.receive())


class TestClientThatHangsUp:
    @pytest.mark.parametrize("name", ["crashpad-chromium-real", "firefox-real-main-crash", "fenix-like-native"])
    @pytest.mark.parametrize("reset", [False, True])
    def test_half_way(self, target: Target, name: str, reset: bool) -> None:
        request = load_capture(name).request
        with target.collector.keeps_nothing():
            for number in range(20):
                with target.server.connect() as connection:
                    connection.send(request[: len(request) * number // 20])
                    if reset:
                        connection.close_with_a_reset()

    def test_before_the_answer(self, target: Target) -> None:
        for _ in range(20):
            with target.server.connect() as connection:
                connection.send(HONEST)
                connection.close_with_a_reset()

    def test_after_connecting(self, target: Target) -> None:
        for _ in range(100):
            with target.server.connect():
                pass


def test_answer_has_no_word_of_the_client(target: Target) -> None:
    answers: list[RawResponse] = [
        target.submit(b"GET /<script> HTTP/1.1\r\nHost: x\r\n\r\n"),
        target.submit(b"<script>\r\n\r\n"),
        target.submit(with_head(b"Content-Encoding: <script>")),
        target.submit(report(PRODUCT, dump(b"", "<script>raw_crash"))),
    ]

    assert not [answer for answer in answers if "script" in answer.text]


def test_client_that_sends_all_at_once_lets_others_in(target: Target) -> None:
    request = report(extra(b'{"a":[' + b"[]," * 80_000 + b"[]]}"))
    count = 24

    def send() -> set[int]:
        with target.server.connect() as connection, ThreadPoolExecutor(1) as sender:
            sender.submit(connection.send, request * count)
            return {connection.receive().status for _ in range(count)}

    with ThreadPoolExecutor(1) as client:
        statuses = client.submit(send)
        waits = []
        while not statuses.done():
            start = time.monotonic()
            with target.server.connect() as connection:
                connection.send(b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: collector\r\n\r\n")
                assert connection.receive().status == 200
            waits.append(time.monotonic() - start)

    assert statuses.result() == {413}
    assert len(waits) > 10
    assert max(waits) < sum(waits) / 4
