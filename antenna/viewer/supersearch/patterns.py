# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

r"""Regular expressions that take time in proportion to the text, whatever the expression.

The syntax is that of Crash Stats, which is Lucene's: an expression matches a value as a whole, what stands in quotation
marks means itself, and ``^`` and ``$`` are no anchors. ``. ? + * {2,5} | ( ) [a-z] [^a-z] \d \w \s`` have their usual
meaning, and a backslash takes the meaning from any other character. Lucene's ``~ & < > @ #`` mean themselves here, as
people who search for functions of C++ expect.

An expression becomes an automaton that is in several states at once, so nothing is tried twice. Each set of states
that was met is remembered with where each character leads from it: most characters then take one look-up. A text that
does not contain the longest part of the expression that stands for itself is not looked at any further.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

# Characters, and states of the automaton, of an expression; and depth of its brackets.
_MAX_LENGTH, _MAX_STATES, _MAX_DEPTH = 1000, 2000, 50
# Parts that repetitions make, which may have no state of their own.
_MAX_REPEATS = 20_000
# States in all sets of them that are remembered, each of which takes some 50 bytes.
_MAX_REMEMBERED = 100_000

_CLASSES: dict[str, Callable[[str], bool]] = {
    "d": str.isdecimal,
    "w": lambda char: char.isalnum() or char == "_",
    "s": str.isspace,
}
_CLASSES |= {
    name.upper(): (lambda char, has=has: not has(char))  # type: ignore[misc]
    for name, has in list(_CLASSES.items())
}


class PatternError(Exception):
    """A text is no regular expression, or too large; the message says why."""


@dataclass(slots=True)
class _State:
    """A state: ``test`` says which characters lead to ``following``; without it, the state leads on by itself."""

    test: Callable[[str], bool] | None = None
    following: list[int] = field(default_factory=list)


# What an expression is made of: it adds its states in front of a given one, and returns the first of them.
_Part = Callable[[int], int]


class Pattern:
    """A regular expression."""

    def __init__(self, text: str, check: Callable[[], None] = lambda: None) -> None:
        """Read an expression. ``check`` is called again and again, and raises when there is no more time.

        Raises ``PatternError``.
        """
        if len(text) > _MAX_LENGTH:
            raise PatternError(f"it has more than {_MAX_LENGTH} characters")
        self._check = check
        self._states = [_State()]
        self._text, self._position, self._depth, self._repeats = text, 0, 0, 0
        # What the item that was read last stands for, if that is one text; and what every match contains.
        self._literal = self._needed = ""
        part = self._alternatives()
        if self._position < len(text):
            raise PatternError("there is a ) without (")
        self._start = self._closure([part(0)])
        self._known: dict[frozenset[int], dict[str, frozenset[int]]] = {}
        self._remembered = 0

    def matches(self, text: str) -> bool:
        """Whether the expression matches all of ``text``."""
        if self._needed not in text:
            return False
        states = self._start
        for char in text:
            steps = self._known.get(states)
            if steps is None:
                steps = self._known[states] = {}
            following = steps.get(char)
            if following is None:
                following = steps[char] = self._step(states, char)
            if not following:
                return False
            states = following
        return 0 in states

    def _step(self, states: frozenset[int], char: str) -> frozenset[int]:
        self._check()
        if self._remembered > _MAX_REMEMBERED:
            self._known.clear()
            self._remembered = 0
        found = []
        for number in states:
            state = self._states[number]
            if state.test is not None and state.test(char):
                found += state.following
        reached = self._closure(found)
        self._remembered += 1 + len(reached)
        return reached

    def _closure(self, numbers: list[int]) -> frozenset[int]:
        """Return the states that are reached without a character; of these only those that want one, and the end."""
        seen, waiting = set(numbers), list(numbers)
        while waiting:
            state = self._states[waiting.pop()]
            if state.test is None:
                fresh = [number for number in state.following if number not in seen]
                seen.update(fresh)
                waiting += fresh
        return frozenset(number for number in seen if number == 0 or self._states[number].test is not None)

    def _add(self, test: Callable[[str], bool] | None, *following: int) -> int:
        if len(self._states) >= _MAX_STATES:
            raise PatternError("it repeats too much")
        self._states.append(_State(test, list(following)))
        return len(self._states) - 1

    # How it is read: alternatives of sequences of items, which may be repeated.

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _take(self, missing: str) -> str:
        char = self._peek()
        if not char:
            raise PatternError(missing)
        self._position += 1
        return char

    def _alternatives(self) -> _Part:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._position += 1
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        if not self._depth:
            self._needed = ""
        return lambda after: self._add(None, *(part(after) for part in parts))

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        literal = ""
        while self._peek() not in {"", "|", ")"}:
            item = self._item()
            is_once = self._peek() not in {"?", "*", "+", "{"}
            literal = literal + self._literal if self._literal and is_once else ""
            if not self._depth and len(literal) > len(self._needed):
                self._needed = literal
            parts.append(self._repeated(item))
        return _row(parts)

    def _repeated(self, part: _Part) -> _Part:
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

    def _times(self, part: _Part, least: int, most: int | None) -> _Part:
        if max(least, most or 0) > _MAX_STATES:
            raise PatternError("it repeats too much")

        def optional(after: int, end: int) -> int:
            return self._add(None, part(after), end)

        def loop(after: int) -> int:
            again = self._add(None, after)
            self._states[again].following.insert(0, part(again))
            return again

        def build(after: int) -> int:
            self._repeats += max(least, most or 0)
            if self._repeats > _MAX_REPEATS:
                raise PatternError("it repeats too much")
            first = after if most is not None else loop(after)
            for _ in range((most or least) - least):
                first = optional(first, after)
            return _row([part] * least)(first)

        return build

    def _item(self) -> _Part:
        char = self._take("")
        self._literal = ""
        if char == "(":
            part = self._group()
            self._literal = ""
            return part
        if char == "[":
            return self._one(self._set())
        if char == '"':
            quoted, closed, _ = self._text[self._position :].partition('"')
            if not closed:
                raise PatternError('a " is not closed')
            self._position += len(quoted) + 1
            self._literal = quoted
            return _row([self._one(_same(one)) for one in quoted])
        if char == ".":
            return self._one(lambda _: True)
        if char in "?*+{":
            raise PatternError(f"there is nothing in front of {char} that could be repeated")
        if char == "\\":
            return self._one(self._escaped())
        self._literal = char
        return self._one(_same(char))

    def _one(self, test: Callable[[str], bool]) -> _Part:
        return lambda after: self._add(test, after)

    def _group(self) -> _Part:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise PatternError("its brackets are nested too deep")
        part = self._alternatives()
        self._take("a ( is not closed")
        self._depth -= 1
        return part

    def _escaped(self) -> Callable[[str], bool]:
        char = self._take("there is nothing behind the last \\")
        return _CLASSES.get(char) or _same(char)

    def _set(self) -> Callable[[str], bool]:
        is_not = self._peek() == "^"
        self._position += is_not
        tests: list[Callable[[str], bool]] = []
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


def _row(parts: list[_Part]) -> _Part:
    def build(after: int) -> int:
        for part in reversed(parts):
            after = part(after)
        return after

    return build


def _same(char: str) -> Callable[[str], bool]:
    return lambda other: other == char


def _between(first: str, last: str) -> Callable[[str], bool]:
    if last < first:
        raise PatternError(f"[{first}-{last}] ends before it begins")
    return lambda char: first <= char <= last


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(_MAX_STATES))
