# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The walk goes on from the handler of a signal to the code that the signal interrupted."""

from struct import pack

import pytest

from antenna.minidump import Minidump, StackWalker
from antenna.minidump.stack import MAX_FRAMES
from tests.support.minidumps.builder import DumpBuilder, ThreadSpec
from tests.support.minidumps.contexts import context
from tests.support.minidumps.samples import APP, LIBRARY, MAC, MAIN, PLATFORMS, STACK, Platform, modules
from tests.support.minidumps.signal_frames import amd64_frame, arm64_frame

HANDLER = APP + 0x100
# The handler returns to it: a few instructions of libc, or of the kernel's vdso.
RESTORER = LIBRARY + 0x700
INTERRUPTED = APP + 0x2000
CALLER = APP + 0x3000
# A stack of the thread's own, on which the signal found it.
OTHER_STACK = STACK - 0x10000

AMD64_FRAME = amd64_frame(ip=INTERRUPTED, sp=OTHER_STACK, fpu=STACK + 0x400)
# The link register is that of a call that has returned.
ARM64_FRAME = arm64_frame(ip=INTERRUPTED, sp=OTHER_STACK, lr=INTERRUPTED + 4)
LINUX = {platform.cpu: platform for platform in PLATFORMS if platform.os == "Linux"}


def walked(frame: bytes | bytearray, platform: Platform) -> list[tuple[str, int]]:
    """Return how each frame was found, and where it was, after a handler that has returned to its restorer."""
    names = {"amd64": ("rip", "rsp"), "arm64": ("pc", "sp")}[platform.cpu]
    content = context(platform.cpu, dict(zip(names, (HANDLER, STACK), strict=True)))
    stack = pack("<2Q", 0, RESTORER) + frame
    builder = DumpBuilder()
    builder.system(platform.os, platform.cpu)
    builder.threads([ThreadSpec(MAIN, content, STACK, stack)])
    builder.modules(modules(platform))
    builder.memory([(OTHER_STACK, pack("<6Q", 0, 0, 0, CALLER, 0, 0))])
    dump = Minidump(builder.build())
    return [(frame.trust.value, frame.instruction) for frame in StackWalker(dump).walk(dump.threads[0]).frames]


@pytest.mark.parametrize(("frame", "cpu"), [(AMD64_FRAME, "amd64"), (ARM64_FRAME, "arm64")], ids=["amd64", "arm64"])
def test_interrupted_code_is_known_exactly(frame: bytearray, cpu: str) -> None:
    adjustment = {"amd64": 1, "arm64": 4}[cpu]
    assert walked(frame, LINUX[cpu]) == [
        ("context", HANDLER),
        ("scan", RESTORER - adjustment),
        # No call has stood before this instruction: it is the very one.
        ("context", INTERRUPTED),
        ("frame_pointer", CALLER - adjustment),
    ]


def test_a_jump_to_nowhere_may_have_been_interrupted() -> None:
    frames = walked(amd64_frame(ip=0, sp=OTHER_STACK + 24), LINUX["amd64"])
    assert frames[2:] == [("context", 0), ("frame_pointer", CALLER - 1)]


@pytest.mark.parametrize(
    ("frame", "platform"),
    [
        (amd64_frame(ip=INTERRUPTED, sp=OTHER_STACK, cs=0x10), LINUX["amd64"]),
        (amd64_frame(ip=INTERRUPTED, sp=OTHER_STACK, fpu=OTHER_STACK), LINUX["amd64"]),
        (AMD64_FRAME[:200], LINUX["amd64"]),
        (arm64_frame(ip=INTERRUPTED, sp=OTHER_STACK, lr=0, magic=0), LINUX["arm64"]),
        (ARM64_FRAME, MAC),
    ],
    ids=["of the kernel", "state elsewhere", "cut", "no record", "macOS"],
)
def test_other_frames_are_none_of_a_signal(frame: bytearray, platform: Platform) -> None:
    assert "context" not in [how for how, _ in walked(frame, platform)[1:]]


def test_a_signal_that_interrupts_itself_ends_at_the_limit() -> None:
    assert len(walked(amd64_frame(ip=INTERRUPTED, sp=STACK + 16), LINUX["amd64"])) == MAX_FRAMES
