# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the messages of macOS' own libraries that abort the process, from Mozilla's macOS crash info stream."""

from dataclasses import dataclass
from struct import Struct

from antenna.minidump.source import MinidumpError, Reader, until_nul
from antenna.minidump.streams import Location

# MINIDUMP_MAC_CRASH_INFO: stream type, number of records, offset of the strings in each. Room for 20 records follows.
_CRASH_INFO = Struct("<III")
_LOCATION = Struct("<II")
MAX_RECORDS = 20
_RECORD = Struct("<QQ")
# Version 4 of a record has these strings. The first version has none.
_FIRST_WITH_STRINGS = 4
_STRINGS = ("module_path", "message", "signature_string", "backtrace", "message2")
_LARGEST = 65_536


@dataclass(frozen=True, slots=True)
class MacCrashMessage:
    """The messages of one library."""

    module: str
    messages: tuple[str, ...]


def read_mac_crash_info(reader: Reader, location: Location) -> tuple[MacCrashMessage, ...]:
    """Read the records that have messages."""
    what = "the macOS crash info"
    _, count, strings_offset = reader.unpack(_CRASH_INFO, location.offset, what)
    if count > MAX_RECORDS:
        reader.note(f"{what} declares {count:,} records; it has room for {MAX_RECORDS}")
    found = []
    for index in range(min(count, MAX_RECORDS)):
        offset = location.offset + _CRASH_INFO.size + index * _LOCATION.size
        size, start = reader.unpack(_LOCATION, offset, what)
        try:
            record = reader.read(start, min(size, _LARGEST), what)
        except MinidumpError as error:
            reader.note(str(error))
            continue
        if message := _parse(record, strings_offset):
            found.append(message)
    return tuple(found)


def _parse(record: bytes, strings_offset: int) -> MacCrashMessage | None:
    if len(record) < _RECORD.size or _RECORD.unpack_from(record)[1] < _FIRST_WITH_STRINGS:
        return None
    rest, strings = record[strings_offset:], {}
    for name in _STRINGS:
        text, _, rest = rest.partition(b"\0")
        strings[name] = until_nul(text).decode("utf-8", "replace").strip()
    messages = tuple(strings[name] for name in _STRINGS[1:] if strings[name])
    return MacCrashMessage(strings["module_path"], messages) if messages else None
