# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A made-up crash of Firefox on Linux that looks like a real one. ``bin/send_crash_report.sh`` sends it.

Names of modules and threads are those of the real program; addresses, ids and calls are invented.
"""

import hashlib
import random
from struct import pack

from tests.support.minidumps.builder import TIME, DumpBuilder, ModuleSpec, ThreadSpec, elf_build_id
from tests.support.minidumps.contexts import context

PROCESS = 31337
FIREFOX, XUL, GLIB, PTHREAD_LIBC, LOADER = (
    0x5581_4C20_0000,
    0x7F21_9000_0000,
    0x7F21_8F00_0000,
    0x7F21_9F40_0000,
    0x7F21_9FC0_0000,
)
MODULES = (
    (FIREFOX, 0xC_0000, "/usr/lib/firefox/firefox-bin"),
    (XUL, 0x0980_0000, "/usr/lib/firefox/libxul.so"),
    (GLIB, 0x14_0000, "/usr/lib/x86_64-linux-gnu/libglib-2.0.so.0"),
    (PTHREAD_LIBC, 0x1D_5000, "/usr/lib/x86_64-linux-gnu/libc.so.6"),
    (LOADER, 0x3_6000, "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
)
# The place of each thread and the return addresses above it, innermost first.
_WAITING = ((PTHREAD_LIBC, 0x85E93), (XUL, 0x04C1_18A0), (XUL, 0x04C1_2A41), (PTHREAD_LIBC, 0x891C4))
_POLLING = ((PTHREAD_LIBC, 0xFC26F), (GLIB, 0x5491E), (GLIB, 0x54A3C), (PTHREAD_LIBC, 0x891C4))
THREADS = (
    (
        "firefox-bin",
        (
            (XUL, 0x0367_1E2C), (XUL, 0x0367_0B95), (XUL, 0x0366_F210), (XUL, 0x0512_90C7), (XUL, 0x0512_77D8),
            (XUL, 0x0105_23B4), (XUL, 0x0105_1F0A), (XUL, 0x04D9_6631), (XUL, 0x04D9_8A5F), (FIREFOX, 0x1_C3E4),
            (FIREFOX, 0x1_BD02), (PTHREAD_LIBC, 0x2724A), (PTHREAD_LIBC, 0x27305), (FIREFOX, 0x1_B6A1),
        ),
    ),
    ("gmain", _POLLING),
    ("IPC I/O Parent", _WAITING),
    ("Timer", _WAITING),
    ("Socket Thread", _POLLING),
    ("JS Watchdog", _WAITING),
    ("StyleThread#0", _WAITING),
    ("Compositor", _WAITING),
)  # fmt: skip
_STACKS = 0x7FFC_4A00_0000


def firefox() -> bytes:
    """Return the dump."""
    builder = DumpBuilder()
    builder.system("Linux", "amd64", (0, 0, 0), "Linux 6.1.0-26-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.112-1 x86_64")
    threads = [_thread(index, name, calls) for index, (name, calls) in enumerate(THREADS)]
    builder.exception(PROCESS, 11, 1, 0, context=threads[0].context)
    builder.threads(threads)
    builder.modules(
        ModuleSpec(base, size, path, elf_build_id(hashlib.sha1(path.encode(), usedforsecurity=False).digest()))
        for base, size, path in MODULES
    )
    builder.memory([(thread.stack_base, thread.stack) for thread in threads])
    builder.misc(PROCESS, started=TIME - 1800)
    builder.stream(0x47670005, b"DISTRIB_ID=Debian\nDISTRIB_RELEASE=12\nDISTRIB_CODENAME=bookworm\n")
    builder.stream(0x47670009, "".join(_maps()).encode())
    return builder.build()


def _maps() -> list[str]:
    """Return a /proc/PID/maps in which the first nine tenths of each module are code."""
    lines = []
    for base, size, path in MODULES:
        code = size * 9 // 10 & ~0xFFF
        lines.append(f"{base:x}-{base + code:x} r-xp 00000000 08:01 131103 {path}\n")
        lines.append(f"{base + code:x}-{base + size:x} rw-p {code:08x} 08:01 131103 {path}\n")
    return lines


def _thread(index: int, name: str, calls: tuple[tuple[int, int], ...]) -> ThreadSpec:
    """Return a thread whose frames have some words each, and are chained by frame pointers."""
    generator = random.Random(index)
    base = _STACKS + index * 0x10_0000
    sizes = [2 * generator.randint(1, 12) for _ in calls]
    words: list[int] = []
    (module, offset), *callers = calls
    frame_pointer = base + 8 * sizes[0]
    for number, (size, caller) in enumerate(zip(sizes, callers, strict=False)):
        words += [generator.randrange(1 << 32) for _ in range(size)]
        is_last = number == len(callers) - 1
        saved = 0 if is_last else base + 8 * (len(words) + 2 + sizes[number + 1])
        words += [saved, caller[0] + caller[1]]
    words += [0] * 8
    registers = {
        "rip": module + offset,
        "rsp": base,
        "rbp": frame_pointer,
        "rbx": generator.randrange(1 << 47),
        "r12": generator.randrange(1 << 47),
    }
    return ThreadSpec(PROCESS + index, context("amd64", registers), base, pack(f"<{len(words)}Q", *words), name)
