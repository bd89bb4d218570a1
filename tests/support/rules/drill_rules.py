# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Throttle rules for a collector that faults are caused on. The annotation ``Fate`` says whether a rule raises."""

from antenna.throttler import ACCEPT, REJECT, Rule


def _raises(_: object, value: str) -> bool:
    if value == "raise":
        raise RuntimeError("a rule is broken")
    return False


RULES = [
    Rule("faulty", "Fate", _raises, REJECT),
    Rule("is_rejected", "Fate", lambda _, value: value == "reject", REJECT),
    Rule("everything_else", "*", lambda _throttler, _crash: True, ACCEPT),
]
