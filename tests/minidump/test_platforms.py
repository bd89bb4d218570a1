# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The same crash on each platform and CPU reads the same."""

from datetime import timedelta

import pytest

from antenna.minidump import Kind, Minidump, StackWalker
from tests.support.minidumps.builder import TIME
from tests.support.minidumps.read import describe
from tests.support.minidumps.samples import (
    APP,
    BUILD_ID,
    CALLS,
    CRASH_OFFSET,
    MAIN,
    PLATFORMS,
    Platform,
    crash,
)

ADJUSTMENTS = {"x86": 1, "amd64": 1, "arm": 2, "arm64": 4}
platforms = pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)


@platforms
def test_what_crashed(platform: Platform) -> None:
    dump = Minidump(crash(platform))
    assert dump.damage == ()
    assert dump.system is not None
    assert (dump.system.os, dump.system.cpu) == (platform.os, platform.cpu)
    assert dump.system.os_version == f"{'.'.join(map(str, platform.version))} {platform.version_name}".strip()
    assert dump.reason is not None
    assert (dump.reason.text, dump.reason.address, dump.reason.kind) == (platform.reason, 0x10, Kind.CRASH)
    assert dump.time is not None
    assert dump.time.timestamp() == TIME
    assert dump.uptime == timedelta(seconds=90)
    assert dump.misc.process_id == MAIN


@platforms
def test_threads(platform: Platform) -> None:
    dump = Minidump(crash(platform))
    assert [(thread.index, thread.id, thread.name) for thread in dump.threads] == [
        (0, MAIN, "MainThread"),
        (1, 4250, "Worker #1"),
    ]
    assert dump.crashing_thread is dump.requesting_thread is dump.threads[0]
    assert dump.exception is not None
    for registers in (dump.exception.registers, dump.threads[1].registers):
        assert registers is not None
        assert registers.cpu.name == platform.cpu
        assert registers.ip == APP + CRASH_OFFSET


@platforms
def test_modules(platform: Platform) -> None:
    program, library = Minidump(crash(platform)).modules
    assert (program.code_file, program.name.removesuffix(".exe"), program.base) == (platform.paths[0], "MyApp", APP)
    assert library.code_file == platform.paths[1]
    expected = {
        "Windows": ("112233445566778899AABBCCDDEEFF001", "5F000000100000", "1.2.3.4"),
        "macOS": ("112233445566778899AABBCCDDEEFF000", "112233445566778899aabbccddeeff00", None),
    }
    expected["iOS"] = expected["macOS"]
    expected["Linux"] = expected["Android"] = ("030201000504070608090A0B0C0D0E0F0", BUILD_ID.hex(), None)
    assert (program.debug_id, program.code_id, program.version) == expected[platform.os]
    is_windows = platform.os == "Windows"
    assert program.debug_file.endswith("MyApp.pdb" if is_windows else "MyApp")


@platforms
def test_stack(platform: Platform) -> None:
    dump = Minidump(crash(platform))
    program, library = (module.name for module in dump.modules)
    adjustment = ADJUSTMENTS[platform.cpu]
    stack = StackWalker(dump).walk(dump.threads[0])
    assert stack.cut == ""
    callers = ((program if module == "MyApp" else library, offset - adjustment) for module, offset in CALLS)
    assert describe(stack) == [
        ("context", program, CRASH_OFFSET),
        *(("frame_pointer", module, offset) for module, offset in callers),
    ]
