# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A throttle rule that blocks the whole worker for a while. Nobody should write such a rule."""

import time

from antenna.throttler import ACCEPT, Rule

SECONDS = 0.5


def _use_the_cpu(_throttler: object, _crash: object) -> bool:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        pass
    return True


RULES = [Rule("slow", "*", _use_the_cpu, ACCEPT)]
