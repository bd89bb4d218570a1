# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Bodies are split into parts as RFC 2046 says, in whatever pieces they come."""

import time
from dataclasses import dataclass, field

import pytest

from antenna.limits import MAX_ALL_PART_HEADERS_SIZE, MAX_PART_HEADERS
from antenna.payload.headers import parse_headers
from antenna.payload.multipart import MultipartParser
from antenna.refusal import Reason, Refusal

Part = tuple[dict[str, str], bytes]

# Sizes of the pieces in which bodies come. 0: in one piece.
SIZES = (1, 2, 3, 7, 0)


@dataclass
class Collected:
    """The parts that a parser found."""

    parts: list[tuple[dict[str, str], bytearray]] = field(default_factory=list)
    open: bool = False

    def part_begun(self, block: bytes) -> None:
        assert not self.open
        self.open = True
        self.parts.append((parse_headers(block), bytearray()))

    def part_data(self, piece: bytes) -> None:
        assert self.open
        self.parts[-1][1].extend(piece)

    def part_ended(self) -> None:
        assert self.open
        self.open = False


def split(body: bytes, boundary: bytes = b"B", *, size: int = 0, max_header_size: int = 300) -> list[Part]:
    """Return the parts of a body that comes in pieces of ``size`` bytes, or in one."""
    collected = Collected()
    parser = MultipartParser(boundary, collected, max_header_size=max_header_size)
    size = size or len(body) or 1
    for start in range(0, len(body), size):
        parser.feed(body[start : start + size])
    parser.close()
    assert not collected.open
    return [(headers, bytes(content)) for headers, content in collected.parts]


def assert_refused(body: bytes, reason: Reason) -> None:
    for size in (0, 1):
        with pytest.raises(Refusal) as raised:
            split(body, size=size)
        assert raised.value.reason is reason


@pytest.mark.parametrize(
    ("body", "contents"),
    [
        pytest.param(b"--B\r\n\r\none\r\n--B--\r\n", [b"one"], id="one part"),
        pytest.param(b"--B\r\n\r\none\r\n--B\r\n\r\ntwo\r\n--B--\r\n", [b"one", b"two"], id="two parts"),
        pytest.param(b"--B\r\n\r\n\r\n--B--\r\n", [b""], id="empty part"),
        pytest.param(b"--B--\r\n", [], id="no part"),
        pytest.param(b"preamble\r\n--B--\r\n", [], id="preamble and no part"),
        pytest.param(b" --B--\r\n--B\r\n\r\none\r\n--B--\r\n", [b"one"], id="closing boundary in the preamble"),
        pytest.param(b"--B\r\n\r\none\r\n--B--", [b"one"], id="nothing after the closing boundary"),
        pytest.param(b"--B\r\n\r\none\r\n--B--\n", [b"one"], id="half a line break after the closing boundary"),
        pytest.param(b"preamble\r\n--B\r\n\r\none\r\n--B--\r\n", [b"one"], id="preamble"),
        pytest.param(b"\r\n\r\n--B\r\n\r\none\r\n--B--\r\n", [b"one"], id="empty lines before"),
        pytest.param(b"--B\r\n\r\none\r\n--B--\r\nepilogue\r\n--B\r\n\r\ntwo\r\n", [b"one"], id="epilogue"),
        pytest.param(b"--B \t\r\n\r\none\r\n--B-- \r\n", [b"one"], id="padding"),
        pytest.param(b"--B" + b" " * 64 + b"\r\n\r\none\r\n--B--" + b" " * 64, [b"one"], id="most padding"),
        pytest.param(b"--B\r\n\r\n\r\n--Bx\r\n--B--\r\n", [b"\r\n--Bx"], id="line that begins like a boundary"),
        pytest.param(b"--B\r\n\r\n\r\n--B-\r\n--B--\r\n", [b"\r\n--B-"], id="boundary with one dash"),
        pytest.param(b"--B\r\n\r\n\r\n--B--x\r\n--B--\r\n", [b"\r\n--B--x"], id="closing boundary with more"),
        pytest.param(b"--B\r\n\r\n\r\n--B" + b" " * 65 + b"\r\n--B--", [b"\r\n--B" + b" " * 65], id="too much padding"),
        pytest.param(b"--B\r\n\r\n\n--B\r\n--B--\r\n", [b"\n--B"], id="boundary after half a line break"),
        pytest.param(b"--B\r\n\r\nx--B\r\n--B--\r\n", [b"x--B"], id="boundary at the end of a line"),
        pytest.param(b"--B\r\n\r\n\r\r\n\r\n--B--\r\n", [b"\r\r\n"], id="line breaks before the boundary"),
        pytest.param(b"--B\r\n\r\n\r\n-\r\n--\r\n--\r\n--B--", [b"\r\n-\r\n--\r\n--"], id="halves of the delimiter"),
        pytest.param(b"--B\r\n\r\n" + bytes(range(256)) + b"\r\n--B--", [bytes(range(256))], id="every byte"),
    ],
)
def test_content_is_what_is_between_the_boundaries(body: bytes, contents: list[bytes]) -> None:
    for size in SIZES:
        assert [content for _, content in split(body, size=size)] == contents


