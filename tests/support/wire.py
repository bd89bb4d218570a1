# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The bytes that a client sends, without a client."""

import io
from collections.abc import Iterator


class Wire:
    """Stands in for a socket: gives what a client sent, piece by piece."""

    def __init__(self, data: bytes, sizes: Iterator[int]) -> None:
        """``sizes`` has how much there is at most at each read, for ever."""
        self._data = io.BytesIO(data)
        self._sizes = sizes

    def recv(self, size: int) -> bytes:
        """Receive, as ``socket.recv``."""
        return self._data.read(min(size, next(self._sizes)))

    def settimeout(self, seconds: float) -> None:
        """Do nothing: it never waits."""
