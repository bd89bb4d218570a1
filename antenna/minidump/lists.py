# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads lists of structures of a fixed size, which most streams are. Their counts are checked."""

from collections.abc import Iterator
from struct import Struct
from typing import Any

from antenna.minidump.source import MinidumpError, Reader
from antenna.minidump.streams import Location

_COUNT = Struct("<I")
_LIST_HEADER = Struct("<III")
_LIST_HEADER_64 = Struct("<IIQ")
# Largest structure in lists that give the size of a structure, in bytes. Today's have fewer than 100.
_LARGEST_STRUCTURE = 4096


def entries(reader: Reader, location: Location, layout: Struct, what: str, *, most: int) -> Iterator[tuple[Any, ...]]:
    """Yield the structures of a list that begins with its count (thread list, module list, memory list, ...).

    If the count is over ``most``, or if the stream has no room for so many, that is noted as damage, and the structures
    that exist are read.
    """
    (count,) = reader.unpack(_COUNT, location.offset, f"the {what}")
    start = 4
    # Some writers align the structures to 8 bytes, and leave 4 bytes free after the count.
    if location.size == 8 + count * layout.size:
        start = 8
    yield from _structures(reader, Location(location.offset + start, location.size - start), layout, count, what, most)


def headed_entries(
    reader: Reader, location: Location, layout: Struct, what: str, *, most: int, wide: bool = False
) -> Iterator[tuple[Any, ...]]:
    """Yield the structures of a list whose header gives the sizes of the header and of a structure.

    Later versions may have longer structures, whose end is skipped. ``wide`` says that the count has 8 bytes.
    """
    header_layout = _LIST_HEADER_64 if wide else _LIST_HEADER
    header, size, count = reader.unpack(header_layout, location.offset, f"the {what}")
    if header < header_layout.size or size < layout.size:
        raise MinidumpError(f"the {what} has structures of {size} bytes, and needs {layout.size}")
    if size > _LARGEST_STRUCTURE:
        raise MinidumpError(f"the {what} has structures of {size:,} bytes")
    padded = Struct(f"{layout.format}{size - layout.size}x")
    yield from _structures(
        reader, Location(location.offset + header, location.size - header), padded, count, what, most
    )


def _structures(
    reader: Reader, room: Location, layout: Struct, count: int, what: str, most: int
) -> Iterator[tuple[Any, ...]]:
    available = max(0, min(room.size, reader.size - room.offset)) // layout.size
    if count > available:
        reader.note(f"the {what} declares {count:,} entries, and has room for {available:,}")
    if min(count, available) > most:
        reader.note(f"the {what} has {count:,} entries; the first {most:,} are read")
    count = min(count, available, most)
    if count:
        yield from layout.iter_unpack(reader.read(room.offset, count * layout.size, f"the {what}"))
