# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

r"""Regular expressions that are matched in bounded time: each character of a value is read once.

Python's ``re`` tries one possibility after the other. For some patterns it takes for ever on values that a client can
send. This matcher follows all possibilities at the same time (Thompson, "Regular expression search algorithm", 1968).
It takes what ``re`` takes, except what has to look back or ahead: references to groups, lookarounds, atomic groups,
possessive repeats, word boundaries. Parts that match one character, such as ``[a-f]`` or ``\d``, are left to ``re``.

If a pattern has no groups, and at most one repeat of a varying length, ``re`` matches it as a whole, because it then
has only one possibility to try for each length. Any other pattern becomes a list of nodes. At each time the matcher is
at a set of nodes, and the next character leads it to another set. These steps are remembered, so that most characters
cost one lookup.
"""

import re
from dataclasses import dataclass, field

MAX_VALUE_LENGTH = 2_000
"""Longest value, in characters, that can match. No client sends longer values in annotations that rules look at."""

MAX_NODES = 300
"""Most nodes of a pattern, which has about one for each character. This and the length of values bound the work."""

MAX_DEPTH = 30
"""Levels of groups inside groups. A pattern with more is refused, since patterns are read recursively."""

_MAX_STEPS = 5_000
"""Most steps that are remembered. Then all are forgotten, because clients choose the values and so the steps."""

_ATOM = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]|\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.)|[^\\()|*+?{}\[\]^$]", re.DOTALL)
_REPEAT = re.compile(r"([*+?])|\{(\d{1,4})?(,)?(\d{1,4})?\}")
_ONE_CHARACTER_ESCAPE = re.compile(r"\\(?:[dDsSwWnrtfvax u]|[^A-Za-z0-9])")


class PatternError(ValueError):
    """A pattern is not valid, or cannot be matched in bounded time."""


