# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Counts the crashes that are kept, so that no product gets more than its quota in a minute.

The counts are in the file that all workers share, so the quota holds for the whole instance. There is a count for each
second of the last minute, so the quota holds in every period of 60 seconds. Each product that the rules list has a
place of its own in the file. All other products share one, so the number of places does not grow with the names that
clients send.
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

# Seconds for which a report counts towards the quota of its product.
WINDOW_SECONDS = 60

# A place has the hash of its product, and a ring of counts. The count of a second is at the index of that second modulo
# the size of the ring, together with the second itself.
_RING = 64
_KEY = struct.Struct("!8s")
_COUNTS = struct.Struct(f"!{2 * _RING}I")
_ONE_COUNT = struct.Struct("!2I")
_PLACE_SIZE = _KEY.size + _COUNTS.size

SIZE = UNLISTED_START
"""Number of bytes at the start of the shared file that are used for quotas."""

_PLACES = SIZE // _PLACE_SIZE
# Number of places that are searched for a product, because its first place may belong to another product.
_ATTEMPTS = 64
_FREE = bytes(_KEY.size)


class Quotas:
    """The counts. They are in the shared file, or in this process if there is no such file."""

    def __init__(self, shared_file: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        """``shared_file`` is a descriptor of ``antenna.shared_file``. ``clock`` must be the same in all processes."""
        self._file = shared_file
        self._memory = mmap.mmap(-1 if shared_file is None else shared_file, SIZE)
        self._clock = clock

    def allows(self, policy: Policy, product: str) -> bool:
        """Whether one more crash of this product may be kept. If so, it is counted."""
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
        ring = list(zip(counts[::2], counts[1::2], strict=True))
        if sum(count for counted_in, count in ring if 0 <= second - counted_in <= WINDOW_SECONDS) >= limit:
            return False
        index = second % _RING
        counted_in, count = ring[index]
        new_count = count + 1 if counted_in == second else 1
        _ONE_COUNT.pack_into(self._memory, place + _KEY.size + _ONE_COUNT.size * index, second, new_count)
        return True

    def _find(self, key: bytes, second: int) -> int:
        """Return the offset of a product's place.

        If it has none, take a place that is free or has counted nothing for a minute.
        """
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
        return places[0]  # all places are in use, so two products share their counts

    def _is_idle(self, place: int, second: int) -> bool:
        if self._memory[place : place + _KEY.size] == _FREE:
            return True
        seconds = _COUNTS.unpack_from(self._memory, place + _KEY.size)[::2]
        return not any(0 <= second - counted_in <= WINDOW_SECONDS for counted_in in seconds)


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_KEY.size).digest()
