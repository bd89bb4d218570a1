# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the parameters of a URL, and returns the query that they describe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from antenna.viewer.supersearch.conditions import Condition, QueryError, parse
from antenna.viewer.supersearch.fields import Field, FieldList, Kind
from antenna.viewer.supersearch.intervals import Interval, parse_interval

#: The defaults, which are those of Crash Stats: columns, number of results, values of a facet, days.
COLUMNS = ("uuid", "date", "signature", "product", "version")
RESULTS, FACETS_SIZE, DAYS = 100, 50, 7
#: The limits of one query: results, values of a facet, aggregations, levels of an aggregation, conditions, fields to
#: sort by. A query beyond them is refused.
MAX_RESULTS, MAX_FACETS_SIZE, MAX_AGGREGATIONS, MAX_LEVELS, MAX_CONDITIONS = 1000, 1000, 20, 4, 100
MAX_SORT = 10
_MAX_OFFSET = 10_000_000

_CARDINALITY, _HISTOGRAM, _AGGS, _INTERVAL = "_cardinality.", "_histogram.", "_aggs.", "_histogram_interval."
_NUMBERS = {"_results_number": MAX_RESULTS, "_results_offset": _MAX_OFFSET, "_facets_size": MAX_FACETS_SIZE}


@dataclass(frozen=True, slots=True)
class Level:
    """One level of an aggregation. It counts crashes by the values of a field, or by ranges of values.

    With ``is_cardinality`` it counts the different values instead.
    """

    name: str
    """Its name in the answer."""
    field: Field
    interval: Interval | None = None
    """The width of the ranges, if it is a histogram."""
    is_cardinality: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A field of the results, or one by which they are sorted."""

    name: str
    """The name in the parameters, which may be that of an annotation."""
    field: Field
    is_descending: bool = False


@dataclass(slots=True)
class Query:
    """A search: its conditions, and what the answer is to have."""

    conditions: list[Condition] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    sort: list[Column] = field(default_factory=list)
    number: int = RESULTS
    offset: int = 0
    aggregations: list[tuple[Level, ...]] = field(default_factory=list)
    """Each is a path of levels. The values of a level are counted for each value of the level before it."""
    facets_size: int = FACETS_SIZE


def parse_query(params: Mapping[str, Sequence[str]], fields: FieldList, now: float) -> Query:
    """Return the query that the parameters describe. ``now`` is the time in seconds since 1970.

    Without a ``date`` it is for the last week, as at Crash Stats. Raises ``QueryError``, whose text has a line for each
    error.
    """
    reader = _Reader(params, fields)
    query = reader.read(now)
    if reader.errors:
        raise QueryError("\n".join(dict.fromkeys(reader.errors)))
    return query


class _Reader:
    """Reads the parameters of one query, and collects the errors in them."""

    def __init__(self, params: Mapping[str, Sequence[str]], fields: FieldList) -> None:
        self._fields = fields
        self.errors: list[str] = []
        self._intervals: dict[str, Interval] = {}
        # Empty values, which forms send, are left out.
        self._params = {name: found for name, values in params.items() if (found := [text for text in values if text])}

    def read(self, now: float) -> Query:
        query = Query()
        self._try(self._read_intervals)
        for name in self._params:
            self._try(lambda name=name: self._read(name, query))  # type: ignore[misc]
        query.columns = query.columns or [Column(name, self._field(name)) for name in COLUMNS]
        query.sort = query.sort or [Column("date", self._field("date"), is_descending=True)]
        if "_facets" not in self._params:
            query.aggregations.append((Level("signature", self._field("signature")),))
        if len(query.aggregations) > MAX_AGGREGATIONS:
            self.errors.append(f"there are more than {MAX_AGGREGATIONS} facets")
        if len(query.conditions) > MAX_CONDITIONS:
            self.errors.append(f"there are more than {MAX_CONDITIONS} conditions")
        self._limit_date(query, now)
        return query

    def _try(self, read: Callable[[], None]) -> None:
        try:
            read()
        except QueryError as error:
            self.errors.append(str(error))

    def _read(self, name: str, query: Query) -> None:
        values = self._params[name]
        if name in _NUMBERS:
            number = _count(name, values)
            if name == "_results_number":
                query.number = number
            elif name == "_results_offset":
                query.offset = number
            else:
                query.facets_size = number
        elif name == "_columns":
            query.columns = [Column(value, self._field(value)) for value in dict.fromkeys(values)]
        elif name == "_sort":
            query.sort = [
                Column(value, self._field(value.removeprefix("-")), is_descending=value.startswith("-"))
                for value in dict.fromkeys(values)
            ]
            if len(query.sort) > MAX_SORT:
                raise QueryError(f"_sort: there are more than {MAX_SORT} fields")
        elif name == "_facets":
            query.aggregations += [(self._level(value),) for value in values]
        elif name.startswith((_AGGS, _HISTOGRAM)):
            query.aggregations += [self._nested(name, value) for value in values]
        elif not name.startswith(_INTERVAL):
            query.conditions += self._conditions(name, values)

    def _conditions(self, name: str, values: Sequence[str]) -> list[Condition]:
        found = self._fields.find(name)
        if found is None and name.startswith("_"):
            raise QueryError(f"unknown parameter {name}")
        return [parse(self._field(name), value) for value in values]

    def _nested(self, name: str, value: str) -> tuple[Level, ...]:
        """Return the levels of ``_aggs.product.version=platform``, or of ``_histogram.date=product``."""
        names = [name] if name.startswith(_HISTOGRAM) else name.removeprefix(_AGGS).split(".")
        path = (*map(self._level, names), self._level(value))
        if len(path) > MAX_LEVELS:
            raise QueryError(f"{name}: it has more than {MAX_LEVELS} levels")
        return path

    def _level(self, text: str) -> Level:
        if text.startswith(_CARDINALITY):
            name = text.removeprefix(_CARDINALITY)
            return Level(f"cardinality_{name}", self._field(name), is_cardinality=True)
        if text.startswith(_HISTOGRAM):
            name = text.removeprefix(_HISTOGRAM)
            found = self._field(name)
            if found.kind not in {Kind.DATE, Kind.NUMBER}:
                raise QueryError(f"{text}: {found.name} is neither a date nor a number")
            interval = self._intervals.get(name) or parse_interval(found, "1d" if found.kind is Kind.DATE else "1")
            return Level(f"histogram_{name}", found, interval)
        return Level(text, self._field(text))

    def _read_intervals(self) -> None:
        for name, values in self._params.items():
            if name.startswith(_INTERVAL):
                of = name.removeprefix(_INTERVAL)
                self._intervals[of] = parse_interval(self._field(of), values[-1])

    def _field(self, name: str) -> Field:
        found = self._fields.find(name)
        if found is None:
            similar = self._fields.similar(name)
            hint = f"; there is {' and '.join(similar)}" if similar else ""
            raise QueryError(f"unknown field {name}{hint}")
        return found

    def _limit_date(self, query: Query, now: float) -> None:
        """Add a lower bound on ``date``, unless there is one."""
        dates = [one for one in query.conditions if one.field.name == "date" and not one.is_negated]
        if not any(one.operator.startswith(">") for one in dates):
            upper = [float(one.value) for one in dates if one.operator.startswith("<")]
            query.conditions.append(Condition(self._field("date"), ">=", min(upper, default=now) - DAYS * 86400))


def _count(name: str, values: Sequence[str]) -> int:
    text, most = values[-1], _NUMBERS[name]
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(most)) or int(text) > most:
        raise QueryError(f"{name}: {text!r} is no number from 0 to {most}")
    return int(text)
