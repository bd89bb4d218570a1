# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Makes, checks and reads crash ids.

A crash id is a random UUID4 in lower case whose last 7 characters are the throttle result and the UTC date as YYMMDD:
``de1bb258-cbbf-4589-a673-34f800160918`` was accepted (0) on 2016-09-18. So the id alone tells where the crash is
stored, and whether it is to be processed.
"""

import re
import uuid
from datetime import UTC, date, datetime

# A fake-accepted crash (3) gets the same id as an accepted one. A rejected crash gets an id only for the log.
_DIGIT_OF_RESULT = {0: "0", 1: "1", 3: "0"}
_DIGIT_OF_REJECTED = "2"

_CRASH_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{5}[01]([0-9]{2})([0-9]{2})([0-9]{2})")


def mint(result: int, now: datetime) -> str:
    """Return a new crash id for a crash with the throttle result ``result``, collected ``now`` (an aware datetime).

    :raises ValueError: if crashes with that result get no crash id
    """
    digit = _DIGIT_OF_RESULT.get(result)
    if digit is None:
        raise ValueError(f"throttle result {result!r} gets no crash id")
    return _mint(digit, now)


def mint_for_log(now: datetime) -> str:
    """Return an id for the log line of a rejected crash. It has the result 2, and ``is_valid`` refuses it."""
    return _mint(_DIGIT_OF_REJECTED, now)


def _mint(digit: str, now: datetime) -> str:
    return f"{str(uuid.uuid4())[:-7]}{digit}{now.astimezone(UTC):%y%m%d}"


def is_valid(crash_id: object) -> bool:
    """Whether an object is a crash id: a text with the right shape, result 0 or 1, and a date that exists."""
    if not isinstance(crash_id, str):
        return False
    match = _CRASH_ID.fullmatch(crash_id)
    if match is None:
        return False
    year, month, day = map(int, match.groups())
    try:
        date(2000 + year, month, day)
    except ValueError:
        return False
    return True


def result_of(crash_id: str) -> int:
    """Return the throttle result of a valid crash id: 0 (accepted) or 1 (deferred)."""
    return int(crash_id[-7])


def date_of(crash_id: str) -> str:
    """Return the date of a valid crash id, as YYYYMMDD."""
    return f"20{crash_id[-6:]}"
