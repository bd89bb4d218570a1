# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Keeps the texts of the last good rules, so that workers that start later find them."""

import hashlib
import os
import struct

from antenna.shared_file import SIZE, locked
from antenna.throttler import unlisted
from antenna.throttler.sources import Texts, kept_texts

START = unlisted.START + unlisted.SIZE
"""Byte of the shared file at which the texts begin."""

_HEADER = struct.Struct("!Q32s")
_MAX_SIZE = SIZE - START - _HEADER.size


class LastGood:
    """The last good texts, in the file that all workers share.

    If there is no such file, they are kept in this process.
    """

    def __init__(self, shared_file: int | None) -> None:
        """``shared_file`` is a descriptor of ``antenna.shared_file``."""
        self._file = shared_file
        self._content = b""

    def keep(self, texts: Texts) -> None:
        """Keep these texts in place of the earlier ones. If they have more than some 7 MB, they are not kept."""
        content = texts.to_json()
        if content == self._read() or len(content) > _MAX_SIZE:
            return
        self._content = content
        if self._file is not None:
            header = _HEADER.pack(len(content), hashlib.sha256(content).digest())
            with locked(self._file, START, SIZE - START):
                os.pwrite(self._file, header + content, START)

    def texts(self) -> Texts | None:
        """Return the last good texts, or None if there are none."""
        return kept_texts(self._read())

    def _read(self) -> bytes:
        if self._file is None:
            return self._content
        with locked(self._file, START, SIZE - START):
            size, digest = _HEADER.unpack(os.pread(self._file, _HEADER.size, START))
            content = os.pread(self._file, min(size, _MAX_SIZE), START + _HEADER.size)
        return content if hashlib.sha256(content).digest() == digest else b""
