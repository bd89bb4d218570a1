# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The numbers of an exception become the names that its platform uses."""

import pytest

from antenna.minidump import Kind, Minidump, Reason
from tests.support.minidumps.builder import DumpBuilder


def reason(
    os: str, code: int, flags: int = 0, parameters: tuple[int, ...] = (), *, cpu: str = "amd64", address: int = 0x1000
) -> Reason:
    builder = DumpBuilder()
    builder.system(os, cpu)
    builder.exception(1, code, flags, address, parameters)
    found = Minidump(builder.build()).reason
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("signal", "si_code", "text"),
    [
        (1, 0, "SIGHUP / si_code 0"),
        (4, 2, "SIGILL / ILL_ILLOPN"),
        (5, 1, "SIGTRAP / TRAP_BRKPT"),
        (6, -6, "SIGABRT / SI_TKILL"),
        (6, 0, "SIGABRT / si_code 0"),
        (7, 2, "SIGBUS / BUS_ADRERR"),
        (8, 1, "SIGFPE / FPE_INTDIV"),
        (11, 0, "SIGSEGV / si_code 0"),
        (11, 1, "SIGSEGV / SEGV_MAPERR"),
        (11, 2, "SIGSEGV / SEGV_ACCERR"),
        (11, 4, "SIGSEGV / SEGV_PKUERR"),
        (11, 9, "SIGSEGV / SEGV_MTESERR"),
        (11, 0x80, "SIGSEGV / SI_KERNEL"),
        (11, 99, "SIGSEGV / 0x00000063"),
        (15, -1, "SIGTERM / SI_QUEUE"),
        (31, 1, "SIGSYS / SYS_SECCOMP"),
        (33, -6, "SIG33 / SI_TKILL"),
        (34, -6, "SIGRTMIN / SI_TKILL"),
        (64, -6, "SIGRTMIN+30 / SI_TKILL"),
        (77, 0, "signal 0x4d / si_code 0"),
    ],
)
@pytest.mark.parametrize("os", ["Linux", "Android"])
def test_linux(os: str, signal: int, si_code: int, text: str) -> None:
    found = reason(os, signal, si_code)
    assert (found.text, found.kind, found.address) == (text, Kind.CRASH, 0x1000)
    assert found.short == text.partition(" / ")[0]


def test_linux_claims_neither_a_sender_nor_an_address_where_si_code_is_0() -> None:
    # Reporters that do not record si_code write this. So does kill, and then the address is the sender's process id.
    assert "or the reporter did not record more" in reason("Linux", 11, 0).note
    assert "address may really be" in reason("Linux", 11, 0).note
    assert "address" not in reason("Linux", 11, 0, address=0).note
    assert reason("Linux", 11, 1).note == ""
    assert "sent by a process" in reason("Linux", 6, -6).note


@pytest.mark.parametrize(
    ("os", "code", "text"),
    [
        ("Linux", 0xFFFFFFFF, "DUMP_REQUESTED"),
        ("Windows", 0x0517A7ED, "Simulated Exception"),
        ("Windows", 0x0CCA11ED, "Triggered by another process"),
        ("macOS", 0x43507378, "Simulated Exception"),
    ],
)
def test_a_requested_dump_is_no_crash(os: str, code: int, text: str) -> None:
    found = reason(os, code)
    assert (found.text, found.kind) == (text, Kind.REQUESTED)


@pytest.mark.parametrize(
    ("code", "parameters", "text", "address"),
    [
        (0xC0000005, (0, 0x45), "EXCEPTION_ACCESS_VIOLATION_READ", 0x45),
        (0xC0000005, (1, 0x45), "EXCEPTION_ACCESS_VIOLATION_WRITE", 0x45),
        (0xC0000005, (8, 0x45), "EXCEPTION_ACCESS_VIOLATION_EXEC", 0x45),
        (0xC0000005, (3, 0x45), "EXCEPTION_ACCESS_VIOLATION", 0x45),
        (0xC0000005, (1,), "EXCEPTION_ACCESS_VIOLATION_WRITE", 0x1000),
        (0xC0000005, (), "EXCEPTION_ACCESS_VIOLATION", 0x1000),
        (0xC0000006, (0, 0x45, 0xC000009D), "EXCEPTION_IN_PAGE_ERROR_READ / STATUS_DEVICE_NOT_CONNECTED", 0x45),
        (0xC0000006, (1, 0x45, 0xC0FFEE00), "EXCEPTION_IN_PAGE_ERROR_WRITE / 0xc0ffee00", 0x45),
        (0xC0000006, (8, 0x45), "EXCEPTION_IN_PAGE_ERROR_EXEC", 0x45),
        (0xC0000409, (7,), "EXCEPTION_STACK_BUFFER_OVERRUN / FAST_FAIL_FATAL_APP_EXIT", 0x1000),
        (0xC0000409, (2,), "EXCEPTION_STACK_BUFFER_OVERRUN / FAST_FAIL_STACK_COOKIE_CHECK_FAILURE", 0x1000),
        (0xC0000409, (4000,), "EXCEPTION_STACK_BUFFER_OVERRUN / 0x00000fa0", 0x1000),
        (0xC0000409, (), "EXCEPTION_STACK_BUFFER_OVERRUN", 0x1000),
        (0xC000000D, (), "STATUS_INVALID_PARAMETER", 0x1000),
        (0xC0000374, (), "EXCEPTION_HEAP_CORRUPTION", 0x1000),
        (0xC00000FD, (0, 0x102000), "EXCEPTION_STACK_OVERFLOW", 0x1000),
        (0x80000003, (), "EXCEPTION_BREAKPOINT", 0x1000),
        (0xC0000602, (), "STATUS_FAIL_FAST_EXCEPTION", 0x1000),
        (0xC0000420, (), "STATUS_ASSERTION_FAILURE", 0x1000),
        (0x40010005, (), "DBG_CONTROL_C", 0x1000),
        (0xE06D7363, (1, 2, 3), "Unhandled C++ Exception", 0x1000),
        (0xE0000008, (), "Out of Memory", 0x1000),
        (0x000006BA, (), "RPC_S_SERVER_UNAVAILABLE", 0x1000),
        (0xC06D007E, (), "FACILITY_VISUALCPP / ERROR_MOD_NOT_FOUND", 0x1000),
        (0xDEADBEEF, (), "0xdeadbeef", 0x1000),
    ],
)
def test_windows(code: int, parameters: tuple[int, ...], text: str, address: int) -> None:
    found = reason("Windows", code, parameters=parameters)
    assert (found.text, found.address) == (text, address)


def test_windows_has_one_address_for_all_that_the_processor_cannot_have() -> None:
    found = reason("Windows", 0xC0000005, parameters=(0, 0xFFFF_FFFF_FFFF_FFFF))
    assert (found.text, found.address) == ("EXCEPTION_ACCESS_VIOLATION_READ", 0xFFFF_FFFF_FFFF_FFFF)
    assert "also a write" in found.note


def test_addresses_of_32_bits_are_not_extended() -> None:
    found = reason("Windows", 0xC0000005, parameters=(0, 0xFFFF_FFFF_8000_0010), cpu="x86")
    assert found.address == 0x8000_0010


def test_no_more_parameters_than_there_can_be() -> None:
    builder = DumpBuilder()
    builder.system("Windows", "amd64")
    builder.exception(1, 0xC0000005, 0, 0x1000, (0, 0x45), parameter_count=0xFFFFFFFF)
    dump = Minidump(builder.build())
    assert dump.exception is not None
    assert len(dump.exception.parameters) == 15


