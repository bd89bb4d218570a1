# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Stacks are walked by call frame information, frame pointers and scanning. Each frame says how it was found."""

from struct import pack

import pytest

from antenna.minidump import DumpFacts, Frame, Minidump, Process, Registers, Stack, StackWalker, Trust
from antenna.minidump.stack import MAX_FRAMES
from tests.support.minidumps.builder import DumpBuilder, ThreadSpec
from tests.support.minidumps.contexts import context
from tests.support.minidumps.read import describe
from tests.support.minidumps.samples import (
    APP,
    APP_SIZE,
    LIBRARY,
    LINUX,
    MAC,
    MAIN,
    PLATFORMS,
    STACK,
    WINDOWS,
    Platform,
    crash,
    modules,
)

DATA = APP + 0x90000
ARM = next(platform for platform in PLATFORMS if platform.name == "Linux-arm")
IP = {"x86": "eip", "amd64": "rip", "arm": "pc", "arm64": "pc"}
SP = {"x86": "esp", "amd64": "rsp", "arm": "sp", "arm64": "sp"}
FP = {"x86": "ebp", "amd64": "rbp", "arm": "r11", "arm64": "x29"}
LR = {"arm": "lr", "arm64": "x30"}


def built(
    words: list[int],
    *,
    platform: Platform = LINUX,
    ip: int = APP + 0x100,
    fp: int = 0,
    lr: int = 0,
    address: int = 0x10,
    code: tuple[int, int] | None = None,
) -> Minidump:
    """Return a dump with a stack. With ``code``, the memory map says that there is code, and nowhere else."""
    cpu = platform.cpu
    registers = {IP[cpu]: ip, SP[cpu]: STACK, FP[cpu]: fp}
    if cpu in LR:
        registers[LR[cpu]] = lr
    content = context(cpu, registers)
    builder = DumpBuilder()
    builder.system(platform.os, cpu)
    builder.exception(MAIN, platform.code, platform.flags, address, context=content)
    stack = pack(f"<{len(words)}{'I' if platform.word == 4 else 'Q'}", *words)
    builder.threads([ThreadSpec(MAIN, content, STACK, stack)])
    builder.modules(modules(platform))
    if code is not None:
        base, size = code
        builder.memory_info([(base, size, 0x1000, 0x20), (base + size, APP_SIZE, 0x1000, 0x04)])
    return Minidump(builder.build())


def walked(dump: Minidump) -> Stack:
    return StackWalker(dump).walk(dump.threads[0])


def places(stack: Stack) -> list[tuple[str, int]]:
    return [(frame.trust.value, frame.instruction) for frame in stack.frames]


def test_without_frame_pointers_the_stack_is_scanned() -> None:
    words = [1, 2, STACK + 8, APP + 0x500, 3, LIBRARY + 0x700, *[0] * 50]
    assert describe(walked(built(words))) == [
        ("context", "MyApp", 0x100),
        ("scan", "MyApp", 0x4FF),
        ("scan", "libc.so.6", 0x6FF),
    ]


def test_scanned_frames_are_guesses() -> None:
    first, second = walked(built([APP + 0x500])).frames
    assert (first.is_guess, second.is_guess) == (False, True)


@pytest.mark.parametrize(("gap", "found"), [(159, True), (160, False)])
def test_scanning_looks_at_so_many_words_from_the_registers(gap: int, found: bool) -> None:
    assert (len(walked(built([0] * gap + [APP + 0x500])).frames) == 2) is found


@pytest.mark.parametrize(("gap", "found"), [(39, True), (40, False)])
def test_scanning_looks_at_fewer_words_from_a_guess(gap: int, found: bool) -> None:
    assert (len(walked(built([APP + 0x500, *[0] * gap, APP + 0x600])).frames) == 3) is found


def test_data_of_a_module_is_no_return_address_where_the_dump_knows() -> None:
    words = [DATA, APP + 0x500]
    assert [place for _, place in places(walked(built(words)))] == [APP + 0x100, DATA - 1, APP + 0x4FF]
    known = built(words, code=(APP, 0x80000))
    assert [place for _, place in places(walked(known))] == [APP + 0x100, APP + 0x4FF]


def test_a_scanned_frame_may_lead_back_to_frame_pointers() -> None:
    # The callee has not changed the frame pointer of its caller, and the pointer is valid.
    words = [7, APP + 0x500, 8, 9, 0, LIBRARY + 0x700, 0, 0]
    stack = walked(built(words, fp=STACK + 32))
    assert places(stack)[1:] == [("frame_pointer", LIBRARY + 0x6FF)]
    # Without it, the word below the return address is taken for the frame pointer that the callee saved.
    words = [STACK + 32, APP + 0x500, 8, 9, 0, LIBRARY + 0x700, 0, 0]
    assert places(walked(built(words)))[1:] == [("scan", APP + 0x4FF), ("frame_pointer", LIBRARY + 0x6FF)]


