# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Rules of call frame information in Breakpad's notation."""

import pytest

from antenna.minidump import Registers
from antenna.minidump.cpu import AMD64, ARM64
from antenna.symbols import rules
from antenna.symbols.rules import RuleError, evaluate, parse, unwind

MASK = (1 << 64) - 1
MEMORY = {0x1000: 42, 0x1008: 0x401000, 0x0FF8: 0x2000}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("5", 5),
        ("-8", MASK - 7),
        ("$rsp 16 +", 0x1010),
        ("rsp 16 +", 0x1010),
        ("$rsp 8 + ^", 0x401000),
        ("7 3 -", 4),
        ("3 7 -", MASK - 3),
        ("6 7 *", 42),
        ("43 2 /", 21),
        ("43 4 %", 3),
        ("$rsp 24 + 16 @", 0x1010),
    ],
)
def test_expressions_have_values(expression: str, expected: int) -> None:
    assert evaluate(expression, {"rsp": 0x1000}, MEMORY.get, MASK) == expected


@pytest.mark.parametrize(
    "expression",
    ["", "+", "1 +", "1 2", "^", "$rax", "0 ^", "1 0 /", "1 0 %", "five", "1 " * 100, ".cfa", "$rsp $rsp"],
)
def test_expressions_without_a_value_say_so(expression: str) -> None:
    with pytest.raises(RuleError):
        evaluate(expression, {"rsp": 0x1000}, MEMORY.get, MASK)


def test_rule_sets_are_parsed_and_written() -> None:
    parsed = parse("garbage .cfa: $rsp 16 + .ra: .cfa -8 + ^ $rbp: .cfa -16 + ^")
    assert parsed == {".cfa": "$rsp 16 +", ".ra": ".cfa -8 + ^", "rbp": ".cfa -16 + ^"}
    assert parse(rules.format_rules(parsed)) == parsed


def callee(**values: int) -> Registers:
    return Registers(AMD64, {"rip": 0x400500, "rsp": 0x0FF8, **values})


def test_caller_has_what_the_rules_say_and_keeps_the_rest() -> None:
    found = unwind(parse(".cfa: $rsp 24 + .ra: .cfa -8 + ^ $rbp: .cfa -16 + ^"), callee(rbx=7, rax=8), MEMORY.get)
    assert found is not None
    # No call preserves rax.
    assert found.values == {"rip": 0x401000, "rsp": 0x1010, "rbp": 42, "rbx": 7}


@pytest.mark.parametrize("text", [".cfa: $rsp 24 +", ".cfa: $rsp 24 + .ra: .undef"])
def test_function_without_a_return_address_is_the_outermost(text: str) -> None:
    found = unwind(parse(text), callee(), MEMORY.get)
    assert found is not None
    assert found.ip == 0


@pytest.mark.parametrize("text", ["", ".ra: 5", ".cfa: $r15 .ra: .cfa ^", ".cfa: 0 .ra: .cfa ^"])
def test_rules_that_cannot_be_followed_find_nobody(text: str) -> None:
    assert unwind(parse(text), callee(), MEMORY.get) is None


def test_a_register_that_cannot_be_read_is_lost_alone() -> None:
    found = unwind(parse(".cfa: $rsp 24 + .ra: .cfa -8 + ^ $rbp: 0 ^"), callee(rbp=5), MEMORY.get)
    assert found is not None
    assert found.get("rbp") is None


def test_arm64_has_other_names_for_some_registers() -> None:
    registers = Registers(ARM64, {"pc": 0x400500, "sp": 0x0FF8, "x30": 0x401234, "x29": 1})
    found = unwind(parse(".cfa: sp 24 + .ra: x30 fp: .cfa -16 + ^"), registers, MEMORY.get)
    assert found is not None
    assert found.values == {"pc": 0x401234, "sp": 0x1010, "x29": 42}