@pytest.mark.parametrize(
    ("cpu", "code", "flags", "parameters", "text"),
    [
        ("amd64", 1, 1, (), "EXC_BAD_ACCESS / KERN_INVALID_ADDRESS"),
        ("amd64", 1, 2, (), "EXC_BAD_ACCESS / KERN_PROTECTION_FAILURE"),
        ("amd64", 1, 50, (), "EXC_BAD_ACCESS / KERN_CODESIGN_ERROR"),
        ("amd64", 1, 13, (), "EXC_BAD_ACCESS / EXC_I386_GPFLT"),
        ("amd64", 1, 77, (), "EXC_BAD_ACCESS / 0x0000004d"),
        ("arm64", 1, 0x101, (), "EXC_BAD_ACCESS / EXC_ARM_DA_ALIGN"),
        ("arm64", 1, 0x105, (), "EXC_BAD_ACCESS / EXC_ARM_PAC_FAIL"),
        ("x86", 2, 1, (), "EXC_BAD_INSTRUCTION / EXC_I386_INVOP"),
        ("arm64", 2, 1, (), "EXC_BAD_INSTRUCTION / EXC_ARM_UNDEFINED"),
        ("amd64", 3, 1, (), "EXC_ARITHMETIC / EXC_I386_DIV"),
        ("amd64", 5, 0x10002, (), "EXC_SOFTWARE / SIGABRT"),
        ("amd64", 5, 0xDEADC0DE, (), "EXC_SOFTWARE / UNCAUGHT_NS_EXCEPTION"),
        ("amd64", 6, 2, (), "EXC_BREAKPOINT / EXC_I386_BPT"),
        ("arm64", 6, 1, (), "EXC_BREAKPOINT / EXC_ARM_BREAKPOINT"),
        ("ppc", 6, 1, (), "EXC_BREAKPOINT / EXC_PPC_BREAKPOINT"),
        ("amd64", 7, 3, (), "EXC_SYSCALL / 0x00000003"),
        ("amd64", 10, 0x06000000, (), "EXC_CRASH / SIGABRT"),
        # Crashpad leaves 0 where EXC_CRASH stands for a signal alone.
        ("amd64", 0, 0, (10, 0x06000000, 0), "EXC_CRASH / SIGABRT"),
        ("arm64", 11, 0, (11, 2 << 61 | 1 << 58, 0), "EXC_RESOURCE / RESOURCE_TYPE_WAKEUPS / FLAVOR_WAKEUPS_MONITOR"),
        ("arm64", 11, 3 << 29 | 1 << 26, (), "EXC_RESOURCE / RESOURCE_TYPE_MEMORY / FLAVOR_HIGH_WATERMARK"),
        ("arm64", 12, 0, (12, 2 << 61 | 1 << 32 | 7, 0), "EXC_GUARD / GUARD_TYPE_FD / GUARD_EXC_CLOSE"),
        ("arm64", 12, 0, (12, 1 << 61 | 0x40 << 32, 0), "EXC_GUARD / GUARD_TYPE_MACH_PORT / GUARD_EXC_STRICT_REPLY"),
        ("arm64", 12, 0, (12, 3 << 61 | 9, 0), "EXC_GUARD / GUARD_TYPE_USER"),
        ("arm64", 12, 0, (12, 7 << 61, 0), "EXC_GUARD / 0xe000000000000000"),
        ("arm64", 0x43506E78, 0, (), "uncaught NSException"),
        ("arm64", 99, 5, (), "0x00000063 / 0x00000005"),
    ],
)
@pytest.mark.parametrize("os", ["macOS", "iOS"])
def test_mach(os: str, cpu: str, code: int, flags: int, parameters: tuple[int, ...], text: str) -> None:
    assert reason(os, code, flags, parameters, cpu=cpu).text == text


@pytest.mark.parametrize(
    ("os", "code", "text"),
    [
        ("Solaris", 11, "SIGSEGV"),
        ("Fuchsia", 0x108, "FATAL_PAGE_FAULT / 0x00000007"),
        ("0x8204", 5, "0x00000005 / 0x00000007"),
    ],
)
def test_other_systems(os: str, code: int, text: str) -> None:
    assert reason(os, code, 7).text == text


def test_without_system_info_there_are_numbers() -> None:
    builder = DumpBuilder()
    builder.exception(1, 11, 1, 0x10)
    found = Minidump(builder.build()).reason
    assert found is not None
    assert (found.text, found.address) == ("0x0000000b / 0x00000001", 0x10)
