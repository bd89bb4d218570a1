# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The class ``Minidump``, which reads a dump and gives access to its parts."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import Self, TypeVar

from antenna.minidump import linux, mac_crash_info, memory, memory_map, misc, modules, threads
from antenna.minidump.crashpad import CrashpadInfo, read_crashpad_info
from antenna.minidump.exception import ExceptionRecord, read_exception
from antenna.minidump.reasons import Reason, describe
from antenna.minidump.source import BytesSource, FileSource, MinidumpError, Reader, Source
from antenna.minidump.streams import Location, StreamType, read_header, stream_name
from antenna.minidump.system_info import SystemInfo, read_system_info

T = TypeVar("T")
D = TypeVar("D")

# Streams that tell of a process. A file that has none of them only happens to begin like a dump, and is refused.
_TELLING = {
    StreamType.SYSTEM_INFO, StreamType.EXCEPTION, StreamType.THREAD_LIST, StreamType.MODULE_LIST,
    StreamType.CRASHPAD_INFO, StreamType.MISC_INFO,
}  # fmt: skip


class Minidump:
    """A minidump: what crashed, where, and the other facts about the process.

    The streams are read when the object is made, memory when it is asked for. So close the object when you are done, or
    use it as a context manager. A part that a dump lacks, or that is damaged, is None or empty, and ``damage`` says
    what is wrong. If nothing can be read, ``MinidumpError`` is raised. No other exception ever is.
    """

    def __init__(self, source: Source | bytes | bytearray | memoryview) -> None:
        if isinstance(source, bytes | bytearray | memoryview):
            source = BytesSource(source)
        self._reader = reader = Reader(source)
        self.header, self._streams = read_header(reader)
        self.system: SystemInfo | None = self._read(StreamType.SYSTEM_INFO, read_system_info, None)
        self.exception: ExceptionRecord | None = self._read(
            StreamType.EXCEPTION, lambda reader, location: read_exception(reader, location, self.system), None
        )
        self.threads: tuple[threads.Thread, ...] = tuple(
            self._read(
                StreamType.THREAD_LIST,
                lambda reader, location: threads.read_threads(reader, self._streams, location, self.system),
                [],
            )
        )
        self.modules = modules.Modules(
            self._read(
                StreamType.MODULE_LIST,
                lambda reader, location: modules.read_modules(reader, location, self.system),
                [],
            )
        )
        self.unloaded_modules: tuple[modules.UnloadedModule, ...] = tuple(
            self._read(StreamType.UNLOADED_MODULE_LIST, modules.read_unloaded_modules, [])
        )
        self._read_facts()
        if not self._streams.keys() & _TELLING:
            raise MinidumpError("damaged: no readable stream tells of a process")

    def _read_facts(self) -> None:
        self.misc: misc.MiscInfo = self._read(StreamType.MISC_INFO, misc.read_misc_info, misc.MiscInfo())
        self.breakpad_info: misc.BreakpadInfo | None = self._read(
            StreamType.BREAKPAD_INFO, misc.read_breakpad_info, None
        )
        self.crashpad: CrashpadInfo | None = self._read(StreamType.CRASHPAD_INFO, read_crashpad_info, None)
        self.assertion: str = self._read(StreamType.ASSERTION_INFO, misc.read_assertion, "")
        self.comments: tuple[str, ...] = tuple(
            filter(
                None,
                (
                    self._read(StreamType.COMMENT_A, misc.read_comment_a, ""),
                    self._read(StreamType.COMMENT_W, misc.read_comment_w, ""),
                ),
            )
        )
        self.mac_crash_info: tuple[mac_crash_info.MacCrashMessage, ...] = self._read(
            StreamType.MOZ_MACOS_CRASH_INFO, mac_crash_info.read_mac_crash_info, ()
        )

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a file. Raises ``MinidumpError`` if it is not a minidump, or cannot be read."""
        source = FileSource(path)
        try:
            return cls(source)
        except BaseException:
            source.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._reader.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, stream: StreamType, read: Callable[[Reader, Location], T], missing: D) -> T | D:
        """Read a stream with ``read``. If the dump has no such stream, or it is damaged, return ``missing``."""
        location = self._streams.get(stream)
        if location is None:
            return missing
        try:
            return read(self._reader, location)
        except MinidumpError as error:
            self._reader.note(str(error))
            return missing

    @property
    def damage(self) -> tuple[str, ...]:
        """The damage of the dump, as sentences for people. It is empty for a complete dump."""
        return tuple(self._reader.damage)

    @property
    def size(self) -> int:
        """Bytes of the dump."""
        return self._reader.size

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that the dump has."""
        return tuple(map(stream_name, self._streams))

    @property
    def time(self) -> datetime | None:
        """The time when the dump was written."""
        return self.header.time

    @property
    def uptime(self) -> timedelta | None:
        """The time that the process had run, or None if the dump does not give it."""
        if self.time is None or self.misc.started is None or self.time < self.misc.started:
            return None
        return self.time - self.misc.started

    @cached_property
    def reason(self) -> Reason | None:
        """Why the dump was written, or None if it has no exception."""
        return None if self.exception is None else describe(self.exception, self.system)

    @cached_property
    def crashing_thread(self) -> threads.Thread | None:
        """The thread of the exception. None if there is no exception, or the dump does not have the thread."""
        return None if self.exception is None else self._thread(self.exception.thread_id)

    @cached_property
    def requesting_thread(self) -> threads.Thread | None:
        """The thread that crashed. If there is no exception, the thread that asked for the dump."""
        if self.exception is not None:
            return self.crashing_thread
        if self.breakpad_info is None or self.breakpad_info.requesting_thread_id is None:
            return None
        return self._thread(self.breakpad_info.requesting_thread_id)

    def _thread(self, thread_id: int) -> threads.Thread | None:
        return next((thread for thread in self.threads if thread.id == thread_id), None)

    @cached_property
    def memory(self) -> memory.Memory:
        """The memory in the dump: the stacks, and the ranges in the lists of memory."""
        ranges = [thread.stack for thread in self.threads if thread.stack is not None]
        ranges += self._read(StreamType.MEMORY_LIST, memory.read_memory_list, [])
        ranges += self._read(StreamType.MEMORY_64_LIST, memory.read_memory_64_list, [])
        return memory.Memory(self._reader.source, ranges)

    @cached_property
    def memory_map(self) -> memory_map.MemoryMap:
        """The map of the address space. It is empty if the dump does not have it."""
        mappings = self._read(StreamType.MEMORY_INFO_LIST, memory_map.read_memory_info, None)
        if not mappings:
            mappings = tuple(memory_map.parse_maps(linux.read_maps(self._reader, self._streams)))
        return memory_map.MemoryMap(mappings)

    @cached_property
    def linux_files(self) -> linux.LinuxFiles:
        """Texts about the machine and the process that crash reporters on Linux add."""
        return linux.read_linux_files(self._reader, self._streams)

    @cached_property
    def protected(self) -> linux.ProtectedData:
        """The command line and the environment, which may have secrets of the program's user."""
        return linux.read_protected_data(self._reader, self._streams)
