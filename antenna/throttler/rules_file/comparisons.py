# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads versions, dates and numbers in values of annotations, so that rules can compare them.

Each function returns None if the text is not of its kind. Then the comparison does not match.
"""

import re
from datetime import UTC, date, datetime
from typing import Any

# Longest text that is read, in characters. No version or number of a real client is longer.
_MAX_LENGTH = 100

_VERSION = re.compile(r"[vV]?([0-9]+(?:\.[0-9]+)*)([^0-9.+][^+]*)?(?:\+.*)?", re.DOTALL)
_WORDS = re.compile(r"[0-9]+|[A-Za-z]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[T ].*)?", re.DOTALL)
# Digits of a date: of a day, of a day with hours and minutes, and of one with seconds as well.
_LENGTHS_OF_DATES = (8, 12, 14)
# Digits of a time since 1970: of seconds, and of milliseconds.
_LENGTHS_OF_SECONDS = (10, 13)

Version = tuple[Any, ...]


def read_version(text: str) -> Version | None:
    """Read a version. The results compare as people expect: 1.9 is before 1.10, and 2.0-rc.1 is before 2.0.

    The numbers between dots compare as numbers. Missing ones count as 0. If letters follow them, as in 110.0b2 and
    2.0.0-beta.1, the version is earlier than the one without. Text after a ``+`` is ignored.
    """
    match = _VERSION.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        return None
    numbers = [int(number) for number in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    words = _WORDS.findall(match[2] or "")
    # As in Semantic Versioning (semver.org, item 11), a number comes before a word.
    rest = tuple((0, int(word), "") if word.isdigit() else (1, 0, word.lower()) for word in words)
    return (tuple(numbers), not words, rest)


def read_number(text: str) -> float | int | None:
    """Read a decimal number."""
    if len(text) > _MAX_LENGTH or not _NUMBER.fullmatch(text):
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)


def read_date(text: str) -> date | None:
    """Read the day of a date, a build id or a time stamp. If it is in seconds since 1970, the day is the one in UTC.

    Examples: 20261122, 20261122120000, 2026-11-22, 2026-11-22T12:00:00Z, 1795320893, 1795320893000.
    """
    if len(text) > _MAX_LENGTH:
        return None
    if text.isdigit() and text.isascii():
        if len(text) in _LENGTHS_OF_SECONDS:
            return datetime.fromtimestamp(int(text[:10]), UTC).date()
        digits = text if len(text) in _LENGTHS_OF_DATES else ""
    else:
        match = _DATE.fullmatch(text)
        digits = match[1] + match[2] + match[3] if match is not None else ""
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None