@dataclass(slots=True)
class _Node:
    """A node of a pattern. If ``reads`` is set, the matcher has to read one character that matches it.

    Then the matcher goes on to all nodes in ``next``.
    """

    reads: re.Pattern[str] | None = None
    next: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the pattern: the node at which it begins, and its last node, which leads nowhere yet."""

    begin: int
    end: int


class Pattern:
    """A regular expression that a whole value has to match."""

    def __init__(self, text: str, *, ignore_case: bool = False) -> None:
        """Compile the pattern ``text``. Raises ``PatternError`` if that is not possible."""
        if text.startswith("(?i)"):
            text, ignore_case = text.removeprefix("(?i)"), True
        # A whole value has to match anyway, so ^ and $ are not needed.
        text = text.removeprefix("^")
        if text.endswith("$") and not text.endswith("\\$"):
            text = text[:-1]
        flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        parser = _Parser(text, flags)
        piece = parser.parse()
        self._simple = re.compile(text, flags) if parser.ways <= 1 else None
        self._nodes = parser.nodes
        self._end = piece.end
        self._start = self._closure([piece.begin])
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    @property
    def remembered(self) -> int:
        """The number of steps that are remembered."""
        return len(self._steps)

    def matches(self, value: str) -> bool:
        """Whether the whole value matches. A value over ``MAX_VALUE_LENGTH`` characters does not."""
        if len(value) > MAX_VALUE_LENGTH:
            return False
        if self._simple is not None:
            return self._simple.fullmatch(value) is not None
        at = self._start
        steps = self._steps
        for character in value:
            following = steps.get((at, character))
            if following is None:
                following = self._step(at, character)
            if not following:
                return False
            at = following
        return self._end in at

    def _step(self, at: frozenset[int], character: str) -> frozenset[int]:
        reached = []
        for number in at:
            node = self._nodes[number]
            if node.reads is not None and node.reads.fullmatch(character):
                reached += node.next
        if len(self._steps) >= _MAX_STEPS:
            self._steps.clear()
        following = self._steps[at, character] = self._closure(reached)
        return following

    def _closure(self, numbers: list[int]) -> frozenset[int]:
        """Return these nodes, and all nodes that can be reached from them without reading a character."""
        found: set[int] = set()
        waiting = list(numbers)
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                node = self._nodes[number]
                if node.reads is None:
                    waiting += node.next
        return frozenset(found)


class _Parser:
    def __init__(self, text: str, flags: int) -> None:
        self.nodes: list[_Node] = []
        # Counts 2 for each group and each alternative, and 1 for each repeat of a varying length. If it is at most 1,
        # ``re`` matches the pattern in bounded time.
        self.ways = 0
        self._text = text
        self._flags = flags
        self._position = 0
        self._depth = 0

    def parse(self) -> _Piece:
        piece = self._alternatives()
        if self._position < len(self._text):
            raise PatternError(f"a ) too many at character {self._position + 1}")
        return piece

    def _alternatives(self) -> _Piece:
        pieces = [self._sequence()]
        while self._peek() == "|":
            self.ways += 2
            self._position += 1
            pieces.append(self._sequence())
        if len(pieces) == 1:
            return pieces[0]
        begin = self._add(_Node(next=[piece.begin for piece in pieces]))
        end = self._add(_Node())
        for piece in pieces:
            self.nodes[piece.end].next.append(end)
        return _Piece(begin, end)

    def _sequence(self) -> _Piece:
        begin = end = self._add(_Node())
        while self._peek() not in ("", "|", ")"):
            start = self._position
            piece = self._item()
            piece = self._repeated(piece, start)
            self.nodes[end].next.append(piece.begin)
            end = piece.end
        return _Piece(begin, end)

    def _item(self) -> _Piece:
        if self._peek() == "(":
            return self._group()
        atom = _ATOM.match(self._text, self._position)
        if atom is None:
            raise PatternError(
                f"{self._peek()!r} at character {self._position + 1} is not closed, or has no place there"
            )
        token = atom[0]
        if token.startswith("\\") and not _ONE_CHARACTER_ESCAPE.match(token):
            raise PatternError(f"{token} is not supported: it looks at more than one character")
        self._position = atom.end()
        end = self._add(_Node())
        return _Piece(self._add(_Node(reads=self._compile(token), next=[end])), end)

    def _compile(self, token: str) -> re.Pattern[str]:
        try:
            return re.compile(token, self._flags)
        except re.error as error:
            raise PatternError(f"{token}: {error.msg}") from None

    def _group(self) -> _Piece:
        start = self._position
        self.ways += 2
        self._position += 1
        if self._text.startswith("?:", self._position):
            self._position += 2
        elif self._peek() == "?":
            raise PatternError(f"(? at character {start + 1} is not supported: no lookarounds, names or flags")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PatternError("too many groups inside groups")
        piece = self._alternatives()
        self._depth -= 1
        if self._peek() != ")":
            raise PatternError(f"the ( at character {start + 1} is not closed")
        self._position += 1
        return piece

    def _repeated(self, piece: _Piece, start: int) -> _Piece:
        """Read the repeat, such as ``*`` or ``{2,3}``, that may follow a piece. Return the piece, repeated accordingly.

        ``start`` is the position in the text at which the piece begins.
        """
        repeat = _REPEAT.match(self._text, self._position)
        if repeat is None:
            return piece
        low, high = _bounds(repeat)
        self.ways += low != high
        after = self._position = repeat.end()
        if self._peek() in ("*", "+", "{") or (self._peek() == "?" and self._text[after : after + 2] == "??"):
            raise PatternError(f"a repeat of a repeat at character {after + 1} is not supported")
        if self._peek() == "?":  # "as few as possible" makes no difference if the whole value has to match
            self._position = after = after + 1
        copies = [piece, *(self._copy(start) for _ in range(max(low, high or 1, 1) - 1))]
        self._position = after
        return self._chain(copies, low, is_open=high is None)

    def _copy(self, start: int) -> _Piece:
        self._position = start
        return self._item()

    def _chain(self, copies: list[_Piece], low: int, *, is_open: bool) -> _Piece:
        """Join the copies of a piece. At least ``low`` of them have to match.

        If it ``is_open``, the last may be repeated.
        """
        begin, end = self._add(_Node()), self._add(_Node())
        at = begin
        for number, piece in enumerate(copies):
            if number >= low:
                self.nodes[at].next.append(end)
            self.nodes[at].next.append(piece.begin)
            at = piece.end
        self.nodes[at].next.append(end)
        if is_open:
            self.nodes[at].next.append(copies[-1].begin)
        return _Piece(begin, end)

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _add(self, node: _Node) -> int:
        if len(self.nodes) >= MAX_NODES:
            raise PatternError("the pattern is too long, or repeats too much")
        self.nodes.append(node)
        return len(self.nodes) - 1


def _bounds(repeat: re.Match[str]) -> tuple[int, int | None]:
    """Return how often something has to occur, and how often it may occur, which is None without a limit."""
    if repeat[1]:
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[repeat[1]]
    low = int(repeat[2] or 0)
    high = int(repeat[4]) if repeat[4] else (None if repeat[3] else low)
    if not (repeat[2] or repeat[4]) or (high is not None and high < low) or high == 0:
        raise PatternError(f"{repeat[0]} is not a valid repeat")
    return low, high
