# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The modules of a process: its program and its libraries, including those that were unloaded before the crash."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from struct import Struct

from antenna.minidump.code_view import NO_DEBUG_INFO, DebugInfo, parse_code_view
from antenna.minidump.lists import entries, headed_entries
from antenna.minidump.source import MinidumpError, Reader
from antenna.minidump.streams import Location
from antenna.minidump.system_info import SystemInfo

# MINIDUMP_MODULE: base, size, checksum, time stamp, name; the start of VS_FIXEDFILEINFO; CodeView and debug records.
_MODULE = Struct("<QIIII6I28xII8x16x")
_UNLOADED_MODULE = Struct("<QIIII")
_FIXED_FILE_INFO = 0xFEEF04BD
# Most modules that are read. A browser has 200.
MAX_MODULES = 10_000
# Bytes of a name or a CodeView record that are read at most. Windows allows paths of 32,767 characters, but none is as
# long.
_LONGEST_NAME = 8192


@dataclass(frozen=True, slots=True)
class Module:
    """A program or a library that was loaded."""

    base: int
    size: int
    code_file: str
    """The path of the file, as written in the dump."""
    code_id: str
    """The identity of the file: time stamp and size on Windows, the build id of ELF files, the UUID of Mach-O."""
    debug_file: str
    """Name of the file with debug information, mostly with its path."""
    debug_id: str
    """The identity of the debug information, in Breakpad's form. It is empty if the dump does not give it."""
    version: str | None

    @property
    def name(self) -> str:
        """The name of the file, without its path."""
        return base_name(self.code_file)

    @property
    def end(self) -> int:
        """The first address after the module."""
        return self.base + self.size


@dataclass(frozen=True, slots=True)
class UnloadedModule:
    """A library that was unloaded. Its addresses may have been used for other memory since."""

    base: int
    size: int
    code_file: str
    code_id: str

    @property
    def name(self) -> str:
        """The name of the file, without its path."""
        return base_name(self.code_file)


class Modules:
    """All modules of a process, in the order of the dump. ``find`` looks them up by address."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self._modules = tuple(modules)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules)

    def __getitem__(self, index: int) -> Module:
        return self._modules[index]

    @cached_property
    def _spans(self) -> tuple[list[int], list[tuple[int, Module]]]:
        """Disjoint parts of the address space, sorted. If modules overlap, the one with the lower base wins."""
        starts, spans, end = [], [], 0
        for module in sorted(self._modules, key=lambda one: (one.base, -one.size)):
            if module.end > end and module.size:
                starts.append(max(end, module.base))
                spans.append((module.end, module))
                end = module.end
        return starts, spans

    def find(self, address: int) -> Module | None:
        """Return the module that an address lies in, or None."""
        starts, spans = self._spans
        index = bisect_right(starts, address) - 1
        if index < 0:
            return None
        end, module = spans[index]
        return module if address < end else None

    @cached_property
    def highest_address(self) -> int:
        """The first address after the last module."""
        return max((module.end for module in self._modules), default=0)


def base_name(path: str) -> str:
    """Return the last part of a path, of Windows or of another system."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path


def read_modules(reader: Reader, location: Location, system: SystemInfo | None) -> list[Module]:
    """Read the module list. If a part of a module is damaged, such as its name, that part is empty."""
    modules = []
    for entry in entries(reader, location, _MODULE, "module list", most=MAX_MODULES):
        base, size, _, time_stamp, name_offset, *version, record_size, record_offset = entry
        code_file = _read_name(reader, name_offset)
        debug = _read_debug_info(reader, Location(record_offset, record_size))
        modules.append(
            Module(
                base=base,
                size=size,
                code_file=code_file,
                code_id=debug.build_id or _code_id(system, time_stamp, size, debug),
                debug_file=debug.debug_file or (base_name(code_file) if debug.build_id else ""),
                debug_id=debug.debug_id,
                version=_version(system, *version),
            )
        )
    return modules


def read_unloaded_modules(reader: Reader, location: Location) -> list[UnloadedModule]:
    """Read the unloaded module list, which only Windows has."""
    found = headed_entries(reader, location, _UNLOADED_MODULE, "unloaded module list", most=MAX_MODULES)
    return [
        UnloadedModule(base, size, _read_name(reader, name_offset), f"{time_stamp:08X}{size:x}")
        for base, size, _, time_stamp, name_offset in found
    ]


def _read_name(reader: Reader, offset: int) -> str:
    try:
        return reader.utf16(offset, "a module's name", largest=_LONGEST_NAME)
    except MinidumpError as error:
        reader.note(str(error))
        return ""


def _read_debug_info(reader: Reader, location: Location) -> DebugInfo:
    if not location.size:
        return NO_DEBUG_INFO
    try:
        record = reader.read(location.offset, min(location.size, _LONGEST_NAME), "a module's CodeView record")
    except MinidumpError as error:
        reader.note(str(error))
        return NO_DEBUG_INFO
    return parse_code_view(record)


def _code_id(system: SystemInfo | None, time_stamp: int, size: int, debug: DebugInfo) -> str:
    if system is not None and system.os == "Windows":
        return f"{time_stamp:08X}{size:x}"
    return debug.guid


def _version(system: SystemInfo | None, signature: int, _struct: int, *numbers: int) -> str | None:
    """Return the version in VS_FIXEDFILEINFO.

    Breakpad's writers for ELF put one number into each of its four fields.
    """
    if signature != _FIXED_FILE_INFO or not any(numbers):
        return None
    if system is not None and (system.is_linux or system.os == "Fuchsia"):
        return ".".join(map(str, numbers))
    high, low = numbers[:2]
    return f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}"
