# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Finds out why a process crashed, in the words of its platform.

``describe`` turns the numbers of an exception record into a ``Reason``. There is a module for each family of systems,
which knows its numbers and their names. The names are those of the system's own headers. They are combined as Breakpad
and rust-minidump combine them: ``SIGSEGV / SEGV_MAPERR``, ``EXCEPTION_ACCESS_VIOLATION_READ``, ``EXC_BAD_ACCESS /
KERN_INVALID_ADDRESS``. A number without a name is shown as a number. Tests are in tests/minidump/test_reasons.py.
"""

from antenna.minidump.exception import ExceptionRecord
from antenna.minidump.reasons import linux, mac, other, windows
from antenna.minidump.reasons.reason import Kind, Reason
from antenna.minidump.system_info import SystemInfo

__all__ = ["Kind", "Reason", "describe"]


def describe(record: ExceptionRecord, system: SystemInfo | None) -> Reason:
    """Return the reason that an exception record states."""
    if system is None:
        return other.describe(record, "")
    if system.os == "Windows":
        reason = windows.describe(record)
    elif system.is_linux:
        reason = linux.describe(record)
    elif system.is_apple:
        reason = mac.describe(record, system.cpu)
    else:
        reason = other.describe(record, system.os)
    return reason.with_address_mask(0xFFFF_FFFF) if system.is_32_bit else reason
