# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Turns a table into a condition. The table is that of a rule, or an inline table inside it."""

from collections.abc import Mapping
from typing import Any

from antenna.crash import IDENTITY
from antenna.throttler.rules_file.conditions import (
    AllOf,
    Always,
    AnyOf,
    Check,
    Condition,
    Listed,
    Not,
    Subject,
    Test,
    annotation,
    identity,
    inside,
    metadata,
)
from antenna.throttler.rules_file.operators import OPERATORS, TEXT_OPERATORS
from antenna.throttler.rules_file.problems import RuleProblem, meant

MAX_DEPTH = 20
"""Levels of conditions inside conditions. A rules file with more is refused, since conditions are read recursively."""

_COMBINING = ("all", "any", "not")
# Names that a key may have in addition to product, version and so on.
_METADATA = ("user_agent",)
_PACKAGE = "package"
_LISTED = ("product", _PACKAGE)

CONDITION_KEYS = (
    *_COMBINING,
    "key",
    "annotation",
    "path",
    "exists",
    "absent",
    "listed",
    "ignore_case",
    *OPERATORS,
)
"""The keys that a table of a condition may have."""


def read_condition(table: Mapping[str, Any], depth: int = 0) -> Condition:
    """Return the condition that a table describes. An empty table is true of every crash. Raises ``RuleProblem``."""
    for key in table:
        if key not in CONDITION_KEYS:
            raise RuleProblem(key, f"unknown key {key!r}{meant(key, CONDITION_KEYS)}")
    if not table:
        return Always()
    if depth > MAX_DEPTH:
        raise RuleProblem(next(iter(table)), "conditions are nested too deeply")
    combining = [key for key in _COMBINING if key in table]
    if combining:
        if len(table) > 1:
            others = ", ".join(key for key in table if key != combining[0])
            raise RuleProblem(
                combining[0], f"{combining[0]} must be the only key; put {others} into it, or put both into an all"
            )
        return _combined(combining[0], table[combining[0]], depth)
    return _test(table)


def _combined(key: str, value: Any, depth: int) -> Condition:
    if key == "not":
        if not isinstance(value, dict) or not value:
            raise RuleProblem(key, 'not takes a condition, such as { key = "version", equals = "1.0" }')
        return Not(read_condition(value, depth + 1))
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) and item for item in value):
        raise RuleProblem(key, f'{key} takes a list of conditions, such as [{{ key = "version", equals = "1.0" }}]')
    conditions = tuple(read_condition(item, depth + 1) for item in value)
    return AllOf(conditions) if key == "all" else AnyOf(conditions)


def _test(table: Mapping[str, Any]) -> Condition:
    if "listed" in table:
        return _listed(table)
    subject, is_json = _subject(table)
    checks = _checks(table, is_json=is_json)
    wants = {key: table[key] for key in ("exists", "absent") if key in table}
    for key, value in wants.items():
        if not isinstance(value, bool):
            raise RuleProblem(key, f"{key} takes true or false")
    if len(wants) > 1:
        raise RuleProblem("absent", "give either exists or absent")
    if not checks and not wants:
        raise RuleProblem(_subject_key(table), f"needs an operator, such as equals; known are {', '.join(OPERATORS)}")
    wants_absent = wants.get("absent", not wants.get("exists", True))
    if wants_absent and checks:
        raise RuleProblem(next(iter(wants)), "an absent annotation has no value to look at")
    return Test(subject, checks, wants_absent=wants_absent)


def _listed(table: Mapping[str, Any]) -> Condition:
    what, expected = table.get("key"), table["listed"]
    if what not in _LISTED or len(table) > 2:  # noqa: PLR2004 - key and listed
        raise RuleProblem(
            "listed", f"listed goes with key = {' or key = '.join(map(repr, _LISTED))}, and with nothing else"
        )
    if not isinstance(expected, bool):
        raise RuleProblem("listed", "listed takes true or false")
    return Listed(what, expected)


def _subject_key(table: Mapping[str, Any]) -> str:
    return "annotation" if "annotation" in table else "key"


def _subject(table: Mapping[str, Any]) -> tuple[Subject, bool]:
    """Return what the condition looks at, and whether its value has a JSON type."""
    if ("key" in table) is ("annotation" in table):
        raise RuleProblem(next(iter(table)), "a condition needs a key, or an annotation, but not both")
    subject_key = _subject_key(table)
    name = table[subject_key]
    if not isinstance(name, str) or not name:
        raise RuleProblem(subject_key, f"{subject_key} takes a name")
    if "path" in table:
        return inside(name, _path(table["path"])), True
    if subject_key == "key":
        if name in IDENTITY:
            return identity(name), False
        if name in _METADATA:
            return metadata(name), False
        if name == _PACKAGE:
            return annotation("Android_PackageName"), False
    return annotation(name), False


def _path(value: Any) -> tuple[str, ...]:
    steps = value.split(".") if isinstance(value, str) else value
    if not isinstance(steps, list) or not steps or not all(isinstance(step, str) and step for step in steps):
        raise RuleProblem("path", "path takes names with dots between them, or a list of names")
    return tuple(steps)


def _checks(table: Mapping[str, Any], *, is_json: bool) -> list[tuple[str, Check]]:
    ignore_case = table.get("ignore_case", False)
    if not isinstance(ignore_case, bool):
        raise RuleProblem("ignore_case", "ignore_case takes true or false")
    if ignore_case and not TEXT_OPERATORS & table.keys():
        raise RuleProblem("ignore_case", f"ignore_case goes with one of {', '.join(sorted(TEXT_OPERATORS))}")
    checks = []
    for operator, value in table.items():
        if operator in OPERATORS:
            try:
                check = OPERATORS[operator](value, is_json=is_json, ignore_case=ignore_case)
            except ValueError as error:
                raise RuleProblem(operator, f"{operator} {error}") from None
            checks.append((f"{operator} {value}", check))
    return checks
