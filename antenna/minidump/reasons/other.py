# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Systems on which few programs crash: Solaris (sys/iso/signal_iso.h) and Fuchsia (zircon/syscalls/exception.h)."""

from antenna.minidump.exception import ExceptionRecord
from antenna.minidump.reasons.reason import Reason, raw

SOLARIS_SIGNALS = dict(
    enumerate(
        (
            "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGEMT", "SIGFPE", "SIGKILL", "SIGBUS",
            "SIGSEGV", "SIGSYS", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGCLD", "SIGPWR",
            "SIGWINCH", "SIGURG", "SIGPOLL", "SIGSTOP", "SIGTSTP", "SIGCONT", "SIGTTIN", "SIGTTOU", "SIGVTALRM",
            "SIGPROF", "SIGXCPU", "SIGXFSZ", "SIGWAITING", "SIGLWP", "SIGFREEZE", "SIGTHAW", "SIGCANCEL",
            "SIGLOST", "SIGXRES", "SIGJVM1", "SIGJVM2",
        ),
        start=1,
    )
)  # fmt: skip
FUCHSIA_EXCEPTIONS = {
    0x8: "GENERAL",
    0x108: "FATAL_PAGE_FAULT",
    0x208: "UNDEFINED_INSTRUCTION",
    0x308: "SW_BREAKPOINT",
    0x408: "HW_BREAKPOINT",
    0x508: "UNALIGNED_ACCESS",
    0x8008: "THREAD_STARTING",
    0x8108: "THREAD_EXITING",
    0x8208: "POLICY_ERROR",
    0x8308: "PROCESS_STARTING",
}


def describe(record: ExceptionRecord, os: str) -> Reason:
    """Return the reason by its name, or else as numbers."""
    if os == "Solaris" and record.code in SOLARIS_SIGNALS:
        return Reason(SOLARIS_SIGNALS[record.code], record.address)
    if os == "Fuchsia" and record.code in FUCHSIA_EXCEPTIONS:
        return Reason(f"{FUCHSIA_EXCEPTIONS[record.code]} / {record.flags:#010x}", record.address)
    return Reason(raw(record.code, record.flags), record.address)
