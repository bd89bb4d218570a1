# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A query string may have any characters. The rest of a request line may not."""

import time
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import InvalidHeader, LimitRequestHeaders, ParseException
from gunicorn.http.unreader import IterUnreader

from antenna.limits import MAX_HEAD_SIZE
from antenna.server.request_line import AntennaRequest


def parse(line: bytes) -> AntennaRequest:
    return AntennaRequest(Config(), IterUnreader([line + b"\r\nHost: a\r\n\r\n"]), ("127.0.0.1", 1))


def config() -> Config:
    """Return a configuration of gunicorn with the collector's limits."""
    result = Config()
    for name, value in (("line", 0), ("fields", 0), ("field_size", MAX_HEAD_SIZE)):
        result.set(f"limit_request_{name}", value)
    return result


def parse_head(head: bytes, size: int) -> AntennaRequest:
    """Parse a head that comes in pieces of ``size``."""
    pieces = (head[start : start + size] for start in range(0, len(head), size))
    return AntennaRequest(config(), IterUnreader(pieces), ("127.0.0.1", 1))


@pytest.mark.parametrize(
    ("target", "query"),
    [
        (b"/submit", ""),
        (b"/submit?", ""),
        (b"/submit?a=b&c=%zz{}", "a=b&c=%zz{}"),
        (b"/submit?a=b c\t\x00\xff", "a=b%20c%09%00%FF"),
        (b"/submit?a?b HTTP/1.0", "a?b%20HTTP/1.0"),
        (b"/submit??", "?"),
        (b"http://host/submit?\xc3\xb6", "%C3%B6"),
    ],
)
def test_query(target: bytes, query: str) -> None:
    request = parse(b"POST " + target + b" HTTP/1.1")

    assert (request.method, request.path, request.query) == ("POST", "/submit", query)
    assert request.version == (1, 1)


@pytest.mark.parametrize(
    "line",
    [b"POST /sub mit HTTP/1.1", b"POST /s\xfcbmit?a HTTP/1.1", b"POST /submit?a", b"?", b"POST", b"POST ?a b HTTP/1.1"],
)
def test_anything_else_is_as_strict_as_ever(line: bytes) -> None:
    with pytest.raises(ParseException):
        parse(line)


@pytest.mark.parametrize("line", [b"?" * 8180, b"P /" + b"?" * 8000, b"P /?" + b" " * 8000, b"P /?" + b"? " * 4000])
def test_takes_no_time_whatever_is_in_it(line: bytes) -> None:
    start = time.thread_time()
    with pytest.raises(ParseException):
        parse(line)

    assert time.thread_time() - start < 0.05


class TestHead:
    HEADS = (
        b"POST /submit HTTP/1.1\r\n" + b"a:\r\n" * 8000 + b"b: ",
        b"POST /submit HTTP/1.1\r\na: ",
        b"POST /submit HTTP/1.1\r\na: b" + b"\r" * 1000 + b"x\r\nc:",
    )

    @pytest.mark.parametrize("size", [7, 8192, 65536])
    @pytest.mark.parametrize("head", HEADS[:2], ids=["headers", "header"])
    def test_of_any_size_up_to_the_bound(self, head: bytes, size: int) -> None:
        for whole in (2000, 10_000, MAX_HEAD_SIZE):
            if len(head) > whole:
                continue
            missing = whole - len(head) - len(b"\r\n\r\n")
            request = parse_head(head + b"x" * missing + b"\r\n\r\nbody and more", size)
            assert request.headers[-1][1] == "x" * missing
            assert request.unreader.read(4) == b"body"

    @pytest.mark.parametrize("size", [1, 1000, 65536])
    @pytest.mark.parametrize("head", HEADS[:2], ids=["headers", "header"])
    def test_over_the_bound(self, head: bytes, size: int) -> None:
        missing = MAX_HEAD_SIZE - len(head) - len(b"\r\n\r\n") + 1
        with pytest.raises(LimitRequestHeaders):
            parse_head(head + b"x" * missing + b"\r\n\r\nbody", size)

    def test_no_http_is_noticed_at_once(self) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"POST /submit HTTP/1.1\r\na: b\n"
            raise AssertionError("what has come is no HTTP")

        with pytest.raises(InvalidHeader):
            AntennaRequest(config(), IterUnreader(pieces()), ("127.0.0.1", 1))

    @pytest.mark.parametrize("head", HEADS, ids=["headers", "header", "line breaks"])
    def test_takes_little_time_byte_by_byte(self, head: bytes) -> None:
        head = head + b"x" * (MAX_HEAD_SIZE - len(head))
        begun = time.thread_time()
        with pytest.raises(ParseException):
            parse_head(head, 1)

        assert time.thread_time() - begun < 0.5
