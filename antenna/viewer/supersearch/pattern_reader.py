# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads a regular expression, and builds its automaton. The head of ``patterns`` describes the syntax."""

from collections.abc import Callable

from antenna.viewer.supersearch.automaton import MAX_STATES, Automaton, PatternError, Test

# Most characters of an expression, and most levels of brackets. Beyond these it is refused.
_MAX_LENGTH, _MAX_DEPTH = 1000, 50

_CLASSES: dict[str, Test] = {
    "d": str.isdecimal,
    "w": lambda char: char.isalnum() or char == "_",
    "s": str.isspace,
}
_CLASSES |= {
    name.upper(): (lambda char, has=has: not has(char))  # type: ignore[misc]
    for name, has in list(_CLASSES.items())
}

#: A part of an expression: a function that adds its states in front of a given state, and returns the first of them.
Part = Callable[[Automaton, int], int]


class PatternReader:
    """Reads one expression: alternatives of sequences of items, which may be repeated."""

    def __init__(self, text: str) -> None:
        """Read the expression ``text``. Raises ``PatternError``."""
        if len(text) > _MAX_LENGTH:
            raise PatternError(f"it has more than {_MAX_LENGTH} characters")
        self._text, self._position, self._depth = text, 0, 0
        # The text that the last item matches, if it matches only one text.
        self._literal = ""
        #: A text that every match contains.
        self.needed = ""
        self.part = self._alternatives()
        if self._position < len(text):
            raise PatternError("there is a ) without (")

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _take(self, missing: str) -> str:
        char = self._peek()
        if not char:
            raise PatternError(missing)
        self._position += 1
        return char

    def _alternatives(self) -> Part:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._position += 1
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        if not self._depth:
            self.needed = ""
        return lambda automaton, after: automaton.add(None, *(part(automaton, after) for part in parts))

    def _sequence(self) -> Part:
        parts: list[Part] = []
        literal = ""
        while self._peek() not in {"", "|", ")"}:
            item = self._item()
            is_once = self._peek() not in {"?", "*", "+", "{"}
            literal = literal + self._literal if self._literal and is_once else ""
            if not self._depth and len(literal) > len(self.needed):
                self.needed = literal
            parts.append(self._repeated(item))
        return _row(parts)

    def _repeated(self, part: Part) -> Part:
        while (char := self._peek()) and char in "?*+{":
            self._position += 1
            least, most = {"?": (0, 1), "*": (0, None), "+": (1, None)}.get(char) or self._bounds()
            part = self._times(part, least, most)
        return part

    def _bounds(self) -> tuple[int, int | None]:
        inside, closed, _ = self._text[self._position :].partition("}")
        least, comma, most = (piece.strip() for piece in inside.partition(","))
        if not closed or not _is_count(least) or (most and not _is_count(most)):
            raise PatternError("a { is not followed by numbers and }")
        self._position += len(inside) + 1
        if not comma:
            return int(least), int(least)
        if most and int(most) < int(least):
            raise PatternError(f"{{{inside}}} ends before it begins")
        return int(least), int(most) if most else None

    def _times(self, part: Part, least: int, most: int | None) -> Part:
        if max(least, most or 0) > MAX_STATES:
            raise PatternError("it repeats too much")

        def build(automaton: Automaton, after: int) -> int:
            automaton.count_repeats(max(least, most or 0))
            if most is None:
                first = automaton.add(None, after)
                automaton.lead_first(first, part(automaton, first))
            else:
                first = after
                for _ in range(most - least):
                    first = automaton.add(None, part(automaton, first), after)
            return _row([part] * least)(automaton, first)

        return build

    def _item(self) -> Part:
        char = self._take("")
        self._literal = ""
        if char == "(":
            part = self._group()
            self._literal = ""
            return part
        if char == "[":
            return _one(self._set())
        if char == '"':
            quoted, closed, _ = self._text[self._position :].partition('"')
            if not closed:
                raise PatternError('a " is not closed')
            self._position += len(quoted) + 1
            self._literal = quoted
            return _row([_one(_same(one)) for one in quoted])
        if char == ".":
            return _one(lambda _: True)
        if char in "?*+{":
            raise PatternError(f"there is nothing in front of {char} that could be repeated")
        if char == "\\":
            return _one(self._escaped())
        self._literal = char
        return _one(_same(char))

    def _group(self) -> Part:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise PatternError("its brackets are nested too deep")
        part = self._alternatives()
        self._take("a ( is not closed")
        self._depth -= 1
        return part

    def _escaped(self) -> Test:
        char = self._take("there is nothing behind the last \\")
        return _CLASSES.get(char) or _same(char)

    def _set(self) -> Test:
        is_not = self._peek() == "^"
        self._position += is_not
        tests: list[Test] = []
        while not tests or self._peek() != "]":
            char = self._take("a [ is not closed")
            if char == "\\":
                tests.append(self._escaped())
            elif self._peek() == "-" and self._text[self._position + 1 : self._position + 2] not in {"", "]"}:
                self._position += 1
                last = self._take("a [ is not closed")
                tests.append(_between(char, self._take("") if last == "\\" and self._peek() else last))
            else:
                tests.append(_same(char))
        self._position += 1
        if is_not:
            return lambda char: not any(test(char) for test in tests)
        return lambda char: any(test(char) for test in tests)


def _one(test: Test) -> Part:
    return lambda automaton, after: automaton.add(test, after)


def _row(parts: list[Part]) -> Part:
    def build(automaton: Automaton, after: int) -> int:
        for part in reversed(parts):
            after = part(automaton, after)
        return after

    return build


def _same(char: str) -> Test:
    return lambda other: other == char


def _between(first: str, last: str) -> Test:
    if last < first:
        raise PatternError(f"[{first}-{last}] ends before it begins")
    return lambda char: first <= char <= last


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_STATES))
