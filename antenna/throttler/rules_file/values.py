# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads values that occur in several places of a rules file. If a value is wrong, each raises ``ValueError``."""

from typing import Any

from antenna.throttler.rule import Result

SECTIONS = ("products", "packages", "quota", "rules")
"""The keys at the top of a rules file."""


def read_names(value: Any) -> tuple[str, ...]:
    """Return a value that must be a list of names. Raises ``ValueError`` if it is something else."""
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise ValueError('takes a list of names, such as ["One", "Another"]')
    return tuple(value)


def read_result(value: Any) -> Result:
    """Return the ``Result`` that ``value`` names, in upper or lower case."""
    names = [result.name for result in Result]
    if isinstance(value, str) and value.upper() in names:
        return Result[value.upper()]
    raise ValueError(f"takes one of {', '.join(names)}, not {value!r}")


def read_count(value: Any, most: int) -> int:
    """Return a whole number from 0 to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"takes a whole number from 0 to {most}")
    return value
