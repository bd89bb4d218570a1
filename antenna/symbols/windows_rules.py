# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Evaluates call frame information of 32-bit Windows: the ``STACK WIN`` records of Breakpad's symbol files.

A record says how many bytes a function's parameters, saved registers and local variables take. It also has either a
program that computes the caller's registers (frame data), or only a flag whether the function uses the frame pointer
for something else (frame pointer omission). The variables of a program are those that Microsoft documents for DIA.
"""

from collections.abc import Callable
from dataclasses import dataclass

from antenna.minidump import Registers
from antenna.symbols.rules import RuleError, Word, evaluate

# Words that are searched for the return address, from the place where it should be. Functions keep more on the stack
# than their records say, such as the arguments of a call that they are about to make.
_SEARCHED_WORDS = 30

_WORD = 4

# The kinds of records that are about frames.
_FRAME_DATA = "4"
_FRAME_POINTER_OMISSION = "0"

# The programs for records without one: the search finds the return address, and the caller's stack is above it.
_FPO = "$eip .raSearchStart ^ = $esp .raSearchStart 4 + ="
_FPO_WITH_FRAME_POINTER = f"$ebp $esp .cbCalleeParams + .cbSavedRegs + 8 - ^ = {_FPO}"


@dataclass(frozen=True, slots=True)
class WindowsRule:
    """A ``STACK WIN`` record. Sizes are in bytes."""

    parameters: int
    saved: int
    local: int
    program: str
    """The program. It is empty for frame pointer omission."""
    uses_frame_pointer: bool
    """Whether the function uses the frame pointer for something else. It is False if there is a program."""


def parse(line: str) -> tuple[int, int, WindowsRule] | None:
    """Return address, size and rule of a ``STACK WIN`` line, or None if its kind is not used.

    Raises ``ValueError`` if the line is cut.
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
    """Return the caller's registers, or None if the rule cannot be evaluated.

    ``callee_parameters`` is the number of bytes of parameters that this frame has put on the stack for the frame it
    calls.
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
    """Run assignments such as ``$T0 $ebp = $eip $T0 4 + ^ =``. Returns the values. Raises ``RuleError``."""
    assigned: dict[str, int] = {}
    words: list[str] = []
    for text in program.split():
        if text != "=":
            words.append(text)
            continue
        if not words or not words[0].startswith("$"):
            raise RuleError(f"there is no variable to assign to in {program!r}")
        expression = " ".join(words[1:])
        assigned[words[0].removeprefix("$")] = evaluate(expression, variables | assigned, word, mask)
        words = []
    return assigned
