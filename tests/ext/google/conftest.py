# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Servers with certificates, and a check for descriptors that stay open."""

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from tests.support.certificates import make_certificate


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Iterator[None]:
    gevent.sleep(0)  # the hub opens descriptors when it begins
    before = count_descriptors()
    yield
    deadline = time.monotonic() + 5
    while count_descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.01)  # the peers' threads close theirs
    assert count_descriptors() <= before


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def make_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ssl.SSLContext]:
    """Function that returns the TLS context of a server, with a certificate for a name. Clients trust it."""

    def make(name: str) -> ssl.SSLContext:
        file = make_certificate(tmp_path, name)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    return make