@pytest.mark.parametrize(
    ("body", "names_and_contents"),
    [
        pytest.param(b"--B\r\nN:a\r\n\r\n--B\r\nN:b\r\n\r\nx\r\n--B--", [("a", b""), ("b", b"x")], id="no line break"),
        pytest.param(b"--B\r\nN:a\r\n--B\r\nN:b\r\n\r\nx\r\n--B--", [("a", b""), ("b", b"x")], id="no empty line"),
        pytest.param(
            b"--B\r\nN:a\r\n\r\n\r\n--B\r\nN:b\r\n\r\nx\r\n--B--", [("a", b""), ("b", b"x")], id="as it should"
        ),
        pytest.param(b"--B\r\nN:a\r\n\r\n\r\n\r\n--B--", [("a", b"\r\n")], id="a line break as content"),
        pytest.param(b"--B\r\nN:a\r\n\r\n--B--\r\n", [("a", b"")], id="last, no line break"),
        pytest.param(b"--B\r\nN:a\r\n\r\n--B--", [("a", b"")], id="last, nothing after it"),
        pytest.param(b"--B\r\nN:a\r\n--B--", [("a", b"")], id="last, no empty line"),
        pytest.param(b"--B\r\nN:a\r\n\r\n" * 3 + b"--B--", [("a", b"")] * 3, id="several"),
        pytest.param(b"--B\r\nN:a\r\n" * 3 + b"--B--", [("a", b"")] * 3, id="several without an empty line"),
        pytest.param(b"--B\r\nN:a\r\n\r\n--B \t\r\nN:b\r\n\r\n--B--", [("a", b""), ("b", b"")], id="padding"),
        pytest.param(b"--B\r\n\r\n--B\r\nN:b\r\n\r\n--B--", [("", b""), ("b", b"")], id="no headers"),
        pytest.param(b"--B\r\n--B\r\nN:b\r\n\r\n--B--", [("", b""), ("b", b"")], id="nothing at all"),
        pytest.param(b"--B\r\nN:a\r\n\r\n--Bx\r\n--B--", [("a", b"--Bx")], id="content like a boundary"),
        pytest.param(
            b"--B\r\nN:a\r\n\r\n--B" + b" " * 65 + b"\r\n--B--", [("a", b"--B" + b" " * 65)], id="not padding"
        ),
        pytest.param(b"--B\r\nN:a\r\n--Bx\r\n\r\nx\r\n--B--", [("a", b"x")], id="header like a boundary"),
        pytest.param(b"--B\r\nN:a\r\n\r\n\n--B\r\n--B--", [("a", b"\n--B")], id="half a line break"),
        pytest.param(b"--B\r\nN:a\r\n\r\n\r--B\r\n--B--", [("a", b"\r--B")], id="the other half"),
    ],
)
def test_headers_followed_by_the_boundary(body: bytes, names_and_contents: list[tuple[str, bytes]]) -> None:
    for size in SIZES:
        parts = split(body, size=size)
        assert [(headers.get("n", ""), content) for headers, content in parts] == names_and_contents


@pytest.mark.parametrize(
    "before",
    [
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b" ",
        b"\t ",
        b"\0",
        b"-",
        b"--",
        b"--B",
        b"anything",
        b"\n",
        b"\r",
        b"\n\n",
        b"preamble\r\n\xef\xbb\xbf",
        b"preamble\n",
        b"a --B in it\r\n ",
        b"x" * 1000,
        b"--Bx" * 100,
    ],
)
def test_line_before_the_first_boundary_is_ignored(before: bytes) -> None:
    body = before + b"--B\r\n\r\none\r\n--B\r\n\r\ntwo\r\n--B--\r\n"

    for size in SIZES:
        assert split(body, size=size) == [({}, b"one"), ({}, b"two")]


def test_bytes_before_other_boundaries_are_content() -> None:
    assert split(b"--B\r\n\r\n\r\n --B\r\n--B--\r\n") == [({}, b"\r\n --B")]


