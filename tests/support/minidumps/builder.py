# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Writes minidumps, stream by stream, also some that no reporter would write.

Methods that begin with ``put`` append bytes, and return the offset of these. The other methods add a stream. Values are
written as the caller passes them, so that counts and locations can be wrong.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import pack

CPUS = {"x86": 0, "mips": 1, "ppc": 3, "arm": 5, "amd64": 9, "arm64": 12, "sparc": 0x8001, "arm64-old": 0x8003}
SYSTEMS = {
    "Windows": 2, "macOS": 0x8101, "iOS": 0x8102, "Linux": 0x8201, "Solaris": 0x8202, "Android": 0x8203,
    "Fuchsia": 0x8206,
}  # fmt: skip
_HEADER_SIZE = 32
TIME = 1_790_000_000
"""The time that built dumps have, in September 2026, in seconds since the epoch."""


@dataclass(frozen=True)
class ThreadSpec:
    """A thread to write."""

    id: int
    context: bytes = b""
    stack_base: int = 0
    stack: bytes = b""
    name: str | None = None
    start_address: int = 0


@dataclass(frozen=True)
class ModuleSpec:
    """A module to write."""

    base: int
    size: int
    path: str
    code_view: bytes = b""
    time_stamp: int = 0x5F000000
    version: tuple[int, int, int, int] = (0, 0, 0, 0)
    """The four numbers of VS_FIXEDFILEINFO, each of 32 bits."""


def pdb_70(guid: str, age: int, name: str) -> bytes:
    """Return a CodeView record of Windows or macOS."""
    return b"RSDS" + uuid.UUID(guid).bytes_le + pack("<I", age) + name.encode() + b"\0"


def pdb_20(signature: int, age: int, name: str) -> bytes:
    """Return a CodeView record of old compilers."""
    return b"NB10" + pack("<III", 0, signature, age) + name.encode() + b"\0"


def elf_build_id(build_id: bytes) -> bytes:
    """Return Breakpad's record for ELF files."""
    return b"LEpB" + build_id


