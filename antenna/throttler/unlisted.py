# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Logs which products and packages are rejected because they are on no list.

This is how operators notice a new product. Clients choose these names, so the names are escaped and cut, and only a few
are logged. The workers of an instance count together, in the file that they share.
"""

import hashlib
import logging
import os
import struct
import time
from collections.abc import Callable
from contextlib import nullcontext

from antenna.shared_file import locked

# Log queries of existing deployments look for these lines under this name.
logger = logging.getLogger("antenna.throttler")

MAX_NAME_LENGTH = 50
"""Characters of a name that are logged. Clients choose the names, so longer ones are cut."""

MAX_NAMES_PER_HOUR = 20
"""Number of different lines that an instance logs in an hour. Further reports are only counted."""

_HOUR_SECONDS = 3600.0

# The state: when the hour began, the number of reports that were not logged, the number of lines that were logged, and
# the hashes of these lines.
_HASH_SIZE = 8
_STATE = struct.Struct(f"!dQQ{MAX_NAMES_PER_HOUR * _HASH_SIZE}s")
START, SIZE = 1024 * 1024 - 4096, 4096
"""Offset and size, in bytes, of the state in the shared file."""


class UnlistedNames:
    """Logs each name at most once an hour."""

    def __init__(self, shared_file: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """``shared_file`` is a descriptor of ``antenna.shared_file``.

        ``clock`` returns seconds, the same in all processes.
        """
        self._file = shared_file
        self._clock = clock
        self._own_state = bytes(_STATE.size)
        # Lines that are known to be logged already, so that the shared file need not be read.
        self._logged: set[str] = set()
        self._logged_since = 0.0

    def product(self, name: str) -> None:
        """Record a crash of a product that is not listed."""
        self._log(f"ProductName rejected: {_shown(name)}")

    def packagename(self, product: str, name: str | None) -> None:
        """Record a crash of a listed product whose package is not listed.

        ``name`` is None if the crash names no package.
        """
        shown = "no Android_PackageName" if name is None else _shown(name)
        self._log(f"Android_PackageName rejected: {product[:MAX_NAME_LENGTH]} {shown}")

    def b2g(self) -> None:
        """Record a crash of B2G, which is answered as if it was accepted."""
        self._log("ProductName B2G: fake accept")

    def _log(self, line: str) -> None:
        now = self._clock()
        if line in self._logged and now - self._logged_since < _HOUR_SECONDS:
            return
        with nullcontext() if self._file is None else locked(self._file, START, SIZE):
            is_new, left_out, began = self._note(line, now)
        if began != self._logged_since:
            self._logged_since = began
            self._logged.clear()
        if left_out:
            logger.info("%d more reports of products or packages that are not listed", left_out)
        if is_new:
            logger.info("%s", line)
        if is_new or is_new is None:
            self._logged.add(line)

    def _note(self, line: str, now: float) -> tuple[bool | None, int, float]:
        """Record a line. Returns three things.

        The first is whether to log it, or None if it was logged before. The second is 0, or in a new hour the number of
        reports that were not logged in the hour before. The third is the time when this hour began.
        """
        began, not_logged, count, hashes = _STATE.unpack(self._read())
        left_out = 0
        if not began or now - began >= _HOUR_SECONDS:
            began, left_out, not_logged, count = now, not_logged, 0, 0
        digest = hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=_HASH_SIZE).digest()
        noted = [hashes[start : start + _HASH_SIZE] for start in range(0, count * _HASH_SIZE, _HASH_SIZE)]
        is_new: bool | None = None
        if digest not in noted:
            is_new = count < MAX_NAMES_PER_HOUR
            noted, not_logged = ([*noted, digest], not_logged) if is_new else (noted, not_logged + 1)
        self._write(_STATE.pack(began, not_logged, len(noted), b"".join(noted)))
        return is_new, left_out, began

    def _read(self) -> bytes:
        return self._own_state if self._file is None else os.pread(self._file, _STATE.size, START)

    def _write(self, state: bytes) -> None:
        self._own_state = state
        if self._file is not None:
            os.pwrite(self._file, state, START)


def _shown(name: str) -> str:
    return repr(name[:MAX_NAME_LENGTH])
