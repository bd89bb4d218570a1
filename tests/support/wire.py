# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A connection without a client. It has the bytes that a client would send."""

import io
from collections.abc import Iterator


class Wire:
    """Stands in for a socket. It returns the bytes of a client piece by piece."""

    def __init__(self, data: bytes, sizes: Iterator[int]) -> None:
        """``sizes`` has the most bytes that each read returns. It has no end."""
        self._data = io.BytesIO(data)
        self._sizes = sizes

    def recv(self, size: int) -> bytes:
        """Return the next bytes, like ``socket.recv``."""
        return self._data.read(min(size, next(self._sizes)))

    def settimeout(self, seconds: float) -> None:
        """Do nothing, because reading never waits."""
