# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A policy: the rules, the products and packages that they refer to, and a quota."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType

from antenna.throttler.rule import DEFER, Result, Rule


@dataclass(frozen=True)
class Quota:
    """How many crashes the whole instance keeps in a minute. A crash beyond that gets the result ``otherwise``."""

    per_minute: int
    """The limit for each listed product, and for all products together that are not listed."""
    by_product: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """The limits of products that have one of their own."""
    name: str = "over_quota"
    otherwise: Result = DEFER


@dataclass(frozen=True)
class Policy:
    """Rules in order, and the lists that they refer to. An empty list allows everything."""

    rules: tuple[Rule, ...]
    products: tuple[str, ...] = ()
    product_packagenames: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    quota: Quota | None = None
    name: str = ""
    """The path of the rules file, or the dotted path, from which the rules were loaded."""
    digest: str = ""
    """A hash of the texts from which the rules were loaded."""
    is_file: bool = False
    """Whether the rules come from a rules file, and not from Python."""

    @property
    def label(self) -> str:
        """The name and the beginning of the hash, which tell which rules decided."""
        return f"{PurePath(self.name).name}@{self.digest[:12]}"
