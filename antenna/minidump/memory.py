# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The memory of the process, as far as it is in the dump."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import Struct

from antenna.minidump.lists import entries
from antenna.minidump.source import Reader, Source
from antenna.minidump.streams import Location

_DESCRIPTOR = Struct("<QII")
_LIST_64 = Struct("<QQ")
_DESCRIPTOR_64 = Struct("<QQ")
# Most memory ranges that are read. A dump with all memory of a process has some thousands.
MAX_RANGES = 100_000
# Most bytes that one read of memory returns.
MAX_READ = 1024 * 1024

_WORDS = {4: Struct("<I"), 8: Struct("<Q")}


@dataclass(frozen=True, slots=True)
class Range:
    """Memory from the address ``base`` on. ``offset`` is where its bytes are in the dump."""

    base: int
    size: int
    offset: int

    @property
    def end(self) -> int:
        """The first address after the range."""
        return self.base + self.size


class Memory:
    """Looks up memory by address.

    The ranges of a dump overlap, since a stack is listed with its thread and with the memory. A hostile dump may have
    any number of overlapping ranges. They are sorted and made disjoint once, so that each lookup is a binary search.
    """

    def __init__(self, source: Source, ranges: Iterable[Range]) -> None:
        self._source = source
        self.ranges = tuple(_disjoint(ranges))
        self._bases = [each.base for each in self.ranges]

    def find(self, address: int) -> Range | None:
        """Return the range that an address lies in, or None."""
        index = bisect_right(self._bases, address) - 1
        if index < 0 or address >= self.ranges[index].end:
            return None
        return self.ranges[index]

    def read(self, address: int, size: int) -> bytes:
        """Return memory from an address on: at most ``size`` bytes, and only as many as the dump has without a gap."""
        pieces = []
        size = min(size, MAX_READ)
        while size > 0 and (found := self.find(address)) is not None:
            start = address - found.base
            piece = self._source.read_at(found.offset + start, min(size, found.size - start))
            if not piece:
                break
            pieces.append(piece)
            address += len(piece)
            size -= len(piece)
        return b"".join(pieces)

    def word(self, address: int, size: int) -> int | None:
        """Return the unsigned word of 4 or 8 bytes at an address, or None if the dump does not have it."""
        content = self.read(address, size)
        if len(content) != size:
            return None
        value: int = _WORDS[size].unpack(content)[0]
        return value

    def words(self, address: int, size: int, count: int) -> Iterator[int]:
        """Yield up to ``count`` words from an address on."""
        content = self.read(address, size * count)
        yield from (value for (value,) in _WORDS[size].iter_unpack(content[: len(content) // size * size]))


def _disjoint(ranges: Iterable[Range]) -> Iterator[Range]:
    """Yield the ranges in order, without the parts that an earlier range covers.

    If two have the same base, the longer wins.
    """
    end = 0
    for each in sorted(ranges, key=lambda one: (one.base, -one.size)):
        covered = max(0, end - each.base)
        if covered < each.size:
            yield Range(each.base + covered, each.size - covered, each.offset + covered)
            end = each.end


def read_memory_list(reader: Reader, location: Location) -> list[Range]:
    """Read the memory list. Ranges outside of the file are left out."""
    ranges = []
    for base, size, offset in entries(reader, location, _DESCRIPTOR, "memory list", most=MAX_RANGES):
        if checked := checked_range(reader, base, size, offset):
            ranges.append(checked)
    return ranges


def checked_range(reader: Reader, base: int, size: int, offset: int) -> Range | None:
    """Return a range whose bytes are in the file. If the file ends inside it, return the part that is in the file."""
    if not size:
        return None
    if offset + size > reader.size:
        reader.note("memory lies outside of the file")
        size = reader.size - offset
    return Range(base, size, offset) if size > 0 else None


def read_memory_64_list(reader: Reader, location: Location) -> list[Range]:
    """Read the list of a dump with full memory, whose ranges follow one another at the end of the file."""
    what = "the memory 64 list"
    count, offset = reader.unpack(_LIST_64, location.offset, what)
    available = max(0, location.size - _LIST_64.size) // _DESCRIPTOR_64.size
    if count > available:
        reader.note(f"{what} declares {count:,} entries, and has room for {available:,}")
    if min(count, available) > MAX_RANGES:
        reader.note(f"{what} has {count:,} entries; the first {MAX_RANGES:,} are read")
    count = min(count, available, MAX_RANGES)
    if not count:
        return []
    content = reader.read(location.offset + _LIST_64.size, count * _DESCRIPTOR_64.size, what)
    ranges = []
    for base, size in _DESCRIPTOR_64.iter_unpack(content):
        checked = checked_range(reader, base, size, offset)
        if checked is None or checked.size < size:
            if checked:
                ranges.append(checked)
            break
        ranges.append(checked)
        offset += size
    return ranges
