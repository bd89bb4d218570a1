# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads conditions, such as ``!~Foo`` for a field: an operator and a value. Says whether a text fulfils them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from antenna.viewer.index.versions import sort_key
from antenna.viewer.supersearch.facts import PLATFORMS, to_boolean, to_number
from antenna.viewer.supersearch.fields import OPERATORS, Field, Kind
from antenna.viewer.supersearch.patterns import Pattern, PatternError

#: Operators that compare values by their order.
COMPARISONS = frozenset({">", ">=", "<", "<="})

NULL, TRUE, NOT = "__null__", "__true__", "!"

# Most characters of a value in a condition. A longer one is refused.
_MAX_VALUE = 2000

_WORD = re.compile(r"\w+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)


class QueryError(Exception):
    """A search is not valid. The message says why."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one field."""

    field: Field
    operator: str
    """One of ``OPERATORS``, or ``__null__``."""
    value: str | int | float = ""
    """A number if the field is a number, seconds since 1970 if it is a date, 1 or 0 if it is a boolean."""
    is_negated: bool = False

    @property
    def is_comparison(self) -> bool:
        """Whether it is one end of a range. All such conditions on a field must hold. Of the others, one is enough."""
        return self.operator in COMPARISONS

    def test(self, check: Callable[[], None]) -> Callable[[str], bool]:
        """Return a function that says whether a text fulfils the condition. The negation is left out.

        ``check`` is as for ``Pattern``.
        """
        value = str(self.value)
        if self.operator == "@":
            return Pattern(value, check).matches
        if self.is_comparison:
            return self._comparison()
        if self.operator == "" and self.field.kind is Kind.TEXT:
            wanted = _words(value)
            return lambda text: wanted in _words(text)
        folded = value.casefold()
        return {
            "": lambda text: text.casefold() == folded,
            "=": lambda text: text == value,
            "~": lambda text: value in text,
            "^": lambda text: text.startswith(value),
            "$": lambda text: text.endswith(value),
        }[self.operator]

    def _comparison(self) -> Callable[[str], bool]:
        if self.field.kind is Kind.VERSION:
            version = sort_key(str(self.value))
            return lambda text: compare(sort_key(text), self.operator, version)
        bound = to_number(self.value)
        return lambda text: (number := to_number(text)) is not None and compare(number, self.operator, bound)


def compare(left: object, operator: str, right: object) -> bool:
    """Return the result of a comparison. Both values must be of the same type."""
    if operator.startswith(">"):
        return bool(left > right) or (operator == ">=" and left == right)  # type: ignore[operator]
    return bool(left < right) or (operator == "<=" and left == right)  # type: ignore[operator]


def parse(field: Field, text: str) -> Condition:
    """Return the condition in the value of a parameter, such as ``!~Foo``. Raises ``QueryError``."""
    is_negated = text.startswith(NOT)
    text = text.removeprefix(NOT)
    if len(text) > _MAX_VALUE:
        raise QueryError(f"{field.name}: the value has more than {_MAX_VALUE} characters")
    if text == NULL:
        return Condition(field, NULL, is_negated=is_negated)
    if field.kind is Kind.BOOLEAN:
        return Condition(field, "", _boolean(field, text), is_negated)
    operator = next((operator for operator in OPERATORS[field.kind] if text.startswith(operator)), None)
    if operator is None or (not operator and text.startswith(tuple(COMPARISONS))):
        raise QueryError(_wrong_operator(field, text))
    value = text[len(operator) :]
    if not value:
        raise QueryError(f"{field.name}: there is no value behind {operator or NOT}")
    if field.kind is Kind.DATE:
        return Condition(field, operator, parse_date(field.name, value), is_negated)
    if field.kind is Kind.NUMBER or (field.kind is Kind.MIXED and operator in COMPARISONS):
        return Condition(field, operator, _number(field, value), is_negated)
    return _text(field, operator, value, is_negated=is_negated)


def _text(field: Field, operator: str, value: str, *, is_negated: bool) -> Condition:
    if operator == "@":
        try:
            Pattern(value)
        except PatternError as error:
            raise QueryError(f"{field.name}: {value!r} is no regular expression: {error}") from error
    if operator == "" and field.kind is Kind.TEXT and not _words(value).strip():
        raise QueryError(f"{field.name}: {value!r} has no word in it: write ~{value} for what contains it")
    if field.kind is Kind.VERSION and operator in COMPARISONS and not any(map(str.isdecimal, value)):
        raise QueryError(f"{field.name}: {value!r} is no version")
    if field.kind is Kind.VERSION and operator == "" and value.endswith("b"):
        # As at Crash Stats, 153.0b stands for all betas of a version. No crash has the version 153.0b itself.
        operator = "^"
    if field.name == "platform":
        value = {name.casefold(): other for name, other in PLATFORMS.items()}.get(value.casefold(), value)
    if field.name == "uuid":
        value = value.removeprefix("bp-").lower()
    return Condition(field, operator, value, is_negated)


def parse_date(name: str, text: str) -> float:
    """Return the time in ``text``, in seconds since 1970. It is in UTC unless it names another offset.

    Raises ``QueryError``.
    """
    wrong = QueryError(f"{name}: {text!r} is no date: write 2026-11-27 or 2026-11-27T10:00:00")
    if _DATE.fullmatch(text) is None:
        raise wrong
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise wrong from error


def _number(field: Field, text: str) -> int | float:
    number = to_number(text)
    if number is None:
        raise QueryError(f"{field.name}: {text!r} is no number")
    return number


def _boolean(field: Field, text: str) -> int:
    value = 1 if text == TRUE else to_boolean(text)
    if value is None:
        raise QueryError(f"{field.name}: {text!r} is neither true nor false: write {TRUE}, {NOT}{TRUE}, true or false")
    return value


def _wrong_operator(field: Field, text: str) -> str:
    taken = " ".join([*filter(None, OPERATORS[field.kind]), NULL])
    if field.kind is Kind.DATE:
        return f"{field.name}: {text!r} needs an operator in front, one of {taken}"
    given = next(operator for operator in (">=", "<=", ">", "<") if text.startswith(operator))
    return f"{field.name}: it does not take the operator {given} but {taken}; for a value that begins so: ={text}"


def _words(text: str) -> str:
    """Return the words of a text in lower case, with a space on both sides of each."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "
