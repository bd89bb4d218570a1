# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Exceptions of Windows (winnt.h, ntstatus.h, winerror.h), and numbers that compilers and crash reporters chose."""

from antenna.minidump.exception import ExceptionRecord
from antenna.minidump.reasons.reason import Kind, Reason
from antenna.minidump.reasons.tables import load_table

_ACCESS_VIOLATION = 0xC0000005
_IN_PAGE_ERROR = 0xC0000006
_STACK_BUFFER_OVERRUN = 0xC0000409

EXCEPTIONS = {
    0x40010005: "DBG_CONTROL_C",
    0x80000001: "EXCEPTION_GUARD_PAGE",
    0x80000002: "EXCEPTION_DATATYPE_MISALIGNMENT",
    0x80000003: "EXCEPTION_BREAKPOINT",
    0x80000004: "EXCEPTION_SINGLE_STEP",
    _ACCESS_VIOLATION: "EXCEPTION_ACCESS_VIOLATION",
    _IN_PAGE_ERROR: "EXCEPTION_IN_PAGE_ERROR",
    0xC0000008: "EXCEPTION_INVALID_HANDLE",
    0xC000001D: "EXCEPTION_ILLEGAL_INSTRUCTION",
    0xC0000025: "EXCEPTION_NONCONTINUABLE_EXCEPTION",
    0xC0000026: "EXCEPTION_INVALID_DISPOSITION",
    0xC000008C: "EXCEPTION_BOUNDS_EXCEEDED",
    0xC000008D: "EXCEPTION_FLT_DENORMAL_OPERAND",
    0xC000008E: "EXCEPTION_FLT_DIVIDE_BY_ZERO",
    0xC000008F: "EXCEPTION_FLT_INEXACT_RESULT",
    0xC0000090: "EXCEPTION_FLT_INVALID_OPERATION",
    0xC0000091: "EXCEPTION_FLT_OVERFLOW",
    0xC0000092: "EXCEPTION_FLT_STACK_CHECK",
    0xC0000093: "EXCEPTION_FLT_UNDERFLOW",
    0xC0000094: "EXCEPTION_INT_DIVIDE_BY_ZERO",
    0xC0000095: "EXCEPTION_INT_OVERFLOW",
    0xC0000096: "EXCEPTION_PRIV_INSTRUCTION",
    0xC00000FD: "EXCEPTION_STACK_OVERFLOW",
    0xC00000FF: "EXCEPTION_BAD_FUNCTION_TABLE",
    0xC0000194: "EXCEPTION_POSSIBLE_DEADLOCK",
    0xC0000374: "EXCEPTION_HEAP_CORRUPTION",
    _STACK_BUFFER_OVERRUN: "EXCEPTION_STACK_BUFFER_OVERRUN",
    # Numbers that are not Windows' own. Chromium's allocator, compilers and run-time systems have chosen them.
    0xE0000008: "Out of Memory",
    0xE06D7363: "Unhandled C++ Exception",
    0xE0434F4D: "CLR exception",
    0xE0434352: "CLR exception",
    0x0EEDFADE: "Delphi exception",
    0x406D1388: "MS_VC_EXCEPTION",
}
_REQUESTED = {
    0x0517A7ED: "Simulated Exception",  # Crashpad, DumpWithoutCrash
    0x0CCA11ED: "Triggered by another process",  # Crashpad, DumpAndCrashTargetProcess
}

ACCESSES = {0: "_READ", 1: "_WRITE", 8: "_EXEC"}
"""Names for the first parameter of an access violation or an in-page error."""

