# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Decides which crashes are kept, deferred or rejected, and by which rule.

The resource asks ``Throttler.judge`` about each crash. ``engine`` goes through the rules in order: each ``rule`` looks
at the ``crash_view``, and the first that decides wins. ``options`` turns the values of the options into a ``policy``,
which is Mozilla's (``mozilla``), a list in an operator's own Python module (``python_modules``) or a rules file
(``rules_file``). ``reload`` loads it again when its ``sources`` change, and ``last_good`` keeps it while they are
broken. ``quotas`` and ``unlisted`` count for all workers together.

Two things are promised. A rule that raises an error is skipped, so it can neither lose nor fail a crash. And rules
never change a crash. The names in ``__all__`` are those that rule modules written for Mozilla's Antenna import. Tests
are in tests/throttler.
"""

from antenna.throttler.crash_view import product_of, safe_get
from antenna.throttler.engine import NO_MATCH, Throttler, Verdict
from antenna.throttler.mozilla import (
    ACCEPT_ALL,
    ALL_PRODUCT_PACKAGENAMES,
    ALL_PRODUCTS,
    MOZILLA_PRODUCT_PACKAGENAMES,
    MOZILLA_PRODUCTS,
    MOZILLA_RULES,
    always_match,
    match_b2g,
    match_infobar_true,
    match_old_buildid,
    match_unsupported_android_packagename,
    match_unsupported_product,
    match_unsupported_windows,
)
from antenna.throttler.rule import ACCEPT, CONTINUE, DEFER, FAKEACCEPT, REJECT, RESULT_TO_TEXT, Result, Rule

__all__ = [
    "ACCEPT",
    "ACCEPT_ALL",
    "ALL_PRODUCTS",
    "ALL_PRODUCT_PACKAGENAMES",
    "CONTINUE",
    "DEFER",
    "FAKEACCEPT",
    "MOZILLA_PRODUCTS",
    "MOZILLA_PRODUCT_PACKAGENAMES",
    "MOZILLA_RULES",
    "NO_MATCH",
    "REJECT",
    "RESULT_TO_TEXT",
    "Result",
    "Rule",
    "Throttler",
    "Verdict",
    "always_match",
    "match_b2g",
    "match_infobar_true",
    "match_old_buildid",
    "match_unsupported_android_packagename",
    "match_unsupported_product",
    "match_unsupported_windows",
    "product_of",
    "safe_get",
]