class DumpBuilder:
    """A minidump in the making."""

    def __init__(self, *, time: int = TIME, flags: int = 0, reserved: int = 24) -> None:
        """``reserved`` entries of the directory stand at the beginning, as reporters write them. Unused ones are 0."""
        self._time = time
        self._flags = flags
        self._reserved = reserved
        self._content = bytearray(_HEADER_SIZE + reserved * 12)
        self.directory: list[tuple[int, int, int]] = []
        """The number, the size and the offset of each stream."""

    def put(self, content: bytes) -> int:
        """Append bytes, aligned to 8."""
        self._content += bytes(-len(self._content) % 8)
        offset = len(self._content)
        self._content += content
        return offset

    def put_utf16(self, text: str) -> int:
        """Append a MINIDUMP_STRING."""
        encoded = text.encode("utf-16-le", "surrogatepass")
        return self.put(pack("<I", len(encoded)) + encoded + b"\0\0")

    def put_utf8(self, text: str) -> int:
        """Append a string of Crashpad."""
        encoded = text.encode()
        return self.put(pack("<I", len(encoded)) + encoded + b"\0")

    def stream(self, number: int, content: bytes, *, size: int | None = None) -> int:
        """Add a stream, with its true size or another."""
        offset = self.put(content)
        self.directory.append((number, len(content) if size is None else size, offset))
        return offset

    def build(self, *, signature: bytes = b"MDMP", version: int = 0xA793, count: int | None = None) -> bytes:
        """Return the dump."""
        entries = b"".join(pack("<III", *entry) for entry in self.directory)
        where = _HEADER_SIZE
        if len(self.directory) <= self._reserved:
            self._content[where : where + len(entries)] = entries
        else:
            where = self.put(entries)
        count = max(len(self.directory), self._reserved) if count is None else count
        header = signature + pack("<IIIIIQ", version, count, where, 0, self._time, self._flags)
        self._content[:_HEADER_SIZE] = header
        return bytes(self._content)

    def system(
        self,
        os: str,
        cpu: str,
        version: tuple[int, int, int] = (0, 0, 0),
        name: str = "",
        *,
        vendor: bytes = b"GenuineIntel",
    ) -> None:
        """Add the system info. ``os`` and ``cpu`` are names or numbers."""
        system = SYSTEMS[os] if os in SYSTEMS else int(os, 16)
        architecture = CPUS[cpu] if cpu in CPUS else int(cpu, 16)
        where = self.put_utf16(name) if name else 0
        fields = pack("<HHHBBIIIII", architecture, 6, 0x9E0A, 8, 1, *version, system, where)
        self.stream(7, fields + bytes(4) + vendor.ljust(24, b"\0"))

    def exception(
        self,
        thread_id: int,
        code: int,
        flags: int = 0,
        address: int = 0,
        parameters: Sequence[int] = (),
        *,
        context: bytes = b"",
        parameter_count: int | None = None,
    ) -> None:
        """Add the exception."""
        count = len(parameters) if parameter_count is None else parameter_count
        record = pack("<IIIIQQII", thread_id, 0, code, flags & 0xFFFFFFFF, 0, address, count, 0)
        padded = [*parameters, *[0] * (15 - len(parameters))]
        where = self.put(context) if context else 0
        self.stream(6, record + pack("<15Q", *padded) + pack("<II", len(context), where))

    def threads(self, threads: Iterable[ThreadSpec], *, count: int | None = None, padding: bool = False) -> None:
        """Add the thread list, and lists of the threads' names and start addresses if there are any."""
        threads = list(threads)
        entries = []
        for thread in threads:
            stack = self.put(thread.stack) if thread.stack else 0
            where = self.put(thread.context) if thread.context else 0
            entries.append(
                pack("<IIIIQQIIII", thread.id, 0, 0, 0, 0x7FFD0000, thread.stack_base, len(thread.stack), stack,
                     len(thread.context), where)
            )  # fmt: skip
        self.stream(3, _counted(entries, count, padding=padding))
        names = [pack("<IQ", thread.id, self.put_utf16(thread.name)) for thread in threads if thread.name is not None]
        if names:
            self.stream(24, _counted(names))
        starts = [
            pack("<IIIIQQQQQQ", thread.id, 0, 0, 259, 0, 0, 0, 0, thread.start_address, 1)
            for thread in threads
            if thread.start_address
        ]
        if starts:
            self.stream(17, pack("<III", 12, 64, len(starts)) + b"".join(starts))

    def modules(self, modules: Iterable[ModuleSpec], *, count: int | None = None) -> None:
        """Add the module list."""
        entries = []
        for module in modules:
            name = self.put_utf16(module.path)
            record = self.put(module.code_view) if module.code_view else 0
            signature = 0xFEEF04BD if any(module.version) else 0
            entries.append(
                pack("<QIIII", module.base, module.size, 0, module.time_stamp, name)
                + pack("<II4I28x", signature, 0x10000, *module.version)
                + pack("<II24x", len(module.code_view), record)
            )
        self.stream(4, _counted(entries, count))

    def unloaded_modules(self, modules: Iterable[ModuleSpec]) -> None:
        """Add the unloaded module list."""
        entries = [
            pack("<QIIII", module.base, module.size, 0, module.time_stamp, self.put_utf16(module.path))
            for module in modules
        ]
        self.stream(14, pack("<III", 12, 24, len(entries)) + b"".join(entries))

    def memory(self, ranges: Iterable[tuple[int, bytes]]) -> None:
        """Add the memory list, from pairs of an address and bytes."""
        self.stream(5, _counted([pack("<QII", base, len(content), self.put(content)) for base, content in ranges]))

    def memory_64(self, ranges: Sequence[tuple[int, bytes]]) -> None:
        """Add the memory list of a dump with full memory."""
        where = self.put(b"".join(content for _, content in ranges))
        entries = [pack("<QQ", base, len(content)) for base, content in ranges]
        self.stream(9, pack("<QQ", len(entries), where) + b"".join(entries))

    def memory_info(self, regions: Iterable[tuple[int, int, int, int]]) -> None:
        """Add the memory info list, from tuples of base, size, state and protection."""
        entries = [
            pack("<QQIIQIIII", base, base, protection, 0, size, state, protection, 0x20000, 0)
            for base, size, state, protection in regions
        ]
        self.stream(16, pack("<IIQ", 16, 48, len(entries)) + b"".join(entries))

    def misc(self, process_id: int, *, started: int = TIME - 90, version: int = 1, build: str = "") -> None:
        """Add the misc info of version 1 or 4."""
        flags = 0x3 if version == 1 else 0x113
        fields = pack("<IIIII", flags, process_id, started, 7, 2)
        if version > 1:
            fields += pack("<5II", 0, 0, 0, 0, 0, 0x2000)
            fields = fields.ljust(228, b"\0") + build.encode("utf-16-le").ljust(520, b"\0") + bytes(80)
        self.stream(15, pack("<I", len(fields) + 4) + fields)

    def breakpad_info(self, dump_thread: int, requesting_thread: int, *, validity: int = 3) -> None:
        """Add Breakpad's info."""
        self.stream(0x47670001, pack("<III", validity, dump_thread, requesting_thread))

    def assertion(self, expression: str, function: str, file: str, line: int, kind: int = 0) -> None:
        """Add an assertion."""
        texts = [text.encode("utf-16-le")[:256].ljust(256, b"\0") for text in (expression, function, file)]
        self.stream(0x47670002, b"".join(texts) + pack("<II", line, kind))

    def crashpad(self, annotations: dict[str, str], modules: Iterable[tuple[int, bytes]] = ()) -> None:
        """Add Crashpad's info: annotations of the process, and of modules what ``put_module_annotations`` returns."""
        links = [pack("<III", index, len(content), self.put(content)) for index, content in modules]
        listed = _counted(links)
        simple = self.put_dictionary(annotations)
        where = self.put(listed)
        ids = uuid.UUID(int=1).bytes_le + uuid.UUID(int=2).bytes_le
        self.stream(0x43500001, pack("<I", 1) + ids + pack("<IIII", *simple, len(listed), where))

    def put_dictionary(self, values: dict[str, str]) -> tuple[int, int]:
        """Append simple annotations. Return their size and offset."""
        entries = [pack("<II", self.put_utf8(name), self.put_utf8(value)) for name, value in values.items()]
        content = _counted(entries)
        return len(content), self.put(content)

    def module_annotations(
        self,
        *,
        lines: Iterable[str] = (),
        simple: dict[str, str] | None = None,
        objects: Iterable[tuple[str, int, bytes]] = (),
    ) -> bytes:
        """Return the structure of a module's annotations. An object is a name, a type and a value."""
        listed = _counted([pack("<I", self.put_utf8(line)) for line in lines])
        typed = _counted(
            [
                pack("<IHHI", self.put_utf8(name), kind, 0, self.put(pack("<I", len(value)) + value))
                for name, kind, value in objects
            ]
        )
        locations = (len(listed), self.put(listed), *self.put_dictionary(simple or {}), len(typed), self.put(typed))
        return pack("<I6I", 1, *locations)

    def mac_crash_info(self, records: Iterable[tuple[str, str]]) -> None:
        """Add macOS' messages, from pairs of a library's path and a message."""
        locations = []
        for path, message in records:
            fields = pack("<4Q", 0x4D7A0001, 5, 0, 0)
            content = fields + path.encode() + b"\0" + message.encode() + b"\0\0\0\0"
            locations.append((len(content), self.put(content)))
        rows = b"".join(pack("<II", *location) for location in locations)
        self.stream(0x4D7A0001, pack("<III", 0x4D7A0001, len(locations), 32) + rows.ljust(160, b"\0"))


def _counted(entries: Sequence[bytes], count: int | None = None, *, padding: bool = False) -> bytes:
    number = len(entries) if count is None else count
    return pack("<I", number) + (bytes(4) if padding else b"") + b"".join(entries)
