# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The bytes of a dump, in memory or in a file. They are read at offsets, and never beyond the end."""

import os
import stat
from struct import Struct
from typing import Any, Protocol

# Bytes of strings, lists and texts that are read from one dump at most. Real dumps have a few hundred kilobytes, dumps
# of a whole process some megabytes. This bounds the work for a hostile dump, in which many structures share the same
# bytes.
READING_BUDGET = 32 * 1024 * 1024
# Most messages about damage that are kept.
MAX_DAMAGE = 50

_UINT32 = Struct("<I")


class MinidumpError(Exception):
    """The file is not a minidump, or the part that was asked for is damaged. The message says what is wrong."""


class Source(Protocol):
    """The bytes of a dump."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes at ``offset``. At the end there may be fewer."""

    def close(self) -> None:
        """Release what the source holds open."""


class BytesSource:
    """A dump in memory. It is not copied."""

    def __init__(self, content: bytes | bytearray | memoryview) -> None:
        self._view = memoryview(content).cast("B")
        self.size = self._view.nbytes

    def read_at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes at ``offset``. At the end there may be fewer."""
        return bytes(self._view[offset : offset + size])

    def close(self) -> None:
        """Do nothing: the bytes belong to the caller."""


class FileSource:
    """A dump in a file. Only the parts that are asked for are read, so a large dump takes little memory.

    It uses ``pread`` and not a mapping, since a read from a mapped file that somebody truncates would kill the process.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file. Raises ``MinidumpError`` if there is no such file, or it cannot be read."""
        try:
            # Without O_NONBLOCK, opening a FIFO would wait for a writer.
            self._descriptor: int | None = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise MinidumpError(f"cannot be opened: {error}") from error
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise MinidumpError("not a regular file")
        self.size = status.st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes at ``offset``. At the end there may be fewer."""
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

    If a structure lies outside of the file, ``MinidumpError`` is raised, which names the structure. ``note`` collects
    damage that leaves the rest of the dump readable.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.size = source.size
        self.damage: list[str] = []
        self._budget = READING_BUDGET

    def note(self, message: str) -> None:
        """Record damage. The same message is recorded only once."""
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
        """Return bytes that follow their own length, which has four bytes. At most ``largest`` bytes are returned."""
        (size,) = self.unpack(_UINT32, offset, what)
        if size > largest:
            self.note(f"{what} is {size:,} bytes long; the first {largest:,} are shown")
        return self.read(offset + 4, min(size, largest), what)

    def utf16(self, offset: int, what: str, *, largest: int = 65_536) -> str:
        """Return a ``MINIDUMP_STRING``: its length in bytes, then UTF-16. Half a surrogate pair becomes U+FFFD."""
        return self.counted(offset, what, largest=largest).decode("utf-16-le", "replace").rstrip("\0")

    def utf8(self, offset: int, what: str, *, largest: int = 65_536) -> str:
        """Return a string of Crashpad: its length in bytes, then UTF-8."""
        return self.counted(offset, what, largest=largest).decode("utf-8", "replace").rstrip("\0")


def until_nul(content: bytes) -> bytes:
    """Return the bytes before the first NUL."""
    return content.partition(b"\0")[0]


def fixed_utf16(content: bytes) -> str:
    """Return the text of a field with a fixed number of UTF-16 units. The text ends at the first NUL unit."""
    return content.decode("utf-16-le", "replace").partition("\0")[0]
