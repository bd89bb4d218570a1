# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Inflates a whole gzip member in one call, in three quarters of the time that isal takes for it in pieces."""

import ctypes
import threading
from typing import Any, Self

from antenna.files import PIECE_SIZE

try:
    import deflate
except ImportError:  # no wheel for this platform
    _package: Any = None
else:
    _package = deflate

_SUCCESS = 0  # enum libdeflate_result, as are the failures, which are all alike here


class Libdeflate:
    """The library libdeflate, which the package ``deflate`` carries.

    The package's own function does not tell where a member ends, so that a second one would be lost without a word. The
    library's does. Threads may share one.
    """

    def __init__(self, library: ctypes.PyDLL, capacity: int) -> None:
        """``capacity`` is the size of the largest content, in bytes. Raises ``MemoryError``."""
        self._inflate = library.libdeflate_gzip_decompress_ex
        self._inflate.restype = ctypes.c_int
        self._inflate.argtypes = [
            *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t),
            *(ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)),
        ]
        allocate = library.libdeflate_alloc_decompressor
        allocate.restype = ctypes.c_void_p
        # Both are kept and used again: new pages cost as much as a third of the inflating.
        self._inflater = allocate()
        if not self._inflater:
            raise MemoryError
        self._output = (ctypes.c_char * capacity)()
        self._content = memoryview(self._output)
        self._in_use = threading.Lock()
        self.capacity = capacity

    @classmethod
    def load(cls, capacity: int) -> Self | None:
        """Return it, or None where there is no package, or one that does not show the library's functions."""
        if _package is None:
            return None
        try:
            # Not CDLL, which lets go of the interpreter: in this process there is seldom anybody to take it.
            return cls(ctypes.PyDLL(_package._deflate.__file__), capacity)  # noqa: SLF001 - see the class
        except (OSError, AttributeError, MemoryError):
            return None

    def inflate(self, data: bytes) -> tuple[list[bytes], int] | None:
        """Return the content of the member that ``data`` begins with, in pieces, and the size of the member.

        None if the member is damaged or cut off, or its content over the capacity. Nothing else goes on meanwhile: the
        sizes of both bound for how long.
        """
        used, size = ctypes.c_size_t(), ctypes.c_size_t()
        with self._in_use:
            result = self._inflate(self._inflater, data, len(data), self._output, self.capacity, used, size)
            if result != _SUCCESS:
                return None
            content = self._content[: size.value]
            # Larger blocks of memory would come from the system each time, page by page, and go back there.
            pieces = [bytes(content[start : start + PIECE_SIZE]) for start in range(0, size.value, PIECE_SIZE)]
        return pieces, used.value
