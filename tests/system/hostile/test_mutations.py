# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Requests of real clients, damaged at random. Each is answered, and no answer is an error of the collector."""

import random
import re
import socket

import pytest

from tests.support.captures import load_capture
from tests.support.watch import Target

NAMES = [
    "crashpad-chromium-real",
    "crashpad-gzip",
    "crashpad-nogzip",
    "curl-form",
    "fenix-like-native",
    "firefox-client-curl",
    "socorro-submitter-multipart-gzip",
]
TIMES = 50
ODD = [
    b"\r\n",
    b"\n",
    b"\0",
    b'"',
    b";",
    b"--",
    b":",
    b"=",
    b"\xff",
    b"0\r\n\r\n",
    b"9" * 20,
    b"\x1f\x8b",
    b"\r\n\r\n",
    b" " * 99,
]


def damaged(request: bytes, rng: random.Random) -> bytes:
    data = bytearray(request)
    head_size = request.index(b"\r\n\r\n") + 4
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        # The head and the first parts are small, and more interesting than a minidump.
        end = rng.choice([head_size, head_size + 1500, len(data)])
        position = rng.randrange(min(end, len(data)) or 1)
        match rng.randrange(5):
            case 0:
                data[position : position + 1] = rng.randbytes(1)
            case 1:
                data[position:position] = rng.choice(ODD)
            case 2:
                del data[position : position + rng.choice([1, 2, 10, 1000])]
            case 3:
                data[position:position] = data[position : position + rng.choice([2, 30, 500])]
            case 4:
                del data[max(position, 1) :]
    return bytes(data)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_captures(target: Target, name: str) -> None:
    request = load_capture(name).request
    rng = random.Random(name)
    for number in range(TIMES):
        sent = damaged(request, rng)
        statuses = exchange(target, sent)

        assert all(status in {100, 200, 400, 401, 404, 405, 408, 413} for status in statuses), (number, statuses)
    target.assert_logged_only("wrong_path")  # the path may be what was damaged


def exchange(target: Target, request: bytes) -> list[int]:
    """Send a request and half-close. Return the statuses of all answers."""
    received = b""
    with target.server.connect(timeout_seconds=10) as connection:
        connection.send(request)
        connection.socket.shutdown(socket.SHUT_WR)
        while data := connection.socket.recv(65536):
            received += data
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]
