# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Call frame information of 32-bit Windows."""

import pytest

from antenna.minidump import Registers
from antenna.minidump.cpu import X86
from antenna.symbols.windows_rules import WindowsRule, parse, unwind

FRAME_DATA = "STACK WIN 4 1000 30 0 0 8 4 10 0 1 $T0 $ebp = $eip $T0 4 + ^ = $ebp $T0 ^ = $esp $T0 8 + ="
CODE = 0x401234
NO_MEMORY: dict[int, int] = {}


def is_code(address: int) -> bool:
    return address == CODE


def registers(**values: int) -> Registers:
    return Registers(X86, {"eip": 0x401010, "esp": 0x1000, "ebp": 0x2000, "ebx": 3, **values})


def test_records_are_parsed() -> None:
    program = FRAME_DATA.partition(" 1 $")[2]
    assert parse(FRAME_DATA) == (0x1000, 0x30, WindowsRule(8, 4, 16, f"${program}", uses_frame_pointer=False))
    omitted = parse("STACK WIN 0 2000 10 0 0 4 8 c 0 0 1")
    assert omitted == (0x2000, 0x10, WindowsRule(4, 8, 12, "", uses_frame_pointer=True))
    assert parse("STACK WIN 3 2000 10 0 0 4 8 c 0 0 1") is None


@pytest.mark.parametrize(
    "line", ["STACK WIN 4", "STACK WIN 4 x 30 0 0 8 4 10 0 1 $T0", "STACK WIN 4 1000 30 0 0 8 4 10"]
)
def test_cut_records_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|values to unpack"):
        parse(line)


def test_a_program_computes_the_caller() -> None:
    parsed = parse(FRAME_DATA)
    assert parsed is not None
    memory = {0x2000: 0x3000, 0x2004: CODE}
    found = unwind(parsed[2], 0, registers(), memory.get, is_code)
    assert found is not None
    assert (found.ip, found.sp, found.fp, found.get("ebx")) == (CODE, 0x2008, 0x3000, 3)


@pytest.mark.parametrize(("uses_frame_pointer", "frame_pointer"), [(False, 0x2000), (True, 0x7777)])
def test_a_return_address_is_searched_without_a_program(uses_frame_pointer: bool, frame_pointer: int) -> None:
    # 4 bytes of the callee's parameters, 12 of locals, 8 of saved registers; two words more than the record says.
    memory = {0x1000 + 4 + 8 - 8: 0x7777, 0x1000 + 24 + 8: CODE}
    rule = WindowsRule(4, 8, 12, "", uses_frame_pointer=uses_frame_pointer)
    found = unwind(rule, 4, registers(), memory.get, is_code)
    assert found is not None
    assert (found.ip, found.sp, found.fp) == (CODE, 0x1024, frame_pointer)


@pytest.mark.parametrize("program", ["=", "$eip =", "5 5 =", "$eip $nobody =", "$eip 0 ^ =", "$esp 4 ="])
def test_broken_programs_find_nobody(program: str) -> None:
    assert (
        unwind(WindowsRule(0, 0, 0, program, uses_frame_pointer=False), 0, registers(), NO_MEMORY.get, is_code) is None
    )
