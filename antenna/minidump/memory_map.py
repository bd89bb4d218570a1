# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The map of the address space: which addresses were mapped, and whether they could be read, written or executed."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import Struct

from antenna.minidump.lists import headed_entries
from antenna.minidump.source import Reader
from antenna.minidump.streams import Location

# MINIDUMP_MEMORY_INFO
_MEMORY_INFO = Struct("<QQIIQIIII")
_FREE = 0x10000
# The mask of PAGE_* without the flags for guard pages and caching.
_PROTECTION_MASK = 0xFF
_READABLE = {0x02, 0x04, 0x08, 0x20, 0x40, 0x80}
_WRITABLE = {0x04, 0x08, 0x40, 0x80}
_EXECUTABLE = {0x10, 0x20, 0x40, 0x80}
# Most mappings that are read. A large program has some ten thousand.
MAX_MAPPINGS = 100_000


@dataclass(frozen=True, slots=True)
class Mapping:
    """A range of addresses that were mapped in the same way."""

    base: int
    size: int
    readable: bool
    writable: bool
    executable: bool
    name: str = ""
    """The file, or the kernel's name for it (``[stack]``). Only Linux gives one."""

    @property
    def end(self) -> int:
        """The first address after the mapping."""
        return self.base + self.size


class MemoryMap:
    """Looks up mappings by address."""

    def __init__(self, mappings: Iterable[Mapping]) -> None:
        self.mappings = tuple(sorted(mappings, key=lambda one: one.base))
        self._bases = [mapping.base for mapping in self.mappings]

    def find(self, address: int) -> Mapping | None:
        """Return the mapping of an address.

        Returns None if the address is not mapped, or the dump has no memory map.
        """
        index = bisect_right(self._bases, address) - 1
        if index < 0 or address >= self.mappings[index].end:
            return None
        return self.mappings[index]

    def may_execute(self, address: int) -> bool:
        """Whether there may be code at an address. It is False only if the dump says that there is none."""
        if not self.mappings:
            return True
        mapping = self.find(address)
        return mapping is None or mapping.executable


def read_memory_info(reader: Reader, location: Location) -> tuple[Mapping, ...]:
    """Read the memory info list."""
    return tuple(_memory_info(reader, location))


def _memory_info(reader: Reader, location: Location) -> Iterator[Mapping]:
    found = headed_entries(reader, location, _MEMORY_INFO, "memory info list", most=MAX_MAPPINGS, wide=True)
    for base, _, _, _, size, state, protection, _, _ in found:
        if state != _FREE and size:
            access = protection & _PROTECTION_MASK
            yield Mapping(base, size, access in _READABLE, access in _WRITABLE, access in _EXECUTABLE)


def parse_maps(text: str) -> Iterator[Mapping]:
    """Yield the mappings of /proc/PID/maps. Lines that are not mappings are left out."""
    for line in text.splitlines()[:MAX_MAPPINGS]:
        addresses, _, rest = line.partition(" ")
        start, _, end = addresses.partition("-")
        try:
            base, size = int(start, 16), int(end, 16) - int(start, 16)
        except ValueError:
            continue
        fields = rest.split(maxsplit=4)
        if size <= 0 or not fields:
            continue
        permissions = fields[0]
        name = fields[4] if len(fields) > 4 else ""  # noqa: PLR2004 - permissions, offset, device, inode, name
        yield Mapping(base, size, "r" in permissions, "w" in permissions, "x" in permissions, name)
