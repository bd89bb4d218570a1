# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the threads of a process: their registers, stacks and names."""

from dataclasses import dataclass
from struct import Struct

from antenna.minidump.contexts import read_context
from antenna.minidump.cpu import Registers
from antenna.minidump.lists import entries, headed_entries
from antenna.minidump.memory import Range, checked_range
from antenna.minidump.source import MinidumpError, Reader
from antenna.minidump.streams import Location, StreamType
from antenna.minidump.system_info import SystemInfo

# MINIDUMP_THREAD, MINIDUMP_THREAD_NAME and MINIDUMP_THREAD_INFO
_THREAD = Struct("<IIIIQQIIII")
_THREAD_NAME = Struct("<IQ")
_THREAD_INFO = Struct("<IIIIQQQQQQ")
# Most threads that are read. A browser has 100.
MAX_THREADS = 10_000


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread at the time when the dump was written."""

    index: int
    id: int
    name: str | None
    registers: Registers | None
    """The registers. None if the dump has none, or the CPU is not known."""
    stack: Range | None
    """The memory of its stack, if the dump has it."""
    start_address: int | None = None
    """The address where the thread began. Only Windows gives it."""
    teb: int = 0


def read_threads(
    reader: Reader, streams: dict[int, Location], location: Location, system: SystemInfo | None
) -> list[Thread]:
    """Read the thread list, and the names from other streams."""
    names = _read_names(reader, streams)
    starts = _read_start_addresses(reader, streams)
    threads: list[Thread] = []
    for entry in entries(reader, location, _THREAD, "thread list", most=MAX_THREADS):
        thread_id, _, _, _, teb, base, stack_size, stack_offset, context_size, context_offset = entry
        try:
            registers = read_context(reader, Location(context_offset, context_size), system, "a thread's context")
        except MinidumpError as error:
            reader.note(str(error))
            registers = None
        threads.append(
            Thread(
                index=len(threads),
                id=thread_id,
                name=names.get(thread_id),
                registers=registers,
                stack=checked_range(reader, base, stack_size, stack_offset),
                start_address=starts.get(thread_id),
                teb=teb,
            )
        )
    return threads


def _read_names(reader: Reader, streams: dict[int, Location]) -> dict[int, str]:
    """Read the thread names stream of Windows 10, Crashpad and rust-minidump."""
    location = streams.get(StreamType.THREAD_NAMES)
    names: dict[int, str] = {}
    if location is None:
        return names
    try:
        found = list(entries(reader, location, _THREAD_NAME, "thread names", most=MAX_THREADS))
    except MinidumpError as error:
        reader.note(str(error))
        return names
    for thread_id, offset in found:
        try:
            name = reader.utf16(offset, "a thread's name", largest=1024)
        except MinidumpError as error:  # the other threads have names all the same
            reader.note(str(error))
            continue
        if name:
            names[thread_id] = name
    return names


def _read_start_addresses(reader: Reader, streams: dict[int, Location]) -> dict[int, int]:
    location = streams.get(StreamType.THREAD_INFO_LIST)
    if location is None:
        return {}
    try:
        found = list(headed_entries(reader, location, _THREAD_INFO, "thread info list", most=MAX_THREADS))
    except MinidumpError as error:
        reader.note(str(error))
        return {}
    return {entry[0]: entry[8] for entry in found if entry[8]}