@pytest.mark.parametrize(
    "fp",
    [STACK + 4, STACK - 16, STACK + 0x10000, 0xFFFF_FFFF_FFFF_FFF8, STACK + 24],
    ids=["unaligned", "below", "no memory", "wraps", "no frame"],
)
def test_what_is_no_frame_pointer_is_not_followed(fp: int) -> None:
    words = [0, 0, 0, 5, 6, APP + 0x500]
    assert places(walked(built(words, fp=fp)))[1:] == [("scan", APP + 0x4FF)]


def test_the_last_frame_of_a_chain_may_use_the_register_for_something_else() -> None:
    # glibc's __libc_start_call_main, which calls main, has such a frame.
    words = [STACK + 16, APP + 0x500, 1, LIBRARY + 0x700, APP + 0x600]
    assert places(walked(built(words, fp=STACK))) == [
        ("context", APP + 0x100),
        ("frame_pointer", APP + 0x4FF),
        ("frame_pointer", LIBRARY + 0x6FF),
        ("scan", APP + 0x5FF),
    ]


def test_frame_pointers_that_lead_in_a_circle() -> None:
    words = [STACK, APP + 0x500, STACK, APP + 0x600]
    stack = walked(built(words, fp=STACK))
    assert [trust for trust, _ in places(stack)] == ["context", "scan", "scan"]


def test_endless_recursion_is_cut() -> None:
    words = [word for number in range(3000) for word in (STACK + 16 * (number + 1), APP + 0x500)]
    stack = walked(built(words, fp=STACK))
    assert len(stack.frames) == MAX_FRAMES
    assert stack.cut == "only 1,024 frames were walked"


def test_frames_of_code_compiled_at_run_time_are_followed_by_frame_pointers() -> None:
    jit = 0x3000_0000
    words = [STACK + 16, jit + 0x50, 0, APP + 0x500]
    assert places(walked(built(words, fp=STACK, code=(jit, 0x1000))))[1] == ("frame_pointer", jit + 0x4F)
    assert places(walked(built(words, fp=STACK)))[1] == ("scan", APP + 0x4FF)


@pytest.mark.parametrize("platform", [LINUX, WINDOWS], ids=lambda platform: platform.name)
def test_after_a_jump_to_nowhere_the_caller_is_at_the_top_of_the_stack(platform: Platform) -> None:
    words = [APP + 0x500, 1, 0, APP + 0x600]
    dump = built(words, platform=platform, ip=0x10, fp=STACK + 2 * platform.word)
    assert places(walked(dump)) == [("context", 0x10), ("frame_pointer", APP + 0x4FF), ("frame_pointer", APP + 0x5FF)]


@pytest.mark.parametrize("platform", [ARM, MAC], ids=lambda platform: platform.name)
def test_after_a_jump_to_nowhere_the_link_register_has_the_caller(platform: Platform) -> None:
    dump = built([0, 0], platform=platform, ip=0x10, lr=APP + 0x500)
    adjustment = 2 if platform.cpu == "arm" else 4
    assert places(walked(dump)) == [("context", 0x10), ("frame_pointer", APP + 0x500 - adjustment)]


def test_a_leaf_function_of_arm_has_its_caller_in_the_link_register() -> None:
    words = [0, 0, 0, APP + 0x8000]
    dump = built(words, platform=MAC, lr=APP + 0x5000, fp=STACK + 16)
    assert places(walked(dump))[1:] == [
        ("frame_pointer", APP + 0x5000 - 4),
        ("frame_pointer", APP + 0x8000 - 4),
    ]


def test_a_link_register_that_points_into_the_function_itself_is_stale() -> None:
    words = [0, 0, 0, APP + 0x8000]
    dump = built(words, platform=MAC, lr=APP + 0x180, fp=STACK + 16)
    assert places(walked(dump))[1:] == [("frame_pointer", APP + 0x8000 - 4)]


def test_signatures_of_return_addresses_are_taken_off() -> None:
    signed = 0xA5 << 56 | APP + 0x8000
    dump = built([0, 0, 0, signed], platform=MAC, fp=STACK + 16)
    assert places(walked(dump))[1:] == [("frame_pointer", APP + 0x8000 - 4)]


