# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What decides about crashes: rules, the products and packages they know, and a quota."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType

from antenna.throttler.rule import DEFER, Result, Rule


@dataclass(frozen=True)
class Quota:
    """How many crashes are kept each minute, by the whole instance. What is beyond gets ``otherwise``."""

    per_minute: int
    """For each listed product, and for all others together."""
    by_product: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """For products that have a number of their own."""
    name: str = "over_quota"
    otherwise: Result = DEFER


@dataclass(frozen=True)
class Policy:
    """Rules in order, and the lists that they ask. Empty lists allow everything."""

    rules: tuple[Rule, ...]
    products: tuple[str, ...] = ()
    product_packagenames: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    quota: Quota | None = None
    name: str = ""
    """The rules file, or the dotted path, that the rules come from."""
    digest: str = ""
    """A hash of what they come from."""
    is_file: bool = False

    @property
    def label(self) -> str:
        """The name and the beginning of the hash: enough to tell which rules decided."""
        return f"{PurePath(self.name).name}@{self.digest[:12]}"
