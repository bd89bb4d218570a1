# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The operators of a rules file. Each takes a value from the file, and returns a check of a value of the crash.

The value of an annotation is text, so 0 and "0" in the file mean the same for it. A value inside JSON has a type, and
equals only a value of the same type.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from antenna.limits import MAX_READ_JSON_SIZE
from antenna.throttler.rules_file.comparisons import read_date, read_number, read_version
from antenna.throttler.rules_file.conditions import Check
from antenna.throttler.rules_file.regexes import Pattern
from antenna.throttler.rules_file.values import read_count

# Texts or values of one operator. A rules file with more is refused, since a report may be compared with each.
_MAX_TEXTS = 1_000

MAX_SEARCHED_LENGTH = 100_000
"""Longest value, in characters, that is searched. Searching takes time for each character and each text."""

# Days of ``older_than_days``, some 270 years. No date in a report is so old, so a rule with more is refused.
_MAX_DAYS = 100_000

JSON_TYPES: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "text": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "list": (list,),
        "object": (dict,),
    }
)


def _plain(value: object) -> Any:
    """Return a value of the file that a value of a crash can equal. Raises ``ValueError`` for lists and tables."""
    if isinstance(value, str | int | float):
        return value
    raise ValueError(
        "takes a text, a number or true or false" + ("; in takes a list" if isinstance(value, list) else "")
    )


def _texts(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    if not items or len(items) > _MAX_TEXTS or not all(isinstance(item, str) and item for item in items):
        raise ValueError("takes a text, or a list of texts, which must not be empty")
    return tuple(items)


def _is_same(found: Any, expected: Any) -> bool:
    """Whether two values are equal in JSON, where true does not equal 1."""
    return found == expected and isinstance(found, bool) is isinstance(expected, bool)


def _as_text(value: object) -> str:
    # Annotations write booleans in this way.
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def equals(value: object, *, is_json: bool, ignore_case: bool) -> Check:
    """The value equals this one."""
    expected = _plain(value)
    if is_json and not isinstance(expected, str):
        return lambda _, found: _is_same(found, expected)
    text = _as_text(expected)
    if ignore_case:
        lower = text.lower()
        return lambda _, found: isinstance(found, str) and len(found) <= len(lower) and found.lower() == lower
    return lambda _, found: found == text


def is_in(value: object, *, is_json: bool, ignore_case: bool) -> Check:
    """The value equals one of these."""
    if not isinstance(value, list) or not value or len(value) > _MAX_TEXTS:
        raise ValueError("takes a list of values")
    if is_json:
        checks = [equals(item, is_json=True, ignore_case=ignore_case) for item in value]
        return lambda throttler, found: any(check(throttler, found) for check in checks)
    texts = frozenset(_as_text(_plain(item)) for item in value)
    if ignore_case:
        lower = frozenset(text.lower() for text in texts)
        longest = max(map(len, lower))
        return lambda _, found: len(found) <= longest and found.lower() in lower
    return lambda _, found: found in texts


def _lower(text: str) -> str:
    """Return a text in lower case. If it is too long, return "": it would take a dozen bytes for each character."""
    return text.lower() if len(text) <= MAX_READ_JSON_SIZE else ""


def _is_short_text(found: object) -> bool:
    return isinstance(found, str) and len(found) <= MAX_SEARCHED_LENGTH


def _on_texts(test: Callable[[str, tuple[str, ...]], bool]) -> "Builder":
    def build(value: object, *, is_json: bool, ignore_case: bool) -> Check:
        texts = _texts(value)
        if ignore_case:
            texts = tuple(text.lower() for text in texts)
            return lambda _, found: isinstance(found, str) and test(_lower(found), texts)
        if is_json:
            return lambda _, found: isinstance(found, str) and test(found, texts)
        return lambda _, found: test(found, texts)

    return build


def matches(value: object, *, is_json: bool, ignore_case: bool) -> Check:  # noqa: ARG001 - as all operators
    """The whole value matches this regular expression."""
    if not isinstance(value, str):
        raise ValueError("takes a regular expression")  # noqa: TRY004 - as all operators
    pattern = Pattern(value, ignore_case=ignore_case)
    return lambda _, found: isinstance(found, str) and pattern.matches(found)


def _comparison(test: Callable[[Any, Any], bool]) -> "Builder":
    def build(value: object, *, is_json: bool, ignore_case: bool) -> Check:  # noqa: ARG001 - as all operators
        read, limit = _reader(value, is_json=is_json)

        def check(_: Any, found: Any) -> bool:
            read_value = read(found)
            return read_value is not None and test(read_value, limit)

        return check

    return build


def _reader(value: object, *, is_json: bool) -> tuple[Callable[[Any], Any], Any]:
    """Return a function that reads a value for comparison with ``value``, and ``value`` itself in that form."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (_number_in_json if is_json else read_number), value
    if isinstance(value, date) and not isinstance(value, datetime):
        return (lambda found: read_date(found) if isinstance(found, str) else None), value
    version = read_version(value) if isinstance(value, str) else None
    if version is not None:
        return (lambda found: read_version(found) if isinstance(found, str) else None), version
    raise ValueError('takes a number (9600), a version in quotes ("1.10.2") or a date without quotes (2026-01-31)')


def _number_in_json(found: object) -> int | float | None:
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def older_than_days(value: object, *, is_json: bool, ignore_case: bool) -> Check:  # noqa: ARG001 - as all operators
    """The value has a date this many days ago or more."""
    days = read_count(value, _MAX_DAYS)

    def check(throttler: Any, found: Any) -> bool:
        day = read_date(found) if isinstance(found, str) else None
        return day is not None and (throttler.now().date() - day).days >= days

    return check


def sorts_before(value: object, *, is_json: bool, ignore_case: bool) -> Check:  # noqa: ARG001 - as all operators
    """The value comes before this text, compared character by character."""
    if not isinstance(value, str) or not value:
        raise ValueError("takes a text")
    return lambda _, found: isinstance(found, str) and found < value


def has_type(value: object, *, is_json: bool, ignore_case: bool) -> Check:  # noqa: ARG001 - as all operators
    """The value has this JSON type."""
    if not is_json:
        raise ValueError("is for values inside JSON, which have a path: an annotation is text")
    types = JSON_TYPES.get(value) if isinstance(value, str) else None
    if types is None:
        raise ValueError(f"takes one of {', '.join(JSON_TYPES)}")
    wants_bool = bool in types
    return lambda _, found: isinstance(found, types) and isinstance(found, bool) is wants_bool


Builder = Callable[..., Check]

OPERATORS: Mapping[str, Builder] = MappingProxyType(
    {
        "equals": equals,
        "in": is_in,
        "starts_with": _on_texts(lambda found, texts: found.startswith(texts)),
        "ends_with": _on_texts(lambda found, texts: found.endswith(texts)),
        "contains": _on_texts(lambda found, texts: _is_short_text(found) and any(text in found for text in texts)),
        "matches": matches,
        "at_least": _comparison(lambda found, limit: found >= limit),
        "at_most": _comparison(lambda found, limit: found <= limit),
        "more_than": _comparison(lambda found, limit: found > limit),
        "less_than": _comparison(lambda found, limit: found < limit),
        "older_than_days": older_than_days,
        "sorts_before": sorts_before,
        "type": has_type,
    }
)
"""Operators by their names in a rules file. If the value in the file is wrong, each raises ``ValueError``."""

TEXT_OPERATORS = frozenset(["equals", "in", "starts_with", "ends_with", "contains", "matches"])
"""Operators that can be combined with ``ignore_case``."""
