# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A dump with every stream that the reader knows, which no reporter would write."""

from tests.support.minidumps.builder import DumpBuilder, ModuleSpec, ThreadSpec
from tests.support.minidumps.contexts import context
from tests.support.minidumps.samples import APP, MAIN, STACK, WORKER, Platform, crash_builder, stack_and_registers

MAPS = """\
00400000-00480000 r-xp 00000000 08:01 131103 /opt/My App/MyApp
00480000-00500000 rw-p 00080000 08:01 131103 /opt/My App/MyApp
60000000-60021000 rw-p 00000000 00:00 0 [stack]
not a mapping
70000000-70000000 r--p 00000000 00:00 0
"""
ENVIRONMENT = b"HOME=/home/user\0TOKEN=secret\0"
TEXTS = {
    0x47670003: b"processor\t: 0\n",
    0x47670004: b"Name:\tMyApp\nTgid:\t4242\n",
    0x47670005: b"DISTRIB_ID=Debian\n",
    0x47670006: b"MyApp\0--profile\0secret\0",
    0x47670007: ENVIRONMENT,
    0x4D7A0003: b"Limit  Soft Limit\n",
}


def everything_builder(platform: Platform) -> DumpBuilder:
    """Return a builder that has a crash on a platform and all other streams."""
    builder = crash_builder(platform)
    annotations = builder.module_annotations(
        lines=["abort() called"],
        simple={"channel": "beta"},
        objects=[("name", 1, b"value"), ("number", 0x8000, b"\x01\x02"), ("unset", 0, b"")],
    )
    builder.crashpad({"prod": "MyApp", "ver": "1.2"}, [(1, annotations)])
    builder.unloaded_modules([ModuleSpec(0x7000_0000, 0x1000, "C:\\Temp\\gone.dll", time_stamp=0x5F00_0001)])
    builder.memory_64([(0x7100_0000, b"first"), (0x7100_0005, b"second")])
    builder.memory_info(
        [(APP, 0x80000, 0x1000, 0x20), (APP + 0x80000, 0x80000, 0x1000, 0x104), (0, 0x1000, 0x10000, 1)]
    )
    builder.breakpad_info(7, MAIN)
    builder.assertion("x != nullptr", "run", "main.cc", 42, 1)
    builder.stream(10, b"a comment\0and what follows")
    builder.stream(11, "a w\u00efde comment".encode("utf-16-le"))
    builder.mac_crash_info([("/usr/lib/libc++.dylib", "terminating"), ("/usr/lib/empty.dylib", "")])
    builder.stream(0x47670009, MAPS.encode())
    for number, text in TEXTS.items():
        builder.stream(number, text)
    return builder


def everything(platform: Platform) -> bytes:
    """Return the dump."""
    return everything_builder(platform).build()


def threads_with_start_addresses(platform: Platform) -> bytes:
    """Return a dump that has the start addresses of its threads, as on Windows."""
    builder = DumpBuilder()
    stack, registers = stack_and_registers(platform)
    content = context(platform.context_kind or platform.cpu, registers)
    builder.system(platform.os, platform.cpu)
    builder.threads(
        [ThreadSpec(MAIN, content, STACK, stack), ThreadSpec(WORKER, content, start_address=APP + 0x70)], padding=True
    )
    return builder.build()
