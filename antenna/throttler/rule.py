# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A throttle rule, and the results that it can have."""

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
    """The decision about a crash. ACCEPT and DEFER are also the digit in its crash id."""

    ACCEPT = 0
    """The crash is saved, and its id published."""
    DEFER = 1
    """The crash is saved, and its id is not published."""
    REJECT = 2
    """The crash is not kept, and the client is told so."""
    FAKEACCEPT = 3
    """The crash is not kept, but the client is answered with a crash id."""
    CONTINUE = 4
    """The rule does not decide. The next rule is asked."""


RESULT_TO_TEXT: dict[int, str] = {result: result.name for result in Result}

ACCEPT = Result.ACCEPT
DEFER = Result.DEFER
REJECT = Result.REJECT
FAKEACCEPT = Result.FAKEACCEPT
CONTINUE = Result.CONTINUE

Sample = tuple[float, Result, Result]
"""A percentage, the result for that percentage of the crashes, and the result for the rest."""

Condition = Callable[[Any, Any], object]
"""A function of the throttler and the annotation's text, or the whole crash. It is true if the rule matches."""


class Random(Protocol):
    """The source of random numbers for rules that sample: the module ``random``, or one of its generators."""

    def random(self) -> float:
        """Return a number from 0 up to, but not including, 1."""
        ...


WHOLE_CRASH = "*"

_RULE_NAME = re.compile(r"[A-Za-z0-9_]+")
ALWAYS = 100
"""The percentage of a rule that does not sample."""


class BadRule(ValueError, TypeError):
    """A rule that cannot be made. The message names the rule and has no value from its author's module."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on one annotation, or with the key ``*`` on the whole crash, and the result for crashes that match.

    :raises BadRule: if the name, the key, the condition or the result is not valid
    """

    rule_name: str
    key: str
    condition: Condition
    result: Result | Sample
    """The result. In modules written for Mozilla's Antenna it may be a number."""
    sample_by: str = field(default="", kw_only=True)
    """An annotation. If the rule samples, crashes with the same value of it get the same result."""
    stop_sending: bool = field(default=False, kw_only=True)
    """If the rule rejects a crash, whether the client is told to send no more crashes of this version."""
    remove: tuple[str, ...] = field(default=(), kw_only=True)
    """Annotations that are not saved if the rule matches, in addition to the private ones."""
    comment: str = field(default="", kw_only=True)
    """The purpose of the rule, for people who read it."""

    def __post_init__(self) -> None:
        # The name is put into the client's answer, into metric tags and into logs, where no character must need
        # escaping.
        if not isinstance(self.rule_name, str):
            raise BadRule(f"the name of a rule is no string: {type(self.rule_name).__name__}")
        if not _RULE_NAME.fullmatch(self.rule_name):
            raise BadRule(f"rule name {self.rule_name!r} is not made of ASCII letters, digits and _")
        if not isinstance(self.key, str):
            raise BadRule(f"rule {self.rule_name}: its key is no string: {type(self.key).__name__}")
        if not callable(self.condition):
            raise BadRule(f"rule {self.rule_name}: its condition cannot be called: {type(self.condition).__name__}")
        object.__setattr__(self, "result", _as_result(self.result))
        if not (isinstance(self.result, Result) or _is_sample(self.result)):
            raise BadRule(
                f"rule {self.rule_name}: its result is neither a result "
                "nor (percentage from 0 to 100, result if chosen, result otherwise)"
            )

    def match(self, throttler: object, crash: Mapping[str, Any]) -> bool:
        """Whether the rule matches this crash. A rule on an annotation does not match if the annotation is absent."""
        if self.key == WHOLE_CRASH:
            return bool(self.condition(throttler, view(crash)))
        return self.key in crash and bool(self.condition(throttler, to_text(crash[self.key])))

    @property
    def results(self) -> tuple[Result, ...]:
        """The results that the rule can have."""
        return (self.result,) if isinstance(self.result, Result) else self.result[1:]

    def fixed_draw(self, crash: Mapping[str, Any]) -> float | None:
        """Return a number from 0 up to 1, by which a rule with ``sample_by`` decides whether it chooses a crash.

        The number depends only on the rule and on the value of the annotation ``sample_by``. So crashes with the same
        value get the same result. Returns None if a number should be drawn at random instead.
        """
        value = to_text(crash.get(self.sample_by, "")) if self.sample_by else ""
        if not value:
            return None
        digest = hashlib.blake2b(f"{self.rule_name}\0{value}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        # A double has 53 bits. If all 64 were used, the result could be rounded up to 1.
        return (int.from_bytes(digest) >> 11) / 2**53

    def decide(self, rng: Random, crash: Mapping[str, Any] = MappingProxyType({})) -> tuple[Result, float]:
        """Return the result for a crash that matches, and the percentage of the rule.

        If the rule samples, it chooses here.
        """
        if isinstance(self.result, Result):
            return self.result, ALWAYS
        percentage, chosen, otherwise = self.result
        draw = self.fixed_draw(crash)
        if draw is None:
            draw = rng.random()
        return (chosen if draw * ALWAYS < percentage else otherwise), percentage


def _as_result(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_as_result(item) if position else item for position, item in enumerate(value))
    return Result(value) if type(value) is int and value in RESULT_TO_TEXT else value


def _is_sample(value: object) -> bool:
    match value:
        case (int() | float() as percentage, Result(), Result()) if isinstance(value, tuple):
            return not isinstance(percentage, bool) and 0 <= percentage <= ALWAYS
    return False
