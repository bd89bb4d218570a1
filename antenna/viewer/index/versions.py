# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Decides which of two versions is newer."""

import re

_PARTS = re.compile(r"[0-9]+|[a-z]+", re.IGNORECASE)
# The end of a version sorts after the letters of a beta, and before another number.
_END = (0, 0, "")
# Digits of a number that are compared. The rest is ignored, so that hostile numbers cost nothing.
_DIGITS = 18


def sort_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Return the key by which versions are sorted: 153.0a1 < 153.0b2 < 153.0 = 153 < 153.0.1 < 154."""
    parts = [
        (1, int(part[:_DIGITS]), "") if part.isdecimal() else (-1, 0, part.casefold())
        for part in _PARTS.findall(version)
    ]
    # A zero in front of letters, or at the end, does not count.
    kept = [
        part
        for index, part in enumerate(parts)
        if part[:2] != (1, 0) or any(later[0] > 0 and later[1] for later in _numbers(parts[index + 1 :]))
    ]
    return (*kept, _END)


def _numbers(parts: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Return the parts before the first one that is letters. All of them are numbers."""
    found = []
    for part in parts:
        if part[0] < 0:
            break
        found.append(part)
    return found


def is_at_least(version: str, other: str) -> bool:
    """Whether ``version`` is ``other`` or newer. It is False if ``other`` has no number."""
    if not any(character.isdecimal() for character in other):
        return False
    return bool(version) and sort_key(version) >= sort_key(other)
