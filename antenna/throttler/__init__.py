# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Throttling: which crashes are kept, deferred or rejected, and by which rule."""

from antenna.throttler.engine import NO_MATCH, Throttler
from antenna.throttler.mozilla import (
    ACCEPT_ALL,
    ALL_PRODUCTS,
    MOZILLA_PRODUCT_PACKAGENAMES,
    MOZILLA_PRODUCTS,
    MOZILLA_RULES,
)
from antenna.throttler.rule import ACCEPT, CONTINUE, DEFER, FAKEACCEPT, REJECT, Result, Rule

__all__ = [
    "ACCEPT",
    "ACCEPT_ALL",
    "ALL_PRODUCTS",
    "CONTINUE",
    "DEFER",
    "FAKEACCEPT",
    "MOZILLA_PRODUCTS",
    "MOZILLA_PRODUCT_PACKAGENAMES",
    "MOZILLA_RULES",
    "NO_MATCH",
    "REJECT",
    "Result",
    "Rule",
    "Throttler",
]
