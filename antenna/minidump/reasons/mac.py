# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Mach exceptions of macOS and iOS.

The exceptions are those of mach/exception_types.h. Their codes are in mach/kern_return.h and in the exception.h of each
CPU, those of EXC_RESOURCE and EXC_GUARD in kern/exc_resource.h and kern/exc_guard.h in Apple's kernel sources.

The exception code of the dump is the exception, and its flags are the lower half of the first code. If the writer fills
in the parameters, they are the exception, the code and the subcode, with all their bits.
"""

from antenna.minidump.exception import ExceptionRecord
from antenna.minidump.reasons.reason import Kind, Reason, raw

_BAD_ACCESS, _CRASH, _RESOURCE, _GUARD = 1, 10, 11, 12
_SIMULATED = 0x43507378  # "CPsx", Crashpad's DumpWithoutCrash
_NS_EXCEPTION = 0x43506E78  # "CPnx", Crashpad on iOS

EXCEPTIONS = {
    1: "EXC_BAD_ACCESS", 2: "EXC_BAD_INSTRUCTION", 3: "EXC_ARITHMETIC", 4: "EXC_EMULATION", 5: "EXC_SOFTWARE",
    6: "EXC_BREAKPOINT", 7: "EXC_SYSCALL", 8: "EXC_MACH_SYSCALL", 9: "EXC_RPC_ALERT", 10: "EXC_CRASH",
    11: "EXC_RESOURCE", 12: "EXC_GUARD", 13: "EXC_CORPSE_NOTIFY",
}  # fmt: skip

KERN_RETURNS = {
    1: "KERN_INVALID_ADDRESS", 2: "KERN_PROTECTION_FAILURE", 3: "KERN_NO_SPACE", 4: "KERN_INVALID_ARGUMENT",
    5: "KERN_FAILURE", 6: "KERN_RESOURCE_SHORTAGE", 8: "KERN_NO_ACCESS", 9: "KERN_MEMORY_FAILURE",
    10: "KERN_MEMORY_ERROR", 50: "KERN_CODESIGN_ERROR",
}  # fmt: skip

_X86_FAULTS = {
    10: "EXC_I386_INVTSSFLT", 11: "EXC_I386_SEGNPFLT", 12: "EXC_I386_STKFLT", 13: "EXC_I386_GPFLT",
    17: "EXC_I386_ALIGNFLT",
}  # fmt: skip
CPU_CODES = {
    ("x86", 1): {13: "EXC_I386_GPFLT"},
    ("x86", 2): {1: "EXC_I386_INVOP", **_X86_FAULTS},
    ("x86", 3): {
        1: "EXC_I386_DIV", 2: "EXC_I386_INTO", 3: "EXC_I386_NOEXT", 4: "EXC_I386_EXTOVR", 5: "EXC_I386_EXTERR",
        6: "EXC_I386_EMERR", 7: "EXC_I386_BOUND", 8: "EXC_I386_SSEEXTERR",
    },
    ("x86", 6): {1: "EXC_I386_SGL", 2: "EXC_I386_BPT"},
    ("arm", 1): {
        0x101: "EXC_ARM_DA_ALIGN", 0x102: "EXC_ARM_DA_DEBUG", 0x103: "EXC_ARM_SP_ALIGN", 0x104: "EXC_ARM_SWP",
        0x105: "EXC_ARM_PAC_FAIL",
    },
    ("arm", 2): {1: "EXC_ARM_UNDEFINED"},
    ("arm", 3): {
        0: "EXC_ARM_FP_UNDEFINED", 1: "EXC_ARM_FP_IO", 2: "EXC_ARM_FP_DZ", 3: "EXC_ARM_FP_OF", 4: "EXC_ARM_FP_UF",
        5: "EXC_ARM_FP_IX", 6: "EXC_ARM_FP_ID",
    },
    ("arm", 6): {1: "EXC_ARM_BREAKPOINT", 0x101: "EXC_ARM_DA_ALIGN", 0x102: "EXC_ARM_DA_DEBUG"},
    ("ppc", 1): {0x101: "EXC_PPC_VM_PROT_READ", 0x102: "EXC_PPC_BADSPACE", 0x103: "EXC_PPC_UNALIGNED"},
    ("ppc", 2): {
        1: "EXC_PPC_INVALID_SYSCALL", 2: "EXC_PPC_UNIPL_INST", 3: "EXC_PPC_PRIVINST", 4: "EXC_PPC_PRIVREG",
        5: "EXC_PPC_TRACE", 6: "EXC_PPC_PERFMON",
    },
    ("ppc", 3): {
        1: "EXC_PPC_OVERFLOW", 2: "EXC_PPC_ZERO_DIVIDE", 3: "EXC_FLT_INEXACT", 4: "EXC_PPC_FLT_ZERO_DIVIDE",
        5: "EXC_PPC_FLT_UNDERFLOW", 6: "EXC_PPC_FLT_OVERFLOW", 7: "EXC_PPC_FLT_NOT_A_NUMBER",
        8: "EXC_PPC_NOEMULATION", 9: "EXC_PPC_ALTIVECASSIST",
    },
    ("ppc", 6): {1: "EXC_PPC_BREAKPOINT"},
}  # fmt: skip
"""Names of codes by family of CPUs and exception."""
_FAMILIES = {"amd64": "x86", "arm64": "arm", "ppc64": "ppc"}

SOFTWARE_CODES = {
    0x1: "EXC_PPC_TRAP", 0x10000: "SIGSYS", 0x10001: "SIGPIPE", 0x10002: "SIGABRT", 0x10003: "EXC_SOFT_SIGNAL",
    0x10100: "EXC_PPC_MIGRATE", 0xDEADC0DE: "UNCAUGHT_NS_EXCEPTION",
}  # fmt: skip

SIGNALS = dict(
    enumerate(
        (
            "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGEMT", "SIGFPE", "SIGKILL", "SIGBUS",
            "SIGSEGV", "SIGSYS", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGURG", "SIGSTOP", "SIGTSTP", "SIGCONT",
            "SIGCHLD", "SIGTTIN", "SIGTTOU", "SIGIO", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH",
            "SIGINFO", "SIGUSR1", "SIGUSR2",
        ),
        start=1,
    )
)  # fmt: skip

RESOURCES = {
    1: ("RESOURCE_TYPE_CPU", {1: "FLAVOR_CPU_MONITOR", 2: "FLAVOR_CPU_MONITOR_FATAL"}),
    2: ("RESOURCE_TYPE_WAKEUPS", {1: "FLAVOR_WAKEUPS_MONITOR"}),
    3: ("RESOURCE_TYPE_MEMORY", {1: "FLAVOR_HIGH_WATERMARK", 2: "FLAVOR_DIAG_MEMLIMIT"}),
    4: ("RESOURCE_TYPE_IO", {1: "FLAVOR_IO_PHYSICAL_WRITES", 2: "FLAVOR_IO_LOGICAL_WRITES"}),
    5: ("RESOURCE_TYPE_THREADS", {1: "FLAVOR_THREADS_HIGH_WATERMARK"}),
    6: ("RESOURCE_TYPE_PORTS", {1: "FLAVOR_PORT_SPACE_FULL"}),
}
GUARDS = {
    0: ("GUARD_TYPE_NONE", {}),
    1: (
        "GUARD_TYPE_MACH_PORT",
        {
            0x1: "GUARD_EXC_DESTROY", 0x2: "GUARD_EXC_MOD_REFS", 0x4: "GUARD_EXC_SET_CONTEXT",
            0x8: "GUARD_EXC_UNGUARDED", 0x10: "GUARD_EXC_INCORRECT_GUARD", 0x20: "GUARD_EXC_IMMOVABLE",
            0x40: "GUARD_EXC_STRICT_REPLY", 0x80: "GUARD_EXC_MSG_FILTERED", 0x100: "GUARD_EXC_INVALID_RIGHT",
            0x200: "GUARD_EXC_INVALID_NAME", 0x400: "GUARD_EXC_INVALID_VALUE", 0x800: "GUARD_EXC_INVALID_ARGUMENT",
            0x1000: "GUARD_EXC_RIGHT_EXISTS", 0x2000: "GUARD_EXC_KERN_NO_SPACE", 0x4000: "GUARD_EXC_KERN_FAILURE",
            0x8000: "GUARD_EXC_KERN_RESOURCE", 0x10000: "GUARD_EXC_SEND_INVALID_REPLY",
            0x20000: "GUARD_EXC_SEND_INVALID_VOUCHER", 0x40000: "GUARD_EXC_SEND_INVALID_RIGHT",
            0x80000: "GUARD_EXC_RCV_INVALID_NAME", 0x100000: "GUARD_EXC_RCV_GUARDED_DESC",
            0x200000: "GUARD_EXC_MOD_REFS_NON_FATAL", 0x400000: "GUARD_EXC_IMMOVABLE_NON_FATAL",
        },
    ),
    2: (
        "GUARD_TYPE_FD",
        {
            0x1: "GUARD_EXC_CLOSE", 0x2: "GUARD_EXC_DUP", 0x4: "GUARD_EXC_NOCLOEXEC", 0x8: "GUARD_EXC_SOCKET_IPC",
            0x10: "GUARD_EXC_FILEPORT", 0x20: "GUARD_EXC_MISMATCH", 0x40: "GUARD_EXC_WRITE",
        },
    ),
    3: ("GUARD_TYPE_USER", {}),
    4: (
        "GUARD_TYPE_VN",
        {
            0x1: "GUARD_EXC_RENAME_TO", 0x2: "GUARD_EXC_RENAME_FROM", 0x4: "GUARD_EXC_UNLINK",
            0x8: "GUARD_EXC_WRITE_OTHER", 0x10: "GUARD_EXC_TRUNC_OTHER", 0x20: "GUARD_EXC_LINK",
            0x40: "GUARD_EXC_EXCHDATA",
        },
    ),
    5: ("GUARD_TYPE_VIRT_MEMORY", {0x1: "GUARD_EXC_DEALLOC_GAP"}),
    6: ("GUARD_TYPE_REJECTED_SC", {}),
}  # fmt: skip
"""Types by their numbers, and the flavours of each type."""


def describe(record: ExceptionRecord, cpu: str) -> Reason:
    """Return the reason for a Mach exception."""
    if record.code == _SIMULATED:
        return Reason("Simulated Exception", record.address, Kind.REQUESTED)
    if record.code == _NS_EXCEPTION:
        return Reason("uncaught NSException", record.address)
    if signal := _signal_of_crash(record):
        return Reason(f"EXC_CRASH / {signal}", record.address, has_address=False)
    name = EXCEPTIONS.get(record.code)
    if name is None:
        return Reason(raw(record.code, record.flags), record.address)
    # For these exceptions Crashpad gives only the instruction, and that is not the address that they are about.
    has_address = record.code not in {_CRASH, _RESOURCE, _GUARD}
    return Reason(f"{name} / {_code_name(record, cpu)}", record.address, has_address=has_address)


def _signal_of_crash(record: ExceptionRecord) -> str | None:
    """Return the signal of an EXC_CRASH that no other exception caused.

    Crashpad takes the exception before it from the code, and leaves 0 if there was none. Bits 24 to 31 of the code are
    the signal, bits 20 to 23 the exception before it.
    """
    if record.code not in {0, _CRASH} or len(record.parameters) < 2 or record.parameters[0] != _CRASH:  # noqa: PLR2004
        return None
    signal = record.parameters[1] >> 24 & 0xFF
    return SIGNALS.get(signal, f"signal {signal}")


def _code_name(record: ExceptionRecord, cpu: str) -> str:
    exception, code = record.code, record.flags
    if exception == _RESOURCE:
        whole = _whole_code(record)
        return _typed(RESOURCES, whole >> 61 & 0x7, whole >> 58 & 0x7, whole)
    if exception == _GUARD:
        whole = _whole_code(record)
        return _typed(GUARDS, whole >> 61 & 0x7, whole >> 32 & 0x1FFFFFFF, whole)
    names = CPU_CODES.get((_FAMILIES.get(cpu, cpu), exception), {})
    if exception == _BAD_ACCESS:
        names = {**names, **KERN_RETURNS}
    elif EXCEPTIONS[exception] == "EXC_SOFTWARE":
        names = SOFTWARE_CODES
    elif exception == _CRASH:
        signal = code >> 24 & 0xFF
        return SIGNALS.get(signal, f"{code:#010x}")
    return names.get(code) or f"{code:#010x}"


def _whole_code(record: ExceptionRecord) -> int:
    """Return all 64 bits of the code.

    They are in the parameter, or else in the flags, where Crashpad puts the upper half.
    """
    return record.parameters[1] if len(record.parameters) > 1 else record.flags << 32


def _typed(types: dict[int, tuple[str, dict[int, str]]], kind: int, flavor: int, whole: int) -> str:
    if kind not in types:
        return f"{whole:#018x}"
    name, flavors = types[kind]
    if not flavors:
        return name
    return f"{name} / {flavors.get(flavor) or hex(flavor)}"