@pytest.mark.parametrize(
    "boundary",
    [b"-", b"--", b"-" * 70, b"(.*)+?", b"[a-z]{3}|$", b"\\", b"a'b:c=d/e,f", b"\xe9\xff", b"a b", b"x" * 256],
)
def test_any_boundary(boundary: bytes) -> None:
    content = b"\r\n--" + boundary[:-1] + b"\r\n--" + boundary + b"x\r\n" + boundary
    body = b"--%b\r\n\r\n%b\r\n--%b--\r\n" % (boundary, content, boundary)

    for size in (1, 0):
        assert split(body, boundary, size=size) == [({}, content)]


@pytest.mark.parametrize("size", [1, 0])
def test_headers(size: int) -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="a"\r\nX-Other:1\r\n\r\n\r\n--B\r\n\r\n\r\n--B--'

    assert split(body, size=size) == [({"content-disposition": 'form-data; name="a"', "x-other": "1"}, b""), ({}, b"")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"B--\r\n",
        b"--C\r\n\r\none\r\n--C--\r\n",
        b"--B\r\n\r\none",
        b"--B\r\n\r\none\r\n",
        b"--B\r\n\r\none\r\n--B",
        b"--B\r\n\r\none\r\n--B-",
        b"--B\r\n\r\none\r\n--B\r\n",
        b"--B\r\nContent-Type: text/plain\r\n",
        b"--B\n\none\n--B--\n",
    ],
)
def test_without_the_closing_boundary(body: bytes) -> None:
    assert_refused(body, Reason.INVALID_PAYLOAD_STRUCTURE)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"X: " + b"x" * 300, id="one long header"),
        pytest.param(b"x" * 300, id="no end in sight"),
        pytest.param(b"a:b\r\n" * MAX_PART_HEADERS + b"a:b", id="many headers"),
    ],
)
def test_headers_of_a_part_that_are_too_large(headers: bytes) -> None:
    assert_refused(b"--B\r\n" + headers + b"\r\n\r\n\r\n--B--", Reason.TOO_LARGE)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 100])
def test_headers_of_a_part_that_are_as_large_as_they_may_be(size: int) -> None:
    headers = b"X: " + b"x" * (300 - len("\r\nX: "))

    assert len(split(b"--B\r\n" + headers + b"\r\n\r\n\r\n--B--", size=size)) == 1
    with pytest.raises(Refusal):
        split(b"--B\r\n" + headers + b"x\r\n\r\n\r\n--B--", size=size)


def test_headers_of_all_parts_that_are_too_large() -> None:
    size = 64 * 1024
    part = b"--B\r\nX: " + b"x" * (size - 5) + b"\r\n\r\n\r\n"
    most = MAX_ALL_PART_HEADERS_SIZE // size

    assert len(split(part * most + b"--B--", max_header_size=size)) == most
    with pytest.raises(Refusal) as raised:
        split(part * (most + 1) + b"--B--", max_header_size=size)
    assert raised.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("size", [0, 5])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"--B\r\n\r\n%b" + b"x" * 100 + b"\r\n--B--", id="content"),
        pytest.param(b"%b" + b"x" * 100 + b"\r\n--B\r\n\r\n\r\n--B--", id="preamble"),
    ],
)
def test_boundary_all_over(body: bytes, size: int) -> None:
    assert len(split(body % (b"\r\n--Bx" * 10_000), size=size)) == 1
    with pytest.raises(Refusal) as raised:
        split(body % (b"\r\n--Bx" * 10_001), size=size)
    assert raised.value.reason is Reason.INVALID_PAYLOAD_STRUCTURE


@pytest.mark.parametrize("size", [0, 5, 100])
def test_boundary_all_over_the_headers(size: int) -> None:
    part = b"--B\r\n" + b"--Bx\r\n" * 30 + b"A:1\r\n\r\n\r\n"

    assert split(part * 500 + b"--B--", size=size) == [({"a": "1"}, b"")] * 500


def test_boundary_lines_that_come_in_pieces_are_not_lines_like_boundaries() -> None:
    part = b"--B\r\n\r\nx\r\n"

    assert len(split(part * 10_001 + b"--B--", size=3)) == 10_001


def test_content_is_passed_on_while_it_comes() -> None:
    collected = Collected()
    parser = MultipartParser(b"B", collected, max_header_size=300)
    parser.feed(b"--B\r\n\r\n")
    for _ in range(100):
        parser.feed(b"x" * 1000)
    (_, content), *_ = collected.parts

    assert len(content) == 100_000


def test_boundaries_one_after_the_other_take_time_that_grows_with_their_number() -> None:
    parser = MultipartParser(b"B", Collected(), max_header_size=16 * 1024)
    before = time.process_time()
    parser.feed(b"--B\r\n" * 50_000)

    # Searching for the end of the headers in all that follows, each time, took 50 times as long.
    assert time.process_time() - before < 1.0