def test_return_addresses_to_thumb_code_are_odd() -> None:
    dump = built([0, 0, 0, APP + 0x8001], platform=ARM, fp=STACK + 8)
    assert places(walked(dump))[1:] == [("frame_pointer", APP + 0x8000 - 2)]


def registers_for(frame: Frame, ip: int, sp: int) -> Registers:
    return Registers(frame.registers.cpu, {"rip": ip, "rsp": sp, "rbp": 0})


def test_call_frame_information_comes_first() -> None:
    def unwind(frame: Frame, process: Process) -> Registers | None:
        if frame.index:
            return None
        assert frame.module is not None
        assert process.memory.word(frame.registers.sp, 8) == APP + 0x500
        return registers_for(frame, LIBRARY + 0x40, STACK + 8)

    dump = built([APP + 0x500, APP + 0x600])
    stack = StackWalker(dump, [(Trust.CFI, unwind)]).walk(dump.threads[0])
    assert places(stack) == [("context", APP + 0x100), ("cfi", LIBRARY + 0x3F), ("scan", APP + 0x5FF)]


def test_call_frame_information_says_where_the_stack_ends() -> None:
    dump = built([APP + 0x500])
    ends = StackWalker(dump, [(Trust.CFI, lambda frame, _: registers_for(frame, 0, STACK + 8))])
    assert len(ends.walk(dump.threads[0]).frames) == 1


def test_call_frame_information_that_goes_nowhere_is_not_followed() -> None:
    dump = built([APP + 0x500])
    stuck = StackWalker(dump, [(Trust.CFI, lambda frame, _: registers_for(frame, APP + 0x40, STACK))])
    assert places(stuck.walk(dump.threads[0])) == [("context", APP + 0x100), ("scan", APP + 0x4FF)]


def test_the_thread_that_crashed_is_walked_from_where_it_crashed() -> None:
    builder = DumpBuilder()
    builder.system("Linux", "amd64")
    crashed = context("amd64", {"rip": APP + 0x100, "rsp": STACK})
    later = context("amd64", {"rip": LIBRARY + 0x100, "rsp": STACK})
    builder.exception(MAIN, 11, 1, context=crashed)
    builder.threads([ThreadSpec(MAIN, later), ThreadSpec(MAIN + 1, later)])
    builder.modules(modules(LINUX))
    dump = Minidump(builder.build())
    walker = StackWalker(dump)
    tops = [walker.walk(thread).frames[0].instruction for thread in dump.threads]
    assert tops == [APP + 0x100, LIBRARY + 0x100]


def test_a_thread_that_is_not_listed_is_walked_from_where_it_crashed() -> None:
    builder = DumpBuilder()
    builder.system("Linux", "amd64")
    builder.exception(MAIN, 11, 1, context=context("amd64", {"rip": APP + 0x100, "rsp": STACK}))
    builder.modules(modules(LINUX))
    builder.memory([(STACK, pack("<Q", APP + 0x500))])
    facts = DumpFacts(Minidump(builder.build()))
    assert (facts.thread, facts.as_json()["crashing_thread_index"]) == (None, None)
    assert facts.stack is not None
    assert places(facts.stack) == [("context", APP + 0x100), ("scan", APP + 0x4FF)]
    assert facts.summary() == "MyApp · SIGSEGV at 0x0 · MyApp+0x100 · Linux x86_64"


def test_a_thread_without_registers_says_so() -> None:
    builder = DumpBuilder()
    builder.system("Linux", "amd64")
    builder.threads([ThreadSpec(MAIN)])
    assert walked(Minidump(builder.build())).cut == "the dump has no registers of the thread"


def test_stack_memory_is_found_where_only_full_memory_has_it() -> None:
    builder = DumpBuilder()
    builder.system("Windows", "amd64")
    content = context("amd64", {"rip": APP + 0x100, "rsp": STACK})
    builder.threads([ThreadSpec(MAIN, content)])
    builder.modules(modules(LINUX))
    builder.memory_64([(STACK, pack("<Q", APP + 0x500))])
    assert places(walked(Minidump(builder.build()))) == [("context", APP + 0x100), ("scan", APP + 0x4FF)]


def test_frames_above_keep_what_is_known_of_registers() -> None:
    stack = walked(Minidump(crash(LINUX)))
    top, above = stack.frames[:2]
    assert top.registers.get("r12") == 0
    assert above.registers.get("r12") is None
    assert (above.registers.ip, above.registers.sp) == (APP + 0x8000, STACK + 48)
    assert above.module_offset == 0x7FFF
