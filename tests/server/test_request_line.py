# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A query string may hold whatever it likes; the rest of a request line may not."""

import time

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.unreader import IterUnreader

from antenna.server.request_line import AntennaRequest


def parse(line: bytes) -> AntennaRequest:
    return AntennaRequest(Config(), IterUnreader([line + b"\r\nHost: a\r\n\r\n"]), ("127.0.0.1", 1))


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
