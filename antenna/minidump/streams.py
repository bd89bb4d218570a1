# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the header of a dump and its directory of streams."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from struct import Struct, iter_unpack

from antenna.minidump.source import MinidumpError, Reader

_HEADER = Struct("<IIIIIIQ")
_DIRECTORY_ENTRY = Struct("<III")
_SIGNATURE = b"MDMP"
_VERSION = 0xA793
# Most streams that are read. Real dumps have fewer than 30.
MAX_STREAMS = 1000


class StreamType(IntEnum):
    """The numbers of streams: those of MINIDUMP_STREAM_TYPE in minidumpapiset.h, and additions of other projects.

    0x4767 is Breakpad ("Gg", minidump_format.h), 0x4350 Crashpad ("CP", minidump_extensions.h), 0x4d7a Mozilla ("Mz").
    """

    THREAD_LIST = 3
    MODULE_LIST = 4
    MEMORY_LIST = 5
    EXCEPTION = 6
    SYSTEM_INFO = 7
    MEMORY_64_LIST = 9
    COMMENT_A = 10
    COMMENT_W = 11
    UNLOADED_MODULE_LIST = 14
    MISC_INFO = 15
    MEMORY_INFO_LIST = 16
    THREAD_INFO_LIST = 17
    THREAD_NAMES = 24
    BREAKPAD_INFO = 0x47670001
    ASSERTION_INFO = 0x47670002
    LINUX_CPU_INFO = 0x47670003
    LINUX_PROC_STATUS = 0x47670004
    LINUX_LSB_RELEASE = 0x47670005
    LINUX_CMD_LINE = 0x47670006
    LINUX_ENVIRON = 0x47670007
    LINUX_MAPS = 0x47670009
    CRASHPAD_INFO = 0x43500001
    MOZ_MACOS_CRASH_INFO = 0x4D7A0001
    MOZ_MACOS_BOOT_ARGS = 0x4D7A0002
    MOZ_LINUX_LIMITS = 0x4D7A0003
    MOZ_SOFT_ERRORS = 0x4D7A0004

    @property
    def title(self) -> str:
        """The name in messages, such as ``thread list``."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Location:
    """The place of a part of the dump: MINIDUMP_LOCATION_DESCRIPTOR, or its form with 64 bits."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Header:
    """The facts in the header of a dump."""

    time: datetime | None
    """When the dump was written, or None if the header does not say it."""
    flags: int


def read_header(reader: Reader) -> tuple[Header, dict[int, Location]]:
    """Return the header, and the location of each stream that lies inside the file.

    If two streams have the same type, the first counts, as in Breakpad. Raises ``MinidumpError`` if the file is not a
    minidump, or none of its streams can be read.
    """
    _check_signature(reader)
    _, version, count, directory, _, seconds, flags = reader.unpack(_HEADER, 0, "the header")
    if version & 0xFFFF != _VERSION:
        raise MinidumpError(f"not a minidump: version {version & 0xFFFF:#x} in place of {_VERSION:#x}")
    header = Header(datetime.fromtimestamp(seconds, UTC) if seconds else None, flags)
    streams = _read_directory(reader, directory, count)
    if not streams:
        raise MinidumpError("damaged: no readable stream")
    return header, streams


def _check_signature(reader: Reader) -> None:
    if not reader.size:
        raise MinidumpError("empty")
    start = reader.read(0, min(reader.size, 4), "the header")
    if start == _SIGNATURE[::-1]:
        raise MinidumpError("a minidump of a big-endian machine, which this reader does not read")
    if start != _SIGNATURE:
        raise MinidumpError(f"not a minidump: begins with {start!r}")


def _read_directory(reader: Reader, offset: int, count: int) -> dict[int, Location]:
    if count > MAX_STREAMS:
        reader.note(f"the header declares {count:,} streams; the first {MAX_STREAMS:,} are read")
    available = max(0, reader.size - offset) // _DIRECTORY_ENTRY.size
    if count > available:
        reader.note(f"the directory of {count:,} streams does not fit into the file")
    count = min(count, available, MAX_STREAMS)
    content = reader.read(offset, count * _DIRECTORY_ENTRY.size, "the directory") if count else b""
    streams: dict[int, Location] = {}
    for number, size, start in iter_unpack(_DIRECTORY_ENTRY.format, content):
        # Some writers leave entries unused. Their type is 0, and the other fields may have any value.
        if number == 0:
            continue
        if start + size > reader.size:
            reader.note(f"stream {stream_name(number)} lies outside of the file")
        elif number in streams:
            reader.note(f"stream {stream_name(number)} is there more than once; the first counts")
        else:
            streams[number] = Location(start, size)
    return streams


def stream_name(number: int) -> str:
    """Return a stream's name in messages, such as ``thread list``. For an unknown stream, return its number."""
    try:
        return StreamType(number).title
    except ValueError:
        return f"{number:#x}"
