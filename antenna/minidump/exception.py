# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the exception stream, whose numbers say what happened to the process."""

from dataclasses import dataclass
from struct import Struct

from antenna.minidump.contexts import read_context
from antenna.minidump.cpu import Registers
from antenna.minidump.source import MinidumpError, Reader
from antenna.minidump.streams import Location
from antenna.minidump.system_info import SystemInfo

# MINIDUMP_EXCEPTION_STREAM: thread; code, flags, record, address, parameters; context.
_EXCEPTION = Struct("<IIIIQQII15QII")
_MAX_PARAMETERS = 15


@dataclass(frozen=True, slots=True)
class ExceptionRecord:
    """MINIDUMP_EXCEPTION. The meaning of its numbers depends on the system: see ``antenna.minidump.reasons``."""

    thread_id: int
    code: int
    """The exception code (Windows), the number of the signal (Linux), or the Mach exception (macOS)."""
    flags: int
    """Whether it can be continued (Windows), ``si_code`` (Linux), or the first code of the exception (macOS)."""
    address: int
    parameters: tuple[int, ...]
    registers: Registers | None
    """The thread's registers when it crashed. The thread list has those of a later time, when the dump was written."""


def read_exception(reader: Reader, location: Location, system: SystemInfo | None) -> ExceptionRecord:
    """Read the exception stream."""
    fields = reader.unpack(_EXCEPTION, location.offset, "the exception")
    thread_id, _, code, flags, _, address, count, _, *parameters, context_size, context_offset = fields
    try:
        context = Location(context_offset, context_size)
        registers = read_context(reader, context, system, "the context of the exception")
    except MinidumpError as error:
        reader.note(str(error))
        registers = None
    return ExceptionRecord(thread_id, code, flags, address, tuple(parameters[: min(count, _MAX_PARAMETERS)]), registers)
