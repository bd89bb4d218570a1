# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Which of two versions is newer."""

import re

_PARTS = re.compile(r"[0-9]+|[a-z]+", re.IGNORECASE)
# The end of a version counts for more than the letters of a beta, and for less than another number.
_END = (0, 0, "")
_DIGITS = 18


def sort_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return what versions are compared by: 153.0a1 < 153.0b2 < 153.0 = 153 < 153.0.1 < 154."""
    parts = [
        (1, int(part[:_DIGITS]), "") if part.isdecimal() else (-1, 0, part.casefold())
        for part in _PARTS.findall(version)
    ]
    # A zero in front of letters or at the end says nothing.
    kept = [
        part
        for index, part in enumerate(parts)
        if part[:2] != (1, 0) or any(later[0] > 0 and later[1] for later in _numbers(parts[index + 1 :]))
    ]
    return (*kept, _END)


def _numbers(parts: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Return the numbers up to the next letters."""
    found = []
    for part in parts:
        if part[0] < 0:
            break
        found.append(part)
    return found


def is_at_least(version: str, other: str) -> bool:
    """Whether ``version`` is ``other`` or newer. What has no number, such as a name, is neither."""
    if not any(character.isdecimal() for character in other):
        return False
    return bool(version) and sort_key(version) >= sort_key(other)
