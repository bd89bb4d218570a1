# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The C library's allocator of memory."""

import contextlib
import ctypes
import os

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3

# Bytes. Pieces of reports are smaller than the first; a few reports are smaller than the second.
_MMAP_THRESHOLD = 1024 * 1024
_TRIM_THRESHOLD = 4 * 1024 * 1024
_TOP_PAD = 256 * 1024


def keep_freed_memory() -> None:
    """Have memory that one report has freed wait for the next one. To be called in the process that serves.

    By itself, glibc gives the memory of each report back to the system, or keeps it, as it happened to grow; the system
    clears each page before it gives it out again, which takes as long as a third of the work on a report. Other C
    libraries are left as they are, and so is glibc where the environment has settings for it.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    with contextlib.suppress(AttributeError, OSError):  # not glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
        mallopt(_M_TOP_PAD, _TOP_PAD)
