# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Where rules and products come from: one parser for each of the throttler's options.

The throttler sees what these return and does not know where it came from. Values are dotted paths to Python.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from antenna.config import Parser, parse_attribute
from antenna.throttler.rule import Rule

T = TypeVar("T")


class _CheckedAttribute(Parser[T]):
    """Imports what a dotted path names and checks it. The error says what is wrong there: a path is no secret."""

    def __init__(self, expected: str, check: Callable[[Any], T]) -> None:
        super().__init__(f"the dotted path of {expected}", lambda path: check(parse_attribute(path)))

    def __call__(self, text: str) -> T:
        return self._convert(text)


def _rules(value: Any) -> tuple[Rule, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list of antenna.throttler.Rule, not a {type(value).__name__}")  # noqa: TRY004 - parsers raise ValueError
    for position, item in enumerate(value, start=1):
        if not isinstance(item, Rule):
            raise ValueError(  # noqa: TRY004 - parsers raise ValueError
                f"expected a list of antenna.throttler.Rule; item {position} is a {type(item).__name__}"
            )
    return tuple(value)


def _products(value: Any) -> tuple[str, ...]:
    if not _are_names(value):
        raise ValueError("expected a list of product names")
    return tuple(value)


def _product_packagenames(value: Any) -> dict[str, tuple[str, ...]]:
    if not (isinstance(value, Mapping) and _are_names(value.keys()) and all(map(_are_names, value.values()))):
        raise ValueError("expected a mapping of product names to lists of Android package names")
    return {product: tuple(names) for product, names in value.items()}


def _are_names(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str) and all(isinstance(name, str) for name in value)


parse_rules = _CheckedAttribute("a list of antenna.throttler.Rule", _rules)
parse_products = _CheckedAttribute("a list of product names, empty for every product", _products)
parse_product_packagenames = _CheckedAttribute(
    "a mapping of product names to lists of Android package names", _product_packagenames
)
