# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Turns a table ``[[rules]]`` into a rule."""

from collections.abc import Container, Mapping
from typing import Any

from antenna.throttler.rule import REJECT, WHOLE_CRASH, Result, Rule, Sample
from antenna.throttler.rule import Condition as AnyCondition
from antenna.throttler.rules_file.condition_table import CONDITION_KEYS, read_condition
from antenna.throttler.rules_file.conditions import Condition, Test
from antenna.throttler.rules_file.problems import RuleProblem, meant
from antenna.throttler.rules_file.values import SECTIONS, read_names, read_result

# The keys of a rule, apart from those of its condition.
_RULE_KEYS = (
    "name",
    "comment",
    "link",
    "result",
    "percentage",
    "chosen",
    "otherwise",
    "sample_by",
    "stop_sending",
    "remove",
)
_SAMPLE_KEYS = ("percentage", "chosen", "otherwise")


def read_rule(table: Mapping[str, Any], taken: Container[str] = ()) -> Rule:
    """Return the rule that a table describes. Its name must not be one of ``taken``. Raises ``RuleProblem``."""
    for key in table:
        if key in SECTIONS:
            raise RuleProblem(key, f"{key} belongs to the top of the file, above the first line in brackets")
        if key not in _RULE_KEYS and key not in CONDITION_KEYS:
            raise RuleProblem(key, f"unknown key {key!r}{meant(key, (*_RULE_KEYS, *CONDITION_KEYS))}")
    name = table.get("name")
    if not isinstance(name, str):
        raise RuleProblem("name", "a rule needs a name")
    if name in taken:
        raise RuleProblem("name", "another rule has this name")
    result = _results(table)
    condition = read_condition({key: value for key, value in table.items() if key not in _RULE_KEYS})
    try:
        rule = Rule(
            name,
            *_keyed(condition),
            result,
            sample_by=_text(table, "sample_by"),
            stop_sending=_boolean(table, "stop_sending"),
            remove=_remove(table),
            comment=" ".join(filter(None, (_text(table, "comment"), _text(table, "link")))),
        )
    except ValueError as error:
        raise RuleProblem("percentage" if "percentage" in table else "name", str(error)) from None
    if rule.stop_sending and REJECT not in rule.results:
        raise RuleProblem("stop_sending", "goes only with a result REJECT")
    if rule.sample_by and isinstance(result, Result):
        raise RuleProblem("sample_by", "goes only with percentage")
    return rule


def _keyed(condition: Condition) -> tuple[str, AnyCondition]:
    """Return the key and the condition of a rule. If the condition looks at one annotation only, that is the key."""
    on_value = condition.on_value() if isinstance(condition, Test) else None
    return (WHOLE_CRASH, condition) if on_value is None else (on_value.test.subject.name, on_value)


def _results(table: Mapping[str, Any]) -> Result | Sample:
    sample = [key for key in _SAMPLE_KEYS if key in table]
    if "result" in table:
        if sample:
            raise RuleProblem(sample[0], "give either result, or percentage, chosen and otherwise")
        return _result_of(table, "result")
    if not sample:
        raise RuleProblem("name", "a rule needs a result, or percentage, chosen and otherwise")
    for key in _SAMPLE_KEYS:
        if key not in table:
            raise RuleProblem(sample[0], f"needs {key}, too")
    percentage = table["percentage"]
    if not isinstance(percentage, int | float) or isinstance(percentage, bool):
        raise RuleProblem("percentage", "takes a number from 0 to 100")
    return percentage, _result_of(table, "chosen"), _result_of(table, "otherwise")


def _result_of(table: Mapping[str, Any], key: str) -> Result:
    try:
        return read_result(table[key])
    except ValueError as error:
        raise RuleProblem(key, f"{key} {error}") from None


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise RuleProblem(key, f"{key} takes a text")
    return value


def _boolean(table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise RuleProblem(key, f"{key} takes true or false")
    return value


def _remove(table: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        return read_names(table.get("remove", []))
    except ValueError as error:
        raise RuleProblem("remove", f"remove {error}") from None
