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

from antenna.viewer.supersearch.automaton import END, Automaton, PatternError
from antenna.viewer.supersearch.pattern_reader import PatternReader

__all__ = ["Pattern", "PatternError"]

# States in all sets of them that are remembered, each of which takes some 50 bytes.
_MAX_REMEMBERED = 100_000


class Pattern:
    """A regular expression."""

    def __init__(self, text: str, check: Callable[[], None] = lambda: None) -> None:
        """Read an expression. ``check`` is called again and again, and raises when there is no more time.

        Raises ``PatternError``.
        """
        reader = PatternReader(text)
        self._check = check
        self._needed = reader.needed
        self._automaton = Automaton()
        self._start = self._automaton.closure([reader.part(self._automaton, END)])
        # For each set of states that was met: the set that each character leads to.
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
