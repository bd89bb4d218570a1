# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An automaton that is in several states at once, so that it never goes back in the text that it reads."""

from collections.abc import Callable
from dataclasses import dataclass, field

# States of an automaton, and parts that repetitions make, which may have no state of their own.
MAX_STATES, _MAX_REPEATS = 2000, 20_000

#: Whether a character leads on.
Test = Callable[[str], bool]

#: The number of the state in which everything was read.
END = 0


class PatternError(Exception):
    """A text is no regular expression, or too large; the message says why."""


@dataclass(slots=True)
class _State:
    """A state: ``test`` says which characters lead to ``following``; without it, the state leads on by itself."""

    test: Test | None = None
    following: list[int] = field(default_factory=list)


class Automaton:
    """States that lead to each other. It is built from its end: a state is added in front of those that follow."""

    def __init__(self) -> None:
        self._states = [_State()]
        self._repeats = 0

    def add(self, test: Test | None, *following: int) -> int:
        """Add a state; return its number. Raises ``PatternError`` when there are too many."""
        if len(self._states) >= MAX_STATES:
            raise PatternError("it repeats too much")
        self._states.append(_State(test, list(following)))
        return len(self._states) - 1

    def lead_first(self, number: int, following: int) -> None:
        """Let a state lead to another one as well."""
        self._states[number].following.insert(0, following)

    def count_repeats(self, count: int) -> None:
        """Count parts that are to be made. Raises ``PatternError`` when there are too many."""
        self._repeats += count
        if self._repeats > _MAX_REPEATS:
            raise PatternError("it repeats too much")

    def step(self, states: frozenset[int], char: str) -> frozenset[int]:
        """Return the states that a character leads to."""
        found = []
        for number in states:
            state = self._states[number]
            if state.test is not None and state.test(char):
                found += state.following
        return self.closure(found)

    def closure(self, numbers: list[int]) -> frozenset[int]:
        """Return the states that are reached without a character; of these only those that want one, and the end."""
        seen, waiting = set(numbers), list(numbers)
        while waiting:
            state = self._states[waiting.pop()]
            if state.test is None:
                fresh = [number for number in state.following if number not in seen]
                seen.update(fresh)
                waiting += fresh
        return frozenset(number for number in seen if number == END or self._states[number].test is not None)
