# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Rules files for tests."""

import random
from functools import lru_cache
from typing import Any

from antenna.config import build_config
from antenna.throttler import Throttler
from antenna.throttler.rules_file import read_rules_file


def throttler_of(text: str, **options: Any) -> Throttler:
    """Return a throttler with the rules of a rules file."""
    throttler = Throttler(build_config({}), rng=random.Random(7), **options)
    throttler.policy = read_rules_file(text, "rules.toml")
    return throttler


def matches(condition: str, crash: dict[str, Any], head: str = "", **options: Any) -> bool:
    """Whether a condition, written as the keys of a rule, is true of a crash."""
    rule = f'{head}\n[[rules]]\nname = "it"\n{condition}\nresult = "ACCEPT"\n'
    return _throttler_of_last(rule, tuple(options.items())).throttle(crash)[1] == "it"


# To make one takes milliseconds, and tests try a condition on many crashes.
@lru_cache(maxsize=1)
def _throttler_of_last(text: str, options: tuple[tuple[str, Any], ...]) -> Throttler:
    return throttler_of(text, **dict(options))
