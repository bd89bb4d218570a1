# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The content of an object while it is sent to the bucket."""

import base64
from collections.abc import Iterator

import google_crc32c

from antenna.crash import Dump
from antenna.ext.crashstorage_base import StoredObject
from antenna.files import PIECE_SIZE
from antenna.hub import Turn, pread


class Upload:
    """Reads the content of an object each time that it is sent, and knows its checksum afterwards."""

    def __init__(self, item: StoredObject) -> None:
        """``item`` is the object to send."""
        self._item = item
        #: Whether all of the content has been read. If it has, all of it may have arrived.
        self.is_read = False
        self._checksum: str | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield the content from its start."""
        yield from self._item.pieces(pread)
        self.is_read = True

    def checksum(self) -> str:
        """Return the CRC32C of the content in Base64, as Google writes it."""
        if self._checksum is None:
            self._checksum = base64.b64encode(self._crc32c()).decode("ascii")
        return self._checksum

    def _crc32c(self) -> bytes:
        turn = Turn()
        content = self._item.content
        if isinstance(content, Dump):
            if not self.is_read:  # reading all of a dump computes its checksum
                for _ in self.pieces():
                    turn.pass_on()
            return content.crc32c
        checksum = google_crc32c.Checksum()
        for start in range(0, len(content), PIECE_SIZE):
            checksum.update(content[start : start + PIECE_SIZE])
            turn.pass_on()
        digest: bytes = checksum.digest()
        return digest
