# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Requests of ``GoogleHttp`` to a ``Peer``, as tests send them."""

import os
import time
from collections.abc import Callable

import pytest
from google.auth.credentials import Credentials

from antenna.backend import BackendError, Deadline
from antenna.ext.google.http import GoogleHttp
from tests.support.peer import Peer, answer

OK = answer(b'{"name": "v1/dump/a"}')
RESULT = {"name": "v1/dump/a"}
LARGE = os.urandom(5_000_000)


def connect(peer: Peer, credentials: Credentials | None = None) -> GoogleHttp:
    return GoogleHttp(peer.url, credentials)


def post(client: GoogleHttp, content: bytes = b"MDMP", seconds: float = 5.0) -> dict[str, object]:
    pieces = [content[start : start + 256 * 1024] for start in range(0, len(content), 256 * 1024)]
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(content))}
    return client.post("/upload?name=a", lambda: iter(pieces), headers, Deadline(seconds))


def assert_fails(peer: Peer, match: str, content: bytes = b"MDMP", error: type[Exception] = BackendError) -> None:
    """Check that a request fails with one error after one attempt, and that its connection is not used again."""
    client = connect(peer)
    with pytest.raises(error, match=match):
        post(client, content)
    client.close()


def assert_ends_in_time(request: Callable[[float], object]) -> None:
    """Check that a request fails soon after its time is over. It gets that time in seconds."""
    started = time.monotonic()
    with pytest.raises(BackendError):
        request(0.1)
    # On a busy machine it may end late. Servers in these tests take 2.5 s or longer.
    assert 0.08 < time.monotonic() - started < 2
