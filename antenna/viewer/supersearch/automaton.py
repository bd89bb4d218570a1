# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An automaton that is in several states at once, so that it reads each character of a text only once."""

from collections.abc import Callable
from dataclasses import dataclass, field

# Most states of an automaton. An expression that needs more is refused.
MAX_STATES = 2000
# Most copies that repetitions make of their parts. They are counted because a part may have no state of its own.
_MAX_REPEATS = 20_000

#: A function that says whether a character leads from a state to the next ones.
Test = Callable[[str], bool]

#: The number of the state that the automaton is in after a match.
END = 0


class PatternError(Exception):
    """A text is not a regular expression, or is too large. The message says why."""


@dataclass(slots=True)
class _State:
    """A state. A character that passes ``test`` leads to ``following``. Without a test, no character is needed."""

    test: Test | None = None
    following: list[int] = field(default_factory=list)


class Automaton:
    """States that lead to each other. They are added from the end on: each in front of those that follow it."""

    def __init__(self) -> None:
        self._states = [_State()]
        self._repeats = 0

    def add(self, test: Test | None, *following: int) -> int:
        """Add a state. Returns its number. Raises ``PatternError`` if there are too many."""
        if len(self._states) >= MAX_STATES:
            raise PatternError("it repeats too much")
        self._states.append(_State(test, list(following)))
        return len(self._states) - 1

    def lead_first(self, number: int, following: int) -> None:
        """Let the state ``number`` also lead to ``following``."""
        self._states[number].following.insert(0, following)

    def count_repeats(self, count: int) -> None:
        """Count copies of a part that are about to be made. Raises ``PatternError`` if there are too many."""
        self._repeats += count
        if self._repeats > _MAX_REPEATS:
            raise PatternError("it repeats too much")

    def step(self, states: frozenset[int], char: str) -> frozenset[int]:
        """Return the states to which a character leads from ``states``."""
        found = []
        for number in states:
            state = self._states[number]
            if state.test is not None and state.test(char):
                found += state.following
        return self.closure(found)

    def closure(self, numbers: list[int]) -> frozenset[int]:
        """Return the states that are reached from ``numbers`` without a character.

        Of these, only the states with a test, and the end, are returned.
        """
        seen, waiting = set(numbers), list(numbers)
        while waiting:
            state = self._states[waiting.pop()]
            if state.test is None:
                fresh = [number for number in state.following if number not in seen]
                seen.update(fresh)
                waiting += fresh
        return frozenset(number for number in seen if number == END or self._states[number].test is not None)
