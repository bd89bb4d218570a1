# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""One throttle rule and the results it can have."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Protocol

from antenna.crash import to_text
from antenna.throttler.crash_view import view


class Result(IntEnum):
    """What becomes of a crash. ACCEPT and DEFER are also the digit in its crash id."""

    ACCEPT = 0
    """Save it and publish its id."""
    DEFER = 1
    """Save it, do not publish its id."""
    REJECT = 2
    """Keep nothing and say so."""
    FAKEACCEPT = 3
    """Keep nothing, but answer a crash id."""
    CONTINUE = 4
    """Not decided: go on to the next rule."""


RESULT_TO_TEXT: dict[int, str] = {result: result.name for result in Result}

ACCEPT = Result.ACCEPT
DEFER = Result.DEFER
REJECT = Result.REJECT
FAKEACCEPT = Result.FAKEACCEPT
CONTINUE = Result.CONTINUE

Sample = tuple[float, Result, Result]
"""A percentage, the result of the crashes chosen by it, and the result of the others."""

Condition = Callable[[Any, Any], object]
"""Called with the throttler and the annotation's text, or with the whole crash; true if the rule matches."""


class Random(Protocol):
    """What rules that sample draw from: the module ``random``, or one of its generators."""

    def random(self) -> float:
        """Return a number from 0 up to, but not including, 1."""
        ...


WHOLE_CRASH = "*"

_RULE_NAME = re.compile(r"[A-Za-z0-9_]+")
ALWAYS = 100
"""The percentage of a rule that does not sample."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on one annotation, or with the key ``*`` on the whole crash, and the result where it matches.

    :raises ValueError: for a bad name or result
    :raises TypeError: for a name or key that is no string, or a condition that cannot be called

    """

    rule_name: str
    key: str
    condition: Condition
    result: Result | Sample
    """Modules written for Mozilla's Antenna may have the number of a result here."""
    sample_by: str = field(default="", kw_only=True)
    """Where the rule samples: the annotation that chooses, so that crashes with the same value get the same result."""
    stop_sending: bool = field(default=False, kw_only=True)
    """Where it rejects: tell the client to send no more crashes of this version."""
    remove: tuple[str, ...] = field(default=(), kw_only=True)
    """Annotations that are not saved if the rule matches, besides the private ones."""
    comment: str = field(default="", kw_only=True)
    """What it is for, for people who read it."""

    def __post_init__(self) -> None:
        # The name goes into the client's answer, metric tags and logs: nothing there may need escaping.
        if not _RULE_NAME.fullmatch(self.rule_name):
            raise ValueError(f"rule name {self.rule_name!r} is not made of ASCII letters, digits and _")
        if not isinstance(self.key, str):
            raise TypeError(f"rule {self.rule_name}: key {self.key!r} is not a string")
        if not callable(self.condition):
            raise TypeError(f"rule {self.rule_name}: condition {self.condition!r} cannot be called")
        object.__setattr__(self, "result", _as_result(self.result))
        if not (isinstance(self.result, Result) or _is_sample(self.result)):
            raise ValueError(
                f"rule {self.rule_name}: result {self.result!r} is neither a result "
                "nor (percentage from 0 to 100, result if chosen, result otherwise)"
            )

    def match(self, throttler: object, crash: Mapping[str, Any]) -> bool:
        """Whether the rule applies to this crash. A rule on an annotation does not where that is absent."""
        if self.key == WHOLE_CRASH:
            return bool(self.condition(throttler, view(crash)))
        return self.key in crash and bool(self.condition(throttler, to_text(crash[self.key])))

    @property
    def results(self) -> tuple[Result, ...]:
        """The results that the rule can have."""
        return (self.result,) if isinstance(self.result, Result) else self.result[1:]

    def place_of(self, crash: Mapping[str, Any]) -> float | None:
        """Return the place of a crash among all, from 0 up to 1, by ``sample_by``; None if it is to be drawn.

        It is always the same for a value, and another one for each rule.
        """
        value = to_text(crash.get(self.sample_by, "")) if self.sample_by else ""
        if not value:
            return None
        digest = hashlib.blake2b(f"{self.rule_name}\0{value}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        # A double has 53 bits: all 64 could be rounded up to 1.
        return (int.from_bytes(digest) >> 11) / 2**53

    def decide(self, rng: Random, crash: Mapping[str, Any] = MappingProxyType({})) -> tuple[Result, float]:
        """Return the result for a crash that matches, chosen where the rule samples, and the rule's percentage."""
        if isinstance(self.result, Result):
            return self.result, ALWAYS
        percentage, chosen, otherwise = self.result
        place = self.place_of(crash)
        if place is None:
            place = rng.random()
        return (chosen if place * ALWAYS < percentage else otherwise), percentage


def _as_result(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_as_result(item) if position else item for position, item in enumerate(value))
    return Result(value) if type(value) is int and value in RESULT_TO_TEXT else value


def _is_sample(value: object) -> bool:
    match value:
        case (int() | float() as percentage, Result(), Result()) if isinstance(value, tuple):
            return not isinstance(percentage, bool) and 0 <= percentage <= ALWAYS
    return False
