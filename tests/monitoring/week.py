# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A week of normal traffic, in which no alert may fire: ``python -m tests.monitoring.week``. It takes minutes.

By day ten times as many crashes come as by night, and they come at random. Scanners come every few hours, the bucket
fails now and then, a storage is away for half a minute twice, and a new version is started every day.
"""

import math
import random
import re
import sys
import tempfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from tests.monitoring.test_alerts import MIB, WELL, series
from tests.support.prometheus import Promtool, Scenario

DAY = 24 * 60
MINUTES = 7 * DAY
# The minutes of the week at which the storage is away, and the minute of each day at which a new version is started.
_AWAY = (3000, 8111)
_RELEASE = 600


def week() -> dict[str, str]:
    """Return the series of a week, with a value a minute, in promtool's notation."""
    chance = random.Random(7)
    rates = [55 - 45 * math.cos(2 * math.pi * minute / DAY) for minute in range(MINUTES)]
    is_away = [minute in _AWAY for minute in range(MINUTES)]
    astray = [chance.randrange(5, 60) if chance.random() < 1 / 240 else 0 for _ in range(MINUTES)]
    errors = [20 if away else int(chance.random() < 1 / 100) for away in is_away]
    return {name: re.sub(r"x160$", f"x{MINUTES}", values) for name, values in WELL.items()} | {
        "antenna_breakpad_resource_incoming_crash_total": _counter(
            [max(0, round(chance.gauss(rate, rate**0.5))) for rate in rates]
        ),
        "antenna_instance_loop_lag_seconds": " ".join(f"{chance.expovariate(30):.3f}" for _ in rates),
        "antenna_instance_connections": " ".join(str(round(rate * chance.uniform(1, 4))) for rate in rates),
        'antenna_crashmover_backend_up{backend="storage"}': " ".join(str(int(not away)) for away in is_away),
        'antenna_crashmover_backend_errors_total{backend="storage",class="server"}': _counter(errors),
        "antenna_crashmover_spool_size_bytes": " ".join(str(5 * MIB * away) for away in is_away),
        'antenna_crashes_astray_total{how="path"}': _counter(astray),
        'antenna_instance_workers_ended_total{cause="stopped"}': _counter(
            [2 * (minute % DAY == _RELEASE) for minute in range(MINUTES)]
        ),
    }


def _counter(increments: list[int]) -> str:
    """Return the values of a counter, which begins at 0 with each new version."""
    return " ".join(str(value) for value in _values(increments))


def _values(increments: list[int]) -> Iterator[int]:
    for start in range(0, MINUTES, DAY):
        day = increments[start : start + DAY]
        # The release is in the middle of the day.
        yield from accumulate(day[:_RELEASE])
        yield from accumulate(day[_RELEASE:])


def main() -> int:
    """Print which alerts fire, and when. Returns the exit code."""
    minutes = range(30, MINUTES, 10)
    with tempfile.TemporaryDirectory() as directory:
        (firing,) = Promtool().firing(Path(directory), [Scenario(series(week()), minutes)], step="1m")
    found = {minute: alerts for minute, alerts in zip(minutes, firing, strict=True) if alerts}
    for minute, alerts in found.items():
        print(f"day {minute // DAY}, {minute % DAY // 60:02}:{minute % 60:02}: {', '.join(sorted(alerts))}")
    print("1 passed, 0 failed" if not found else f"{len(found)} times an alert fires: 0 passed, 1 failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
