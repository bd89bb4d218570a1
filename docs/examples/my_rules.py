# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The rules that decide which crashes of our game are kept."""

from collections.abc import Mapping

from antenna.throttler import ACCEPT, DEFER, REJECT, Rule, Throttler

PRODUCTS = ["OurGame", "OurLauncher"]


def is_foreign(throttler: Throttler, crash: Mapping[str, str]) -> bool:
    """``ProductName`` is not one of ours."""
    return crash.get("ProductName") not in throttler.products


def is_beta(_throttler: Throttler, value: str) -> bool:
    """``beta``."""
    return value == "beta"


def always(_throttler: Throttler, _crash: Mapping[str, str]) -> bool:
    """Any crash."""
    return True


RULES = [
    Rule("foreign_product", "*", is_foreign, REJECT),
    Rule("beta", "ReleaseChannel", is_beta, ACCEPT),
    # We process a quarter of all other crashes. The rest is saved, in case somebody asks for it.
    Rule("sample", "*", always, (25, ACCEPT, DEFER)),
]
