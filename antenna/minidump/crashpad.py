# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads Crashpad's annotations, which the program gave its crash reporter, for the process and for each module.

Structures: minidump/minidump_extensions.h of Crashpad.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

from antenna.minidump.source import MinidumpError, Reader
from antenna.minidump.streams import Location

_INFO = Struct("<I16s16sIIII")
_COUNT = Struct("<I")
_PAIR = Struct("<II")
_OFFSET = Struct("<I")
_OBJECT = Struct("<IHHI")
_LINK = Struct("<III")
_MODULE_INFO = Struct("<IIIII")
_OBJECTS_LOCATION = Struct("<II")
# Most annotations that are read from a dump, for all modules together. Chromium writes fewer than a hundred.
MAX_ANNOTATIONS = 20_000
# Bytes of a value that are read at most. Crashpad's own limit is 20 KiB.
_LONGEST_VALUE = 65_536
_TYPE_STRING = 1


@dataclass(frozen=True, slots=True)
class ModuleAnnotations:
    """The annotations of one module."""

    module_index: int
    """Index of the module in the module list."""
    lines: tuple[str, ...] = ()
    """Annotations without a name. Most are messages of macOS' system libraries."""
    simple: dict[str, str] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)
    """Annotations with a type. A value that is not text is in hexadecimal, since only the program knows its meaning."""


@dataclass(frozen=True, slots=True)
class CrashpadInfo:
    """The content of the stream that Crashpad adds to each of its dumps."""

    report_id: str
    client_id: str
    annotations: dict[str, str]
    """The annotations of the process, such as ``prod`` and ``ver``."""
    modules: tuple[ModuleAnnotations, ...]


class _Annotations:
    """Reads annotations until there are too many. In a hostile dump, many lists may share the same bytes."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._left = MAX_ANNOTATIONS

    def entries(self, location: Location, layout: Struct, what: str) -> Iterator[tuple[Any, ...]]:
        """Yield the structures of a list that begins with its count."""
        if not location.size:
            return
        (count,) = self.reader.unpack(_COUNT, location.offset, what)
        room = max(0, min(location.size, self.reader.size - location.offset) - _COUNT.size) // layout.size
        if count > room:
            self.reader.note(f"{what}: {count:,} declared, room for {room:,}")
        taken = min(count, room)
        if taken > self._left:
            self.reader.note(f"over {MAX_ANNOTATIONS:,} annotations; the rest is left out")
            taken = self._left
        self._left -= taken
        if taken:
            yield from layout.iter_unpack(self.reader.read(location.offset + _COUNT.size, taken * layout.size, what))

    def text(self, offset: int) -> str:
        """Return a string, or "" if it is damaged."""
        try:
            return self.reader.utf8(offset, "an annotation", largest=_LONGEST_VALUE)
        except MinidumpError as error:
            self.reader.note(str(error))
            return ""

    def pairs(self, location: Location) -> dict[str, str]:
        """Return simple annotations, as a dict of names and values."""
        found = self.entries(location, _PAIR, "simple annotations")
        return {self.text(key): self.text(value) for key, value in found}

    def lines(self, location: Location) -> tuple[str, ...]:
        """Return a list of annotations without names."""
        return tuple(self.text(offset) for (offset,) in self.entries(location, _OFFSET, "list annotations"))

    def objects(self, location: Location) -> dict[str, str]:
        """Return annotation objects, which have a type, as a dict of names and values."""
        values: dict[str, str] = {}
        for name, kind, _, value in self.entries(location, _OBJECT, "annotation objects"):
            if kind == _TYPE_STRING:
                values[self.text(name)] = self.text(value)
            elif kind:
                values[self.text(name)] = self._hexadecimal(value)
        return values

    def _hexadecimal(self, offset: int) -> str:
        try:
            return self.reader.counted(offset, "an annotation", largest=256).hex()
        except MinidumpError as error:
            self.reader.note(str(error))
            return ""


def read_crashpad_info(reader: Reader, location: Location) -> CrashpadInfo:
    """Read the Crashpad info stream."""
    fields = reader.unpack(_INFO, location.offset, "the crashpad info")
    _, report, client, simple_size, simple_offset, modules_size, modules_offset = fields
    annotations = _Annotations(reader)
    return CrashpadInfo(
        report_id=str(uuid.UUID(bytes_le=report)),
        client_id=str(uuid.UUID(bytes_le=client)),
        annotations=annotations.pairs(Location(simple_offset, simple_size)),
        modules=tuple(_read_modules(annotations, Location(modules_offset, modules_size))),
    )


def _read_modules(annotations: _Annotations, location: Location) -> Iterator[ModuleAnnotations]:
    """Yield the annotations of the modules that have any."""
    reader = annotations.reader
    for index, size, offset in annotations.entries(location, _LINK, "module annotations"):
        try:
            module = _read_module(annotations, index, Location(offset, size))
        except MinidumpError as error:
            reader.note(str(error))
            continue
        if module.lines or module.simple or module.objects:
            yield module


def _read_module(annotations: _Annotations, index: int, location: Location) -> ModuleAnnotations:
    reader = annotations.reader
    fields = reader.unpack(_MODULE_INFO, location.offset, "a module's annotations")
    _, lines_size, lines_offset, simple_size, simple_offset = fields
    objects_size = objects_offset = 0
    if location.size >= _MODULE_INFO.size + _OBJECTS_LOCATION.size:
        # Older versions of Crashpad have no objects.
        objects = location.offset + _MODULE_INFO.size
        objects_size, objects_offset = reader.unpack(_OBJECTS_LOCATION, objects, "a module's annotations")
    return ModuleAnnotations(
        index,
        annotations.lines(Location(lines_offset, lines_size)),
        annotations.pairs(Location(simple_offset, simple_size)),
        annotations.objects(Location(objects_offset, objects_size)),
    )
