# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Call frame information of 32-bit Windows: the records ``STACK WIN`` of Breakpad's symbol files.

A record says how many bytes a function's parameters, saved registers and locals take, and has either a program that
computes the caller's registers (frame data), or only whether the function uses the frame pointer for something else
(frame pointer omission). The variables of a program are those that the debuggers of Microsoft document in DIA.
"""

from collections.abc import Callable
from dataclasses import dataclass

from antenna.minidump import Registers
from antenna.symbols.rules import RuleError, Word, evaluate

# Words above the place where the return address should be that are searched for one: functions keep more on the stack
# than their records say, such as the arguments of a call that they are preparing.
_SEARCHED_WORDS = 30

_WORD = 4

# Kinds of records that say something of frames.
_FRAME_DATA = "4"
_FRAME_POINTER_OMISSION = "0"

# What a record without a program means: the return address is where the search finds it, the caller's stack above it.
_FPO = "$eip .raSearchStart ^ = $esp .raSearchStart 4 + ="
_FPO_WITH_FRAME_POINTER = f"$ebp $esp .cbCalleeParams + .cbSavedRegs + 8 - ^ = {_FPO}"


@dataclass(frozen=True, slots=True)
class WindowsRule:
    """A record ``STACK WIN``. Sizes are bytes."""

    parameters: int
    saved: int
    local: int
    program: str
    """Empty for frame pointer omission."""
    uses_frame_pointer: bool
    """Whether the function uses the frame pointer register for something else; without a program only."""


def parse(line: str) -> tuple[int, int, WindowsRule] | None:
    """Return address, size and rule of a line ``STACK WIN``, or None for a kind that is not used.

    Raises ``ValueError`` for a line that is cut.
    """
    _, _, *fields = line.split(" ", 12)
    kind, address, size, _prologue, _epilogue, parameters, saved, local, _most, has_program, last = fields
    if kind not in {_FRAME_DATA, _FRAME_POINTER_OMISSION}:
        return None
    has = has_program == "1"
    last = last.strip()
    rule = WindowsRule(
        int(parameters, 16), int(saved, 16), int(local, 16), last if has else "", not has and last == "1"
    )
    return int(address, 16), int(size, 16), rule


def unwind(
    rule: WindowsRule, callee_parameters: int, callee: Registers, word: Word, is_code: Callable[[int], bool]
) -> Registers | None:
    """Return the caller's registers, or None if the rule cannot be followed.

    ``callee_parameters`` are the bytes that the frame below has put on this one's stack as its parameters.
    """
    start = callee.sp + callee_parameters + rule.local + rule.saved
    found = _find_return_address(start, word, is_code)
    variables = {name: value for name, value in callee.values.items() if name in {"eip", "esp", "ebp", "ebx"}}
    variables |= {
        ".raSearch": found,
        ".raSearchStart": found,
        ".cbParams": rule.parameters,
        ".cbCalleeParams": callee_parameters,
        ".cbSavedRegs": rule.saved,
        ".cbLocals": rule.local,
    }
    program = rule.program or (_FPO_WITH_FRAME_POINTER if rule.uses_frame_pointer else _FPO)
    try:
        assigned = _run(program, variables, word, callee.cpu.mask)
    except RuleError:
        return None
    if "eip" not in assigned or "esp" not in assigned:
        return None
    kept = {name: value for name, value in callee.values.items() if name in {"ebp", "ebx", "esi", "edi"}}
    return Registers(callee.cpu, kept | {name: value for name, value in assigned.items() if name[:1] == "e"})


def _find_return_address(start: int, word: Word, is_code: Callable[[int], bool]) -> int:
    for address in range(start, start + _SEARCHED_WORDS * _WORD, _WORD):
        value = word(address)
        if value is not None and is_code(value):
            return address
    return start


def _run(program: str, variables: dict[str, int], word: Word, mask: int) -> dict[str, int]:
    """Run assignments such as ``$T0 $ebp = $eip $T0 4 + ^ =``; return their values. Raises ``RuleError``."""
    assigned: dict[str, int] = {}
    words: list[str] = []
    for text in program.split():
        if text != "=":
            words.append(text)
            continue
        if not words or not words[0].startswith("$"):
            raise RuleError(f"nothing is assigned to in {program!r}")
        expression = " ".join(words[1:])
        assigned[words[0].removeprefix("$")] = evaluate(expression, variables | assigned, word, mask)
        words = []
    return assigned
