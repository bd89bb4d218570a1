# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads streams with a few facts each: the process, the thread that asked for the dump, assertions, comments."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from struct import Struct

from antenna.minidump.source import Reader, fixed_utf16, until_nul
from antenna.minidump.streams import Location

# MINIDUMP_MISC_INFO and its later versions, each of which is longer than the one before. The flags say which fields are
# set.
_MISC_INFO = Struct("<IIIIII")
_INTEGRITY = Struct("<20xI")
_BUILD_STRING_OFFSET = 232
_BUILD_STRING_SIZE = 520
_PROCESS_ID, _PROCESS_TIMES, _PROCESS_INTEGRITY, _BUILD_STRING = 0x1, 0x2, 0x10, 0x100

_BREAKPAD_INFO = Struct("<III")
_DUMP_THREAD, _REQUESTING_THREAD = 0x1, 0x2

_ASSERTION_TEXT = 256
_ASSERTION = Struct(f"<{_ASSERTION_TEXT}s{_ASSERTION_TEXT}s{_ASSERTION_TEXT}sII")
# MDAssertionInfoData
_ASSERTION_TYPES = {1: "invalid parameter passed to library function", 2: "pure virtual function called"}

# Bytes of a comment that are read at most.
_LONGEST_COMMENT = 65_536


@dataclass(frozen=True, slots=True)
class MiscInfo:
    """Facts about the process."""

    process_id: int | None = None
    started: datetime | None = None
    user_time: timedelta | None = None
    """CPU time of the process in user mode, in whole seconds."""
    kernel_time: timedelta | None = None
    integrity_level: int | None = None
    """The integrity level on Windows: 0x1000 is low, 0x2000 medium, 0x3000 high."""
    build: str = ""
    """The system's name of its build, such as ``22G74; xnu-8796...``."""


def read_misc_info(reader: Reader, location: Location) -> MiscInfo:
    """Read the misc info stream, of any version."""
    _, flags, process_id, started, user, kernel = reader.unpack(_MISC_INFO, location.offset, "the misc info")
    has_times = bool(flags & _PROCESS_TIMES)
    integrity = None
    after = location.offset + _MISC_INFO.size
    if flags & _PROCESS_INTEGRITY and location.size >= _MISC_INFO.size + _INTEGRITY.size:
        (integrity,) = reader.unpack(_INTEGRITY, after, "the misc info")
    build = ""
    if flags & _BUILD_STRING and location.size >= _BUILD_STRING_OFFSET + _BUILD_STRING_SIZE:
        build = fixed_utf16(reader.read(location.offset + _BUILD_STRING_OFFSET, _BUILD_STRING_SIZE, "the misc info"))
    return MiscInfo(
        process_id=process_id if flags & _PROCESS_ID else None,
        started=datetime.fromtimestamp(started, UTC) if has_times and started else None,
        user_time=timedelta(seconds=user) if has_times else None,
        kernel_time=timedelta(seconds=kernel) if has_times else None,
        integrity_level=integrity,
        build=build,
    )


@dataclass(frozen=True, slots=True)
class BreakpadInfo:
    """The threads that wrote the dump and asked for it, if Breakpad names them."""

    dump_thread_id: int | None
    requesting_thread_id: int | None


def read_breakpad_info(reader: Reader, location: Location) -> BreakpadInfo:
    """Read the Breakpad info stream."""
    validity, dump_thread, requesting = reader.unpack(_BREAKPAD_INFO, location.offset, "the breakpad info")
    return BreakpadInfo(
        dump_thread if validity & _DUMP_THREAD else None,
        requesting if validity & _REQUESTING_THREAD else None,
    )


def read_assertion(reader: Reader, location: Location) -> str:
    """Return the content of the assertion stream in one line. It is "" if the stream is empty."""
    expression, function, file, line, kind = reader.unpack(_ASSERTION, location.offset, "the assertion")
    parts = [_ASSERTION_TYPES.get(kind, ""), fixed_utf16(expression)]
    for word, text in (("in function", fixed_utf16(function)), ("in file", fixed_utf16(file))):
        parts.append(f"{word} {text}" if text else "")
    parts.append(f"at line {line}" if line else "")
    return " ".join(part for part in parts if part)


def read_comment_a(reader: Reader, location: Location) -> str:
    """Return the comment in bytes. No field states its encoding, so it is read as UTF-8."""
    content = reader.read(location.offset, min(location.size, _LONGEST_COMMENT), "the comment")
    return until_nul(content).decode("utf-8", "replace")


def read_comment_w(reader: Reader, location: Location) -> str:
    """Return the comment in UTF-16."""
    return fixed_utf16(reader.read(location.offset, min(location.size, _LONGEST_COMMENT), "the comment"))
