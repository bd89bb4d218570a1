# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Chunk framing is removed as RFC 9112 says, in whatever pieces it comes. Anything else is not accepted as framing."""

import pytest

from antenna.chunks import BadChunks, Chunks, TooMuchFraming
from tests.support.reports import chunked

MAX_HEAD_SIZE = 100
MAX_FRAMING_SIZE = 18_000


def chunks() -> Chunks:
    return Chunks(max_head_size=MAX_HEAD_SIZE, max_framing_size=MAX_FRAMING_SIZE)


def unframe(body: bytes, size: int) -> tuple[bytes, bytes]:
    """Return the content of ``body``, which comes in pieces of ``size``, and the bytes beyond its end."""
    framing = chunks()
    content = b""
    for start in range(0, len(body), size):
        piece, beyond = framing.feed(body[start : start + size])
        content += piece
        if framing.ended:
            return content, beyond + body[start + size :]
    raise EOFError


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
        (b"0\r\n\r\n", b""),
        (b"000\r\n\r\n", b""),
        (b"0005\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"b\r\nhello world\r\n0\r\n\r\n", b"hello world"),
        (b"B\r\nhello world\r\n0\r\n\r\n", b"hello world"),
        (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
        (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
        (b'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n', b"hello"),
        (b"5 ;a=b\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n0\r\nA: 1\r\nB: 2\r\n\r\n", b"hello"),
        (chunked(bytes(range(256)) * 10, 1), bytes(range(256)) * 10),
        (chunked(bytes(10_000), 9_999), bytes(10_000)),
    ],
)
def test_content(body: bytes, content: bytes) -> None:
    for size in (1, 3, 8192):
        assert unframe(body, size) == (content, b"")


@pytest.mark.parametrize("size", [1, 3, 8192])
def test_what_is_beyond_the_end(size: int) -> None:
    assert unframe(b"5\r\nhello\r\n0\r\nTrailer: 1\r\n\r\nGET / HTTP", size) == (b"hello", b"GET / HTTP")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"x\r\nhello\r\n", id="no size"),
        pytest.param(b"\r\nhello\r\n", id="empty size"),
        pytest.param(b"-5\r\nhello\r\n", id="negative"),
        pytest.param(b"+5\r\nhello\r\n", id="plus"),
        pytest.param(b"0x5\r\nhello\r\n", id="prefix"),
        pytest.param(b"5_0\r\nhello\r\n", id="underscore"),
        pytest.param(b"\xb2\r\nhello\r\n", id="digit that is none"),
        pytest.param(b" 5\r\nhello\r\n", id="space before"),
        pytest.param(b"5 \r\nhello\r\n", id="space after"),
        pytest.param(b"5\nhello", id="bare line feed after the size"),
        pytest.param(b"5;a\nhello", id="bare line feed after an extension"),
        pytest.param(b"5\r\nhello\n5", id="bare line feed after the chunk"),
        pytest.param(b"5;a\rb\r\nhello\r\n", id="half a line break in an extension"),
        pytest.param(b"5\r\nhello world\r\n", id="more than the size"),
        pytest.param(b"5\r\nhelloX\r\n0\r\n\r\n", id="no line break after it"),
        pytest.param(b"5\r\nhello\r\n5\nhello\r\n0\r\n\r\n", id="bare line feed"),
        pytest.param(b"11111111111111111\r\n", id="more digits than any size has"),
        pytest.param(b"5;" + b"x" * MAX_HEAD_SIZE, id="extension without an end"),
        pytest.param(b"0\r\n" + b"a: b\r\n" * 100, id="trailers without an end"),
    ],
)
def test_bad_framing(body: bytes) -> None:
    for size in (1, 65536):
        with pytest.raises(BadChunks) as raised:
            unframe(body, size)
        assert not isinstance(raised.value, TooMuchFraming)


@pytest.mark.parametrize("body", [b"5", b"5\r\n", b"5\r\nhe", b"5\r\nhello", b"5\r\nhello\r\n0\r\n", b"0\r\nA: 1"])
def test_goes_on_until_the_end(body: bytes) -> None:
    with pytest.raises(EOFError):
        unframe(body, 1)


def test_framing_is_bounded() -> None:
    body = b"1\r\nx\r\n" * 3500 + b"%b0\r\n\r\n"

    assert len(unframe(body % b"", 1000)[0]) == 3500
    with pytest.raises(TooMuchFraming):
        unframe(body % (b"1\r\nx\r\n" * 120), 1000)
