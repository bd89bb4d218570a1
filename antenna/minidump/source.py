# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Where the bytes of a dump are: in memory or in a file, read at offsets and never beyond the end."""

import os
import stat
from struct import Struct
from typing import Any, Protocol

# Bytes of strings, lists and texts that are read of one dump. Real dumps have a few hundred kilobytes of them, dumps of
# a whole process some megabytes. This bounds the work for a dump in which many structures point to the same bytes.
READING_BUDGET = 32 * 1024 * 1024
# Messages about damage that are kept.
MAX_DAMAGE = 50

_UINT32 = Struct("<I")


class MinidumpError(Exception):
    """The file is no minidump, or what was asked for is damaged. The message tells a person what is wrong."""


class Source(Protocol):
    """The bytes of a dump."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes at ``offset``, fewer at the end."""

    def close(self) -> None:
        """Give back what the source holds open."""


class BytesSource:
    """A dump in memory, which is not copied."""

    def __init__(self, content: bytes | bytearray | memoryview) -> None:
        self._view = memoryview(content).cast("B")
        self.size = self._view.nbytes

    def read_at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes at ``offset``, fewer at the end."""
        return bytes(self._view[offset : offset + size])

    def close(self) -> None:
        """Do nothing: the bytes belong to the caller."""


class FileSource:
    """A dump in a file. Only what is asked for is read, so that a large dump takes little memory.

    ``pread`` and no mapping: reading a mapped file that somebody truncates would kill the process.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raise ``MinidumpError`` if there is no such file, or it cannot be read."""
        try:
            # Opening a FIFO without a writer would wait for one.
            self._descriptor: int | None = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise MinidumpError(f"cannot be opened: {error}") from error
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise MinidumpError("not a regular file")
        self.size = status.st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes at ``offset``, fewer at the end."""
        if self._descriptor is None:
            raise MinidumpError("cannot be read: the file is closed")
        try:
            return os.pread(self._descriptor, size, offset)
        except (OSError, OverflowError) as error:
            raise MinidumpError(f"cannot be read: {error}") from error

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Reader:
    """Reads structures of a dump at their offsets.

    Whatever lies outside of the file is a ``MinidumpError`` that names the structure. ``note`` collects damage that
    leaves the rest of the dump readable.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.size = source.size
        self.damage: list[str] = []
        self._budget = READING_BUDGET

    def note(self, message: str) -> None:
        """Remember what is damaged, once."""
        if message not in self.damage and len(self.damage) < MAX_DAMAGE:
            self.damage.append(message)

    def read(self, offset: int, size: int, what: str) -> bytes:
        """Return exactly ``size`` bytes at ``offset``. ``what`` names them in the error."""
        if offset + size > self.size:
            raise MinidumpError(f"{what} lies outside of the file")
        self._budget -= size
        if self._budget < 0:
            raise MinidumpError(f"too much to read: over {READING_BUDGET >> 20} MiB of structures before {what}")
        content = self.source.read_at(offset, size)
        if len(content) != size:
            raise MinidumpError(f"{what} lies outside of the file")
        return content

    def unpack(self, layout: Struct, offset: int, what: str) -> tuple[Any, ...]:
        """Return the fields of the structure at ``offset``."""
        return layout.unpack(self.read(offset, layout.size, what))

    def counted(self, offset: int, what: str, *, largest: int) -> bytes:
        """Return the bytes that follow their length in four bytes; no more than ``largest`` of them."""
        (size,) = self.unpack(_UINT32, offset, what)
        if size > largest:
            self.note(f"{what} is {size:,} bytes long; the first {largest:,} are shown")
        return self.read(offset + 4, min(size, largest), what)

    def utf16(self, offset: int, what: str, *, largest: int = 65_536) -> str:
        """Return a ``MINIDUMP_STRING``: its length in bytes, then UTF-16. Half surrogates become U+FFFD."""
        return self.counted(offset, what, largest=largest).decode("utf-16-le", "replace").rstrip("\0")

    def utf8(self, offset: int, what: str, *, largest: int = 65_536) -> str:
        """Return a string of Crashpad: its length in bytes, then UTF-8."""
        return self.counted(offset, what, largest=largest).decode("utf-8", "replace").rstrip("\0")


def until_nul(content: bytes) -> bytes:
    """Return what stands before the first NUL."""
    return content.partition(b"\0")[0]


def fixed_utf16(content: bytes) -> str:
    """Return the text in a field of a fixed number of UTF-16 units, which ends at the first NUL unit."""
    return content.decode("utf-16-le", "replace").partition("\0")[0]