FAST_FAILS = {
    0: "LEGACY_GS_VIOLATION", 1: "VTGUARD_CHECK_FAILURE", 2: "STACK_COOKIE_CHECK_FAILURE", 3: "CORRUPT_LIST_ENTRY",
    4: "INCORRECT_STACK", 5: "INVALID_ARG", 6: "GS_COOKIE_INIT", 7: "FATAL_APP_EXIT", 8: "RANGE_CHECK_FAILURE",
    9: "UNSAFE_REGISTRY_ACCESS", 10: "GUARD_ICALL_CHECK_FAILURE", 11: "GUARD_WRITE_CHECK_FAILURE",
    12: "INVALID_FIBER_SWITCH", 13: "INVALID_SET_OF_CONTEXT", 14: "INVALID_REFERENCE_COUNT",
    18: "INVALID_JUMP_BUFFER", 19: "MRDATA_MODIFIED", 20: "CERTIFICATION_FAILURE", 21: "INVALID_EXCEPTION_CHAIN",
    22: "CRYPTO_LIBRARY", 23: "INVALID_CALL_IN_DLL_CALLOUT", 24: "INVALID_IMAGE_BASE",
    25: "DLOAD_PROTECTION_FAILURE", 26: "UNSAFE_EXTENSION_CALL", 27: "DEPRECATED_SERVICE_INVOKED",
    28: "INVALID_BUFFER_ACCESS", 29: "INVALID_BALANCED_TREE", 30: "INVALID_NEXT_THREAD",
    31: "GUARD_ICALL_CHECK_SUPPRESSED", 32: "APCS_DISABLED", 33: "INVALID_IDLE_STATE",
    34: "MRDATA_PROTECTION_FAILURE", 35: "UNEXPECTED_HEAP_EXCEPTION", 36: "INVALID_LOCK_STATE",
    37: "GUARD_JUMPTABLE", 38: "INVALID_LONGJUMP_TARGET", 39: "INVALID_DISPATCH_CONTEXT", 40: "INVALID_THREAD",
    41: "INVALID_SYSCALL_NUMBER", 42: "INVALID_FILE_OPERATION", 43: "LPAC_ACCESS_DENIED", 44: "GUARD_SS_FAILURE",
    45: "LOADER_CONTINUITY_FAILURE", 46: "GUARD_EXPORT_SUPPRESSION_FAILURE", 47: "INVALID_CONTROL_STACK",
    48: "SET_CONTEXT_DENIED", 49: "INVALID_IAT", 50: "HEAP_METADATA_CORRUPTION",
    51: "PAYLOAD_RESTRICTION_VIOLATION", 52: "LOW_LABEL_ACCESS_DENIED", 53: "ENCLAVE_CALL_FAILURE",
    54: "UNHANDLED_LSS_EXCEPTON", 55: "ADMINLESS_ACCESS_DENIED", 56: "UNEXPECTED_CALL",
    57: "CONTROL_INVALID_RETURN_ADDRESS", 58: "UNEXPECTED_HOST_BEHAVIOR", 59: "FLAGS_CORRUPTION",
    60: "VEH_CORRUPTION", 61: "ETW_CORRUPTION", 62: "RIO_ABORT", 63: "INVALID_PFN",
    64: "GUARD_ICALL_CHECK_FAILURE_XFG", 65: "CAST_GUARD", 66: "HOST_VISIBILITY_CHANGE",
    67: "KERNEL_CET_SHADOW_STACK_ASSIST", 68: "PATCH_CALLBACK_FAILED", 69: "NTDLL_PATCH_FAILED",
    70: "INVALID_FLS_DATA", 0xFFFFFFFF: "INVALID_FAST_FAIL_CODE",
}  # fmt: skip
"""FAST_FAIL_* of winnt.h: the first parameter of ``__fastfail``, which looks like a stack buffer overrun."""

FACILITIES = {
    1: "RPC", 2: "DISPATCH", 3: "STORAGE", 4: "ITF", 7: "WIN32", 8: "WINDOWS", 9: "SECURITY", 10: "CONTROL",
    11: "CERT", 12: "INTERNET", 13: "MEDIASERVER", 14: "MSMQ", 15: "SETUPAPI", 16: "SCARD", 17: "COMPLUS",
    18: "AAF", 19: "URT", 20: "ACS", 21: "DPLAY", 22: "UMI", 23: "SXS", 24: "WINDOWS_CE", 25: "HTTP",
    27: "NTWIN32", 109: "VISUALCPP",
}  # fmt: skip
"""FACILITY_* of winerror.h: bits 16 to 28 of a status that was made of an error code of Win32, in its lower 16 bits."""


def describe(record: ExceptionRecord) -> Reason:
    """Return the reason for an exception."""
    code, parameters = record.code, record.parameters
    if code in _REQUESTED:
        return Reason(_REQUESTED[code], record.address, Kind.REQUESTED)
    if code in {_ACCESS_VIOLATION, _IN_PAGE_ERROR}:
        return _describe_access(record)
    if code == _STACK_BUFFER_OVERRUN and parameters:
        return Reason(f"{EXCEPTIONS[code]} / {_fast_fail(parameters[0])}", record.address)
    return Reason(EXCEPTIONS.get(code) or _other_name(code), record.address)


def _describe_access(record: ExceptionRecord) -> Reason:
    """Return the reason for an access violation or an in-page error.

    The parameters are the kind of access, the address that was accessed, and for an in-page error its status.
    """
    text, parameters = EXCEPTIONS[record.code], record.parameters
    if parameters:
        text += ACCESSES.get(parameters[0], "")
    address = parameters[1] if len(parameters) > 1 else record.address
    if record.code == _IN_PAGE_ERROR and len(parameters) > 2:  # noqa: PLR2004 - the third
        text = f"{text} / {ntstatus_name(parameters[2] & 0xFFFFFFFF)}"
    note = ""
    if record.code == _ACCESS_VIOLATION and address in {0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF}:
        # Windows gives this address for what the processor calls a general protection fault.
        note = "Windows gives this address for each access, also a write, to an address that the processor cannot have"
    return Reason(text, address, note=note)


def _fast_fail(code: int) -> str:
    name = FAST_FAILS.get(code & 0xFFFFFFFF)
    return f"FAST_FAIL_{name}" if name else f"{code:#010x}"


def ntstatus_name(status: int) -> str:
    """Return the name of an NTSTATUS, or its number."""
    return load_table("ntstatus.txt").get(status) or f"{status:#010x}"


def _other_name(code: int) -> str:
    """Name a code that is not an exception: an NTSTATUS, or an error of Win32 raised by ``RaiseException``."""
    if name := load_table("ntstatus.txt").get(code) or load_table("win32.txt").get(code):
        return name
    facility = FACILITIES.get(code >> 16 & 0x1FFF)
    error = load_table("win32.txt").get(code & 0xFFFF)
    if facility and error and code >> 31:
        return f"FACILITY_{facility} / {error}"
    return f"{code:#010x}"
