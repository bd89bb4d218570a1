# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Signals of Linux and Android, from the kernel's asm-generic/signal.h and asm-generic/siginfo.h.

The exception code is the number of the signal, and the flags are its ``si_code``. The numbers are those of x86 and ARM.
"""

from antenna.minidump.exception import ExceptionRecord
from antenna.minidump.reasons.reason import Kind, Reason

DUMP_REQUESTED = 0xFFFFFFFF
"""The number that Breakpad writes instead of a signal if the program asked for the dump."""

SIGNALS = dict(
    enumerate(
        (
            "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
            "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP",
            "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH",
            "SIGIO", "SIGPWR", "SIGSYS",
        ),
        start=1,
    )
)  # fmt: skip
# Numbers of real-time signals. The C library keeps the first two for itself, so its SIGRTMIN is 34.
_FIRST_REAL_TIME, _SIGRTMIN, _LAST_SIGNAL = 32, 34, 64

CODES = {
    "SIGILL": (
        "ILL_ILLOPC", "ILL_ILLOPN", "ILL_ILLADR", "ILL_ILLTRP", "ILL_PRVOPC", "ILL_PRVREG", "ILL_COPROC",
        "ILL_BADSTK", "ILL_BADIADDR",
    ),
    "SIGTRAP": ("TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT", "TRAP_UNK", "TRAP_PERF"),
    "SIGBUS": ("BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR", "BUS_MCEERR_AR", "BUS_MCEERR_AO"),
    "SIGFPE": (
        "FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV",
        "FPE_FLTSUB", "FPE_DECOVF", "FPE_DECDIV", "FPE_DECERR", "FPE_INVASC", "FPE_INVDEC", "FPE_FLTUNK",
        "FPE_CONDTRAP",
    ),
    "SIGSEGV": (
        "SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR", "SEGV_ACCADI", "SEGV_ADIDERR", "SEGV_ADIPERR",
        "SEGV_MTEAERR", "SEGV_MTESERR", "SEGV_CPERR",
    ),
    "SIGCHLD": ("CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED"),
    "SIGIO": ("POLL_IN", "POLL_OUT", "POLL_MSG", "POLL_ERR", "POLL_PRI", "POLL_HUP"),
    "SIGSYS": ("SYS_SECCOMP", "SYS_USER_DISPATCH"),
}  # fmt: skip
"""Names of the values of ``si_code`` from 1 on."""

_SI_KERNEL = 0x80
GENERAL_CODES = {
    _SI_KERNEL: "SI_KERNEL",
    -1: "SI_QUEUE",
    -2: "SI_TIMER",
    -3: "SI_MESGQ",
    -4: "SI_ASYNCIO",
    -5: "SI_SIGIO",
    -6: "SI_TKILL",
    -7: "SI_DETHREAD",
    -60: "SI_ASYNCNL",
}
"""Names of values that every signal may have. 0 is ``SI_USER``. Writers also put 0 if they do not know the value."""

# The signals that the processor raises. For these the kernel fills in an address.
_WITH_ADDRESS = {"SIGILL", "SIGTRAP", "SIGBUS", "SIGFPE", "SIGSEGV"}


def describe(record: ExceptionRecord) -> Reason:
    """Return the reason for a signal."""
    if record.code == DUMP_REQUESTED:
        return Reason("DUMP_REQUESTED", record.address, Kind.REQUESTED)
    signal = _signal_name(record.code)
    si_code = record.flags - (1 << 32) if record.flags >> 31 else record.flags
    names = CODES.get(signal, ())
    if si_code == 0:
        code = "si_code 0"
    elif 1 <= si_code <= len(names):
        code = names[si_code - 1]
    else:
        code = GENERAL_CODES.get(si_code, f"{record.flags:#010x}")
    has_address = signal in _WITH_ADDRESS and si_code > 0 and si_code != _SI_KERNEL
    note = _note(signal, si_code, record.address)
    return Reason(f"{signal} / {code}", record.address, has_address=has_address, note=note)


def _signal_name(number: int) -> str:
    if number in SIGNALS:
        return SIGNALS[number]
    if _SIGRTMIN <= number <= _LAST_SIGNAL:
        return "SIGRTMIN" if number == _SIGRTMIN else f"SIGRTMIN+{number - _SIGRTMIN}"
    if _FIRST_REAL_TIME <= number < _SIGRTMIN:
        return f"SIG{number}"
    return f"signal {number:#x}"


def _note(signal: str, si_code: int, address: int) -> str:
    if si_code == 0:
        # If the address is 0, it makes no difference whether it is one.
        tail = "" if not address else ": the address may really be the ids of a process and a user"
        return f"si_code is 0: a process sent the signal, or the reporter did not record more{tail}"
    if si_code < 0:
        return "the signal was sent by a process, perhaps by itself; the address holds ids of a process and a user"
    if si_code == _SI_KERNEL:
        return "the kernel does not know the address; often the processor cannot have such an address"
    if signal not in _WITH_ADDRESS:
        return "this signal has no address"
    return ""
