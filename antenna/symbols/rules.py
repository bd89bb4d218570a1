# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Evaluates rules of call frame information, which say how to find the registers of a frame's caller.

A set of rules is text such as ``.cfa: $rsp 16 + .ra: .cfa -8 + ^ $rbp: .cfa -16 + ^``. It has names, each followed by a
colon and an expression in postfix notation. ``.cfa`` is the canonical frame address, which becomes the caller's stack
pointer. ``.ra`` is the return address. The other names are registers, with a ``$`` in front on x86 and amd64. ``^``
reads a word of memory.

Source of the notation: https://chromium.googlesource.com/breakpad/breakpad/+/HEAD/docs/symbol_files.md
"""

from collections.abc import Callable, Mapping

from antenna.minidump import Registers

Word = Callable[[int], int | None]

CFA = ".cfa"
RETURN_ADDRESS = ".ra"

# Registers that a function restores before it returns, if no rule says otherwise. They are those of the calling
# conventions of System V (amd64), of Microsoft (which adds rdi and rsi), and of ARM.
_KEPT = {
    "x86": ("ebp", "ebx", "esi", "edi"),
    "amd64": ("rbp", "rbx", "rdi", "rsi", "r12", "r13", "r14", "r15"),
    "arm": ("r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11"),
    "arm64": (*(f"x{number}" for number in range(19, 30)),),
}

# Most words of an expression. Real ones have ten.
_MAX_WORDS = 64


class RuleError(Exception):
    """An expression cannot be evaluated: it is broken, or needs memory or a register that is not known."""


def parse(text: str) -> dict[str, str]:
    """Return the expression for each name in a set of rules. Words before the first name are left out."""
    rules: dict[str, list[str]] = {}
    words: list[str] = []
    for word in text.split():
        if word.endswith(":"):
            words = rules.setdefault(word[:-1].removeprefix("$"), [])
            words.clear()
        else:
            words.append(word)
    return {name: " ".join(expression) for name, expression in rules.items()}


def format_rules(rules: Mapping[str, str]) -> str:
    """Return the text of a set of rules. Equal sets have the same text."""
    return " ".join(f"{name}: {expression}" for name, expression in sorted(rules.items()))


def evaluate(expression: str, values: Mapping[str, int], word: Word, mask: int) -> int:
    """Return the value of an expression. Raises ``RuleError``."""
    stack: list[int] = []
    tokens = expression.split()
    if len(tokens) > _MAX_WORDS:
        raise RuleError(f"an expression of {len(tokens)} words")
    for text in tokens:
        if text in _OPERATORS:
            right, left = _pop(stack), _pop(stack)
            stack.append(_OPERATORS[text](left, right) & mask)
        elif text == "^":
            stack.append(read(word, _pop(stack)))
        else:
            stack.append(operand(text, values) & mask)
    value = _pop(stack)
    if stack:
        raise RuleError(f"no operator for all of {expression!r}")
    return value


def operand(token: str, values: Mapping[str, int]) -> int:
    """Return the value of a number or of a register. Raises ``RuleError``."""
    name = token.removeprefix("$")
    if name in values:
        return values[name]
    try:
        return int(token)
    except ValueError as error:
        raise RuleError(f"{token} is not known") from error


def read(word: Word, address: int) -> int:
    """Return the word at an address. Raises ``RuleError``."""
    value = word(address)
    if value is None:
        raise RuleError(f"no memory at {address:#x}")
    return value


def _pop(stack: list[int]) -> int:
    if not stack:
        raise RuleError("an operator without an operand")
    return stack.pop()


def _divide(left: int, right: int) -> int:
    if not right:
        raise RuleError("division by zero")
    return left // right


def _remainder(left: int, right: int) -> int:
    if not right:
        raise RuleError("division by zero")
    return left % right


_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "%": _remainder,
    # This aligns an address, as functions do whose local variables need it.
    "@": lambda left, right: left & -right,
}


def unwind(rules: Mapping[str, str], callee: Registers, word: Word) -> Registers | None:
    """Return the caller's registers. If the rules say that there is no caller, the instruction pointer is 0.

    Returns None if the rules cannot be evaluated, because memory or a register is missing.
    """
    cpu = callee.cpu
    values = dict(callee.values)
    expressions = dict(rules)
    try:
        cfa = evaluate(expressions.pop(CFA, ""), values, word, cpu.mask)
    except RuleError:
        return None
    if RETURN_ADDRESS not in expressions or expressions[RETURN_ADDRESS] == ".undef":
        # The outermost function, such as _start, has no return address (DWARF 5 section 6.4.4).
        return Registers(cpu, {cpu.ip: 0, cpu.sp: cfa})
    values[CFA] = cfa
    caller = {name: values[name] for name in _KEPT[cpu.name] if name in values}
    try:
        caller[cpu.ip] = evaluate(expressions.pop(RETURN_ADDRESS), values, word, cpu.mask)
    except RuleError:
        return None
    caller[cpu.sp] = cfa
    for name, expression in expressions.items():
        register = _register(cpu.name, name)
        try:
            caller[register] = evaluate(expression, values, word, cpu.mask)
        except RuleError:
            # This register is lost. The walk may not need it.
            caller.pop(register, None)
    return Registers(cpu, caller)


def _register(cpu: str, name: str) -> str:
    """Return the name that the minidump reader has for a register."""
    if cpu == "arm64":
        return {"fp": "x29", "lr": "x30"}.get(name, name)
    if cpu == "arm":
        return {"fp": "r11", "r13": "sp", "r14": "lr", "r15": "pc"}.get(name, name)
    return name
