# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Explains what rules would do with a crash and why.

If a rule samples, both of its results are shown, with their shares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from antenna.throttler.crash_view import METADATA, CrashView
from antenna.throttler.engine import NO_MATCH, Throttler
from antenna.throttler.rule import ALWAYS, CONTINUE, REJECT, WHOLE_CRASH, Result, Rule

# Characters of a value that an explanation shows. A longer value is cut.
_MAX_SHOWN = 60


@dataclass(frozen=True)
class Step:
    """The result of asking one rule about one crash."""

    rule_name: str
    matches: bool
    seen: str
    """The value that the rule looked at, in words, and the condition on it."""
    results: str
    """The results that the rule gives to crashes that match."""


@dataclass(frozen=True, order=True)
class PossibleResult:
    """A result, the rule that gives it, and the percentage of such crashes that get it."""

    rule_name: str
    result: str
    percentage: float

    def __str__(self) -> str:
        share = "" if self.percentage == ALWAYS else f"{self.percentage:g} % "
        return f"{share}{self.result} by {self.rule_name}"


@dataclass(frozen=True)
class Explanation:
    """The rules that were asked, in order, and the possible results. Quotas are not considered."""

    steps: list[Step]
    outcomes: list[PossibleResult]

    @property
    def verdict(self) -> str:
        """All possible results, in words."""
        return ", ".join(map(str, self.outcomes))


def explain(throttler: Throttler, raw_crash: Mapping[str, Any]) -> Explanation:
    """Ask the rules about a crash without drawing at random. If a rule samples, both of its results are followed."""
    crash = CrashView(raw_crash)
    steps: list[Step] = []
    outcomes: dict[tuple[str, Result], float] = {}
    # The percentage of such crashes that get as far as this rule.
    share = float(ALWAYS)
    for rule in throttler.rule_set:
        matches, problem = _ask(rule, throttler, crash)
        steps.append(Step(rule.rule_name, matches, problem or _seen(rule, throttler, crash), _results(rule)))
        if matches:
            left = 0.0
            for result, percentage in _ways(rule, crash):
                part = share * percentage / ALWAYS
                if result is CONTINUE:
                    left += part
                elif part:
                    outcomes[rule.rule_name, result] = outcomes.get((rule.rule_name, result), 0.0) + part
            share = left
            if not share:
                break
    if share:
        outcomes[NO_MATCH, REJECT] = share
    possible = [PossibleResult(name, result.name, round(part, 6)) for (name, result), part in outcomes.items()]
    return Explanation(steps, possible)


def _ask(rule: Rule, throttler: Throttler, crash: CrashView) -> tuple[bool, str]:
    try:
        return rule.match(throttler, crash), ""
    except Exception as error:  # noqa: BLE001 - as the throttler does
        return False, f"raised {type(error).__name__}: skipped"


def _ways(rule: Rule, crash: CrashView) -> list[tuple[Result, float]]:
    """Return the results that the rule can have for this crash, each with its percentage."""
    if isinstance(rule.result, Result):
        return [(rule.result, ALWAYS)]
    percentage, chosen, otherwise = rule.result
    draw = rule.fixed_draw(crash)
    if draw is not None:
        return [(chosen if draw * ALWAYS < percentage else otherwise, ALWAYS)]
    return [(chosen, percentage), (otherwise, ALWAYS - percentage)]


def _results(rule: Rule) -> str:
    if isinstance(rule.result, Result):
        return rule.result.name
    percentage, chosen, otherwise = rule.result
    by = f" by {rule.sample_by}" if rule.sample_by else ""
    return f"{percentage:g} % {chosen.name}, the others {otherwise.name}{by}"


def _seen(rule: Rule, throttler: Throttler, crash: CrashView) -> str:
    explain_condition = getattr(rule.condition, "explain", None)
    if explain_condition is not None:
        return str(explain_condition(throttler, crash))
    asked = (getattr(rule.condition, "__doc__", None) or "").strip().partition("\n")[0] or "a condition in Python"
    if rule.key == WHOLE_CRASH:
        return asked
    if rule.key not in crash:
        return f"{rule.key} is absent"
    text = crash[rule.key] if rule.key != METADATA else ""
    shown = repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")
    return f"{rule.key} is {shown}; {asked}"
