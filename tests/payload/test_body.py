# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A body may have a number of bytes and take a number of seconds, and no more."""

import io
import time
from typing import Any

import gevent
import pytest

from antenna.config import build_config
from antenna.limits import Limits
from antenna.payload.body import RequestBody
from antenna.refusal import Reason, Refusal
from antenna.server.framed_body import UnframedBody


def limits(**environ: str) -> Limits:
    return Limits(
        build_config({f"BREAKPAD_{name}": value for name, value in environ.items()}).with_namespace("breakpad")
    )


class Drip(io.RawIOBase):
    """A client that sends a byte every 20 ms."""

    def read(self, size: int = -1) -> bytes:
        gevent.sleep(0.02)
        return b"x"


class Broken(io.RawIOBase):
    """A client whose connection is reset."""

    def read(self, size: int = -1) -> bytes:
        raise ConnectionResetError


def request_body(stream: Any, declared_size: int = 0, **options: str) -> RequestBody:
    return RequestBody(UnframedBody(stream), declared_size, limits(**options))


def assert_refused(body: RequestBody, reason: Reason) -> None:
    with pytest.raises(Refusal) as raised:
        list(body.pieces())
    assert raised.value.reason is reason


def test_others_have_their_turn_whatever_becomes_of_the_pieces() -> None:
    class OneByOne(io.BytesIO):
        """A client that sends its whole body at once, in chunks of one byte."""

        def read(self, size: int | None = -1) -> bytes:
            return super().read(1)

    body = request_body(OneByOne(bytes(200_000)))
    reading = gevent.spawn(lambda: sum(len(piece) for piece in body.pieces()))
    turns = 0
    while not reading.ready():
        gevent.sleep(0.001)
        turns += 1

    assert reading.get() == 200_000
    assert turns > 5


@pytest.mark.parametrize("declared_size", [0, 200_000])
def test_pieces_and_size(declared_size: int) -> None:
    body = request_body(io.BytesIO(b"x" * 200_000), declared_size)
    pieces = list(body.pieces())

    assert b"".join(pieces) == b"x" * 200_000
    assert max(map(len, pieces)) <= 128 * 1024
    assert body.size == 200_000


def test_empty() -> None:
    assert_refused(request_body(io.BytesIO()), Reason.NO_CONTENT_LENGTH)


class TestSize:
    def test_just_that_large(self) -> None:
        body = request_body(io.BytesIO(bytes(1000)), 1000, MAX_PAYLOAD_SIZE="1000")

        assert b"".join(body.pieces()) == bytes(1000)

    def test_too_large(self) -> None:
        body = request_body(io.BytesIO(bytes(1001)), MAX_PAYLOAD_SIZE="1000")

        assert_refused(body, Reason.TOO_LARGE)

    def test_declared_too_large_is_refused_before_anything_is_read(self) -> None:
        stream = io.BytesIO(bytes(1001))
        assert_refused(request_body(stream, 1001, MAX_PAYLOAD_SIZE="1000"), Reason.TOO_LARGE)

        assert stream.tell() == 0

    def test_a_declared_length_of_4300_digits(self) -> None:
        assert_refused(request_body(io.BytesIO(), int("9" * 4300)), Reason.TOO_LARGE)


class TestTime:
    def test_client_that_drips(self) -> None:
        begun = time.monotonic()
        body = request_body(Drip(), BODY_TIMEOUT="200ms")

        assert_refused(body, Reason.TIMEOUT)
        assert 0.2 <= time.monotonic() - begun < 1
        assert body.size > 1

    def test_time_that_others_take_counts(self) -> None:
        body = request_body(io.BytesIO(bytes(1_000_000)), BODY_TIMEOUT="100ms")
        pieces = body.pieces()
        next(pieces)
        gevent.sleep(0.1)

        with pytest.raises(Refusal) as raised:
            next(pieces)
        assert raised.value.reason is Reason.TIMEOUT


def test_broken_connection() -> None:
    assert_refused(request_body(Broken()), Reason.INCOMPLETE_BODY)
