# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Throttle rules such as a team writes for itself. The annotation ``Fate`` says what happens to a crash."""

from antenna.throttler import ACCEPT, CONTINUE, DEFER, FAKEACCEPT, REJECT, Rule


def _raise(_: object, value: str) -> bool:
    raise RuntimeError(f"cannot judge {value}")


RULES = [
    Rule("faulty", "Fate", _raise, REJECT),
    Rule("undecided", "*", lambda _throttler, _crash: True, CONTINUE),
    Rule("is_deferred", "Fate", lambda _, value: value == "defer", DEFER),
    Rule("is_rejected", "Fate", lambda _, value: value == "reject", REJECT),
    Rule("is_fake", "Fate", lambda _, value: value == "fakeaccept", FAKEACCEPT),
    Rule("lucky", "Fate", lambda _, value: value == "always chosen", (100, ACCEPT, REJECT)),
    Rule("unlucky", "Fate", lambda _, value: value == "never chosen", (0, ACCEPT, REJECT)),
    Rule("number_as_text", "Number", lambda _, value: value == "5", REJECT),
    Rule("everything_else", "*", lambda _throttler, _crash: True, ACCEPT),
]
