# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Turns the values of the throttler's options into rules, products and packages.

A value that has a ``/`` or ends in ``.toml`` is the path of a rules file. If the option takes names, a value with a
comma or without a dot is a list of names. Any other value is a dotted path to Python.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any, TypeVar

from antenna.config import ConfigManager, Parser, bad_value, is_set
from antenna.throttler.policy import Policy
from antenna.throttler.rule import Rule
from antenna.throttler.rules_file import read_rules_file
from antenna.throttler.sources import Sources

T = TypeVar("T")
Packages = Mapping[str, tuple[str, ...]]

_RULES = "a list of antenna.throttler.Rule"
_PRODUCTS = "a list of product names"
_PACKAGES = "a mapping of product names to lists of Android package names"


class _Value(Parser[T]):
    """The parser of an option. Its errors say what is wrong in the file or module that the value names: no secret."""

    def __init__(self, expected: str, read: Callable[[str, Sources], T]) -> None:
        super().__init__(expected, lambda text: read(text, Sources()))
        self.read = read

    def __call__(self, text: str) -> T:
        return self._convert(text.strip())


def is_rules_file(value: str) -> bool:
    """Whether the value of an option is the path of a rules file."""
    return "/" in value or value.endswith(".toml")


def _is_names(value: str) -> bool:
    return "," in value or "." not in value


def _read_rules(value: str, sources: Sources) -> tuple[Rule, ...]:
    if is_rules_file(value):
        rules = _read_file(value, sources).rules
        if not rules:
            raise ValueError(f"{PurePath(value).name} has no rules: each begins with a line [[rules]]")
        return rules
    found = _import(value, sources, f"{_RULES}; the path of a rules file has a / in it or ends in .toml")
    if not isinstance(found, list | tuple):
        raise ValueError(f"expected {_RULES}, not a {type(found).__name__}")  # noqa: TRY004 - parsers raise ValueError
    for position, item in enumerate(found, start=1):
        if not isinstance(item, Rule):
            raise ValueError(f"expected {_RULES}; item {position} is a {type(item).__name__}")  # noqa: TRY004 - as above
    return tuple(found)


def _read_products(value: str, sources: Sources) -> tuple[str, ...]:
    if is_rules_file(value):
        return _read_file(value, sources).products
    if _is_names(value):
        return _split_names(value, ",")
    found = _import(value, sources, f"{_PRODUCTS}; a single name with a dot in it needs a comma behind it")
    if not _are_names(found):
        raise ValueError(f"expected {_PRODUCTS}")
    return tuple(found)


def _read_packagenames(value: str, sources: Sources) -> Packages:
    if is_rules_file(value):
        return dict(_read_file(value, sources).product_packagenames)
    if ":" in value:
        return _split_packages(value)
    found = _import(value, sources, f"{_PACKAGES}, or Product:package package;Other:package")
    if not (isinstance(found, Mapping) and _are_names(found.keys()) and all(map(_are_names, found.values()))):
        raise ValueError(f"expected {_PACKAGES}")
    return {product: tuple(names) for product, names in found.items()}


def _split_packages(value: str) -> Packages:
    packages: dict[str, tuple[str, ...]] = {}
    for entry in filter(None, (entry.strip() for entry in value.split(";"))):
        product, _, names = entry.rpartition(":")
        if not product.strip() or not names.strip():
            raise ValueError(f"expected Product:package package;Other:package; {entry!r} does not have this form")
        if product.strip() in packages:
            raise ValueError(f"{product.strip()!r} occurs twice")
        packages[product.strip()] = tuple(names.replace(",", " ").split())
    return packages


def _split_names(value: str, separator: str) -> tuple[str, ...]:
    names = tuple(filter(None, (name.strip() for name in value.split(separator))))
    if not names:
        raise ValueError("it has no names")
    return names


def _read_file(path: str, sources: Sources) -> Policy:
    return read_rules_file(sources.read_file(path), PurePath(path).name)


def _import(path: str, sources: Sources, expected: str) -> Any:
    try:
        return sources.import_object(path)
    except ValueError as error:
        raise ValueError(f"expected the dotted path of {expected}; {error}") from error


def _are_names(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str) and all(isinstance(name, str) for name in value)


parse_rules = _Value(f"the path of a rules file (TOML), or the dotted path of {_RULES}", _read_rules)
parse_products = _Value(
    "names with commas between them, the path of a rules file (TOML), or the dotted path of "
    f"{_PRODUCTS}, empty for every product",
    _read_products,
)
parse_product_packagenames = _Value(
    f"Product:package package;Other:package, the path of a rules file (TOML), or the dotted path of {_PACKAGES}",
    _read_packagenames,
)


def load_policy(config: ConfigManager, sources: Sources) -> Policy:
    """Return the policy that the throttler's options describe. Raises ``ConfigurationError``.

    If a rules file has products or packages, these replace the defaults of the other two options.
    """

    def read(key: str, parser: _Value[T]) -> T:
        try:
            return parser.read(config(key, raw_value=True).strip(), sources)
        except ValueError as error:
            raise bad_value(config, key, str(error)) from error

    name = config("rules", raw_value=True).strip()
    rules = read("rules", parse_rules)
    if not is_rules_file(name):
        policy = Policy(
            rules, read("products", parse_products), read("product_packagenames", parse_product_packagenames)
        )
        return replace(policy, name=name, digest=_digest(policy, sources))
    policy = replace(_read_file(name, sources), name=name, digest=sources.texts.digest(), is_file=True)
    if is_set(config, "products"):
        if policy.products:
            raise bad_value(config, "products", f"{name} has products, too: give them in one place")
        policy = replace(policy, products=read("products", parse_products))
    if is_set(config, "product_packagenames"):
        if policy.product_packagenames:
            raise bad_value(config, "product_packagenames", f"{name} has packages, too: give them in one place")
        policy = replace(policy, product_packagenames=read("product_packagenames", parse_product_packagenames))
    return policy


def _digest(policy: Policy, sources: Sources) -> str:
    if sources.texts.files or sources.texts.modules:
        return sources.texts.digest()
    # These rules belong to the collector, so there is no text of the operator to hash.
    rules = [(rule.rule_name, rule.key, str(rule.result)) for rule in policy.rules]
    return hashlib.sha256(repr((rules, policy.products, policy.product_packagenames)).encode()).hexdigest()
