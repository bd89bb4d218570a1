# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Counts the crashes that are kept, so that no product has more than its share of them in a minute.

The counts are in the file that all workers share: the quota is one of the whole instance. There is a count for each
second of the last minute, so that at most the quota is kept in any minute, not only in those of the clock. A product
has a place of its own if the rules list it; all others share one. So nothing grows with the names that clients send.
"""

import hashlib
import mmap
import struct
import time
from collections.abc import Callable
from contextlib import nullcontext

from antenna.shared_file import locked
from antenna.throttler.policy import Policy
from antenna.throttler.unlisted import START as UNLISTED_START

WINDOW_SECONDS = 60

# A place has the hash of its product, and then a ring: for each second, modulo its size, which second it is of, and the
# count of that second.
_RING = 64
_KEY = struct.Struct("!8s")
_COUNTS = struct.Struct(f"!{2 * _RING}I")
_ONE_COUNT = struct.Struct("!2I")
_PLACE_SIZE = _KEY.size + _COUNTS.size

SIZE = UNLISTED_START
"""Bytes at the start of the shared file that are for quotas."""

_PLACES = SIZE // _PLACE_SIZE
# Places that a product may have: more than one, since others may have the same.
_ATTEMPTS = 64
_FREE = bytes(_KEY.size)


class Quotas:
    """The counts, in the shared file or, if there is none, in this process."""

    def __init__(self, shared_file: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        """``shared_file`` is a descriptor of ``antenna.shared_file``; ``clock`` is the same in all processes."""
        self._file = shared_file
        self._memory = mmap.mmap(-1 if shared_file is None else shared_file, SIZE)
        self._clock = clock

    def allows(self, policy: Policy, product: str) -> bool:
        """Whether one more crash of this product may be kept; it is counted if so."""
        quota = policy.quota
        if quota is None:
            return True
        is_listed = product in policy.products
        limit = quota.by_product.get(product, quota.per_minute) if is_listed else quota.per_minute
        key = _hash(f"listed {product}" if is_listed else "others")
        with nullcontext() if self._file is None else locked(self._file, 0, SIZE):
            return self._count(key, limit, int(self._clock()))

    def _count(self, key: bytes, limit: int, second: int) -> bool:
        place = self._find(key, second)
        counts = _COUNTS.unpack_from(self._memory, place + _KEY.size)
        recent = zip(counts[::2], counts[1::2], strict=True)
        if sum(count for of, count in recent if 0 <= second - of <= WINDOW_SECONDS) >= limit:
            return False
        of, count = counts[2 * (second % _RING)], counts[2 * (second % _RING) + 1]
        new_count = count + 1 if of == second else 1
        _ONE_COUNT.pack_into(self._memory, place + _KEY.size + _ONE_COUNT.size * (second % _RING), second, new_count)
        return True

    def _find(self, key: bytes, second: int) -> int:
        """Return where the place of a product begins: its own, or one that is free or has not counted for a minute."""
        first = int.from_bytes(key)
        places = [(first + attempt) % _PLACES * _PLACE_SIZE for attempt in range(_ATTEMPTS)]
        for place in places:
            (found,) = _KEY.unpack_from(self._memory, place)
            if found == key:
                return place
            if found == _FREE:
                break
        for place in places:
            if self._is_idle(place, second):
                self._memory[place : place + _PLACE_SIZE] = key + bytes(_COUNTS.size)
                return place
        return places[0]  # two products share their counts

    def _is_idle(self, place: int, second: int) -> bool:
        if self._memory[place : place + _KEY.size] == _FREE:
            return True
        seconds = _COUNTS.unpack_from(self._memory, place + _KEY.size)[::2]
        return not any(0 <= second - of <= WINDOW_SECONDS for of in seconds)


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_KEY.size).digest()
