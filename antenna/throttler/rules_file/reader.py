# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads a rules file: TOML with products, packages, a quota, and rules in order.

The error lists everything that is wrong, each with its line and rule. An unknown key is an error, because a condition
with a misspelt key would otherwise match every crash. docs/throttling.rst describes the file.
"""

import tomllib
from collections.abc import Callable
from typing import Any, TypeVar

from antenna.throttler.policy import Policy, Quota
from antenna.throttler.rule import DEFER, REJECT, WHOLE_CRASH, Rule
from antenna.throttler.rules_file.conditions import Always
from antenna.throttler.rules_file.lines import Lines
from antenna.throttler.rules_file.problems import RuleProblem, RulesFileError, meant
from antenna.throttler.rules_file.rule_table import read_rule
from antenna.throttler.rules_file.values import SECTIONS, read_count, read_names, read_result

T = TypeVar("T")

MAX_SIZE = 1024 * 1024
"""Characters of a rules file. A longer file is refused with ``RulesFileError``."""

# Largest quota. No instance can take as many reports in a minute, so a larger number is refused as a mistake.
_MAX_PER_MINUTE = 10_000_000

_QUOTA_KEYS = ("per_minute", "products", "name", "otherwise")


def read_rules_file(text: str, file_name: str) -> Policy:
    """Return the policy of a rules file. Raises ``RulesFileError``, which lists everything that is wrong."""
    if len(text) > MAX_SIZE:
        raise RulesFileError(f"{file_name}: longer than {MAX_SIZE} characters")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesFileError(f"{file_name}: {error}") from None
    except RecursionError:
        raise RulesFileError(f"{file_name}: nested too deeply") from None
    return _Reader(content, text, file_name).read()


class _Reader:
    def __init__(self, content: dict[str, Any], text: str, file_name: str) -> None:
        self._content = content
        self._lines = Lines(text)
        self._file_name = file_name
        self._problems: list[str] = []

    def read(self) -> Policy:
        for key in self._content.keys() - set(SECTIONS):
            self._report(key, f"unknown key {key!r}{meant(key, SECTIONS)}")
        products = self._section("products", read_names) or ()
        packages = self._section("packages", _packages) or {}
        quota = self._section("quota", lambda value: _quota(value, products))
        rules = self._rules(self._content.get("rules", []))
        if quota is not None and any(rule.rule_name == quota.name for rule in rules):
            self._report("quota", f"quota: its name, {quota.name!r}, is that of a rule, too")
        if self._problems:
            raise RulesFileError("; ".join(self._problems))
        return Policy(rules, products, packages, quota)

    def _section(self, key: str, read: Callable[[Any], T]) -> T | None:
        if key not in self._content:
            return None
        try:
            return read(self._content[key])
        except ValueError as error:
            self._report(key, f"{key}: {error}")
            return None

    def _rules(self, tables: Any) -> tuple[Rule, ...]:
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._report("rules", "rules: each is a table of its own, below a line [[rules]]")
            return ()
        rules: dict[str, Rule] = {}
        for position, table in enumerate(tables):
            name = table.get("name")
            try:
                rule = read_rule(table, taken=rules)
            except RuleProblem as problem:
                line = self._lines.of_rule(position, len(tables), name, problem.key)
                called = f"rule {name!r}" if isinstance(name, str) else f"rule number {position + 1}"
                self._problems.append(f"{self._file_name}, line {line}, {called}: {problem}")
            else:
                rules[rule.rule_name] = rule
        return tuple(rules.values())

    def _report(self, key: str, what: str) -> None:
        self._problems.append(f"{self._file_name}, line {self._lines.of_key(key)}: {what}")


def _packages(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise ValueError("takes a table of products, each with a list of packages")  # noqa: TRY004 - as the others
    return {product: read_names(names) for product, names in value.items()}


def _quota(value: Any, products: tuple[str, ...]) -> Quota:
    if not isinstance(value, dict) or "per_minute" not in value:
        raise ValueError("takes a table with per_minute, a number of crashes")
    for key in value.keys() - set(_QUOTA_KEYS):
        raise ValueError(f"unknown key {key!r}{meant(key, _QUOTA_KEYS)}")
    by_product = value.get("products", {})
    if not isinstance(by_product, dict):
        raise ValueError("products takes a table of products, each with a number of crashes")  # noqa: TRY004 - as the others
    for product in by_product:
        if product not in products:
            raise ValueError(f"{product!r} is not one of the products{meant(product, products)}")
    otherwise = read_result(value.get("otherwise", "DEFER"))
    if otherwise not in (DEFER, REJECT):
        raise ValueError("otherwise is DEFER or REJECT")
    name = value.get("name", Quota.name)
    if not isinstance(name, str):
        raise ValueError("name takes a text")  # noqa: TRY004 - as the others
    Rule(name, WHOLE_CRASH, Always(), otherwise)  # this checks the name
    return Quota(
        read_count(value["per_minute"], _MAX_PER_MINUTE),
        {product: read_count(count, _MAX_PER_MINUTE) for product, count in by_product.items()},
        name,
        otherwise,
    )
