# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

r"""Regular expressions that take time in proportion to the text, whatever the expression.

The syntax is that of Crash Stats, which is Lucene's. An expression has to match the whole value. Text in quotation
marks is literal, and ``^`` and ``$`` are no anchors. ``. ? + * {2,5} | ( ) [a-z] [^a-z] \d \w \s`` have their usual
meaning. A backslash makes any other character literal. Lucene's operators ``~ & < > @ #`` are literal here, because
people search for functions of C++, whose names have these characters.

An expression becomes an automaton that is in several states at once, so no possibility is tried twice. For each set of
states that was reached, the sets to which characters lead are remembered, so most characters cost one lookup. A text
without the longest literal part of the expression cannot match, so the automaton does not read it.
"""

from collections.abc import Callable

from antenna.viewer.supersearch.automaton import END, Automaton, PatternError
from antenna.viewer.supersearch.pattern_reader import PatternReader

__all__ = ["Pattern", "PatternError"]

# Most states in all remembered sets together. Each takes some 50 bytes. If there are more, all sets are forgotten.
_MAX_REMEMBERED = 100_000


class Pattern:
    """A regular expression."""

    def __init__(self, text: str, check: Callable[[], None] = lambda: None) -> None:
        """Read an expression. ``check`` is called again and again. It raises an exception when the time is over.

        Raises ``PatternError``.
        """
        reader = PatternReader(text)
        self._check = check
        self._needed = reader.needed
        self._automaton = Automaton()
        self._start = self._automaton.closure([reader.part(self._automaton, END)])
        # For each set of states that was reached, the set to which each character leads.
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
        return END in states

    def _step(self, states: frozenset[int], char: str) -> frozenset[int]:
        self._check()
        if self._remembered > _MAX_REMEMBERED:
            self._known.clear()
            self._remembered = 0
        reached = self._automaton.step(states, char)
        self._remembered += 1 + len(reached)
        return reached
