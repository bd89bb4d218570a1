# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Counts crashes by the values of fields."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from antenna.viewer.supersearch.conditions import QueryError
from antenna.viewer.supersearch.facts import to_number
from antenna.viewer.supersearch.fields import Field, Kind
from antenna.viewer.supersearch.query import Level, Query
from antenna.viewer.supersearch.sql import Where, column, text_field

#: Most values in one answer, on all levels together. A search with more is refused.
MAX_BUCKETS = 50_000

# A bucket: a value, its count, and the facets below it.
_Bucket = dict[str, Any]
# The place of a bucket: the values that lead to it, each with its level.
_Place = tuple[tuple[Level, Any], ...]


class Aggregator:
    """Makes the facets of an answer."""

    def __init__(self, database: sqlite3.Connection, where: Where, size: int) -> None:
        """``where`` selects the crashes. Of each facet, the ``size`` most frequent values are kept."""
        self._database = database
        self._where = where
        self._size = size
        self._buckets: dict[_Place, _Bucket] = {}

    def facets(self, query: Query) -> dict[str, Any]:
        """Return the facets of all aggregations. Aggregations that begin with the same levels share these."""
        everything: _Bucket = {"facets": {}}
        self._buckets = {(): everything}
        paths = [path[:length] for path in query.aggregations for length in range(1, len(path) + 1)]
        for path in dict.fromkeys(paths):
            if len(path) == 1 and not path[0].is_cardinality:
                everything["facets"][path[0].name] = []
            self._count(path)
        facets: dict[str, Any] = everything["facets"]
        return facets

    def _count(self, path: tuple[Level, ...]) -> None:
        """Add the values of the last level of ``path`` to the buckets of the levels before."""
        level = path[-1]
        for *terms, count in self._rows(path):
            above = tuple(zip(path[:-1], terms, strict=False))
            if above not in self._buckets:
                continue  # the value above is not among the most frequent
            facets = self._buckets[above].setdefault("facets", {})
            if level.is_cardinality:
                facets[level.name] = {"value": count}
                continue
            buckets = facets.setdefault(level.name, [])
            if len(buckets) >= self._size and level.interval is None:
                continue
            if len(self._buckets) > MAX_BUCKETS:
                raise QueryError(f"the facets have more than {MAX_BUCKETS} values: ask for fewer, or wider intervals")
            bucket: _Bucket = {"term": _term(level, terms[-1]), "count": count}
            buckets.append(bucket)
            self._buckets[(*above, (level, terms[-1]))] = bucket

    def _rows(self, path: tuple[Level, ...]) -> Iterator[sqlite3.Row]:
        """Yield rows with a value for each level, and their count. They are sorted by count, histograms by value."""
        level = path[-1]
        joins, names = [], []
        for number, one in enumerate(path):
            expression, join = _expression(one, number)
            names.append(expression)
            joins.append(join)
        keys = [f"k{number}" for number in range(len(path) - level.is_cardinality)]
        count = f"count(DISTINCT {names[-1]})" if level.is_cardinality else "count(*)"
        selected = "".join(f"{name} AS {key}, " for name, key in zip(names, keys, strict=False))
        inner = f"SELECT {selected}{count} AS n FROM facts f {' '.join(joins)} WHERE {self._where.sql}"
        if keys:
            present = " AND ".join(f"{key} IS NOT NULL" for key in keys)
            inner += f" GROUP BY {', '.join(keys)} HAVING {present}"
        terms = [_text_of(one, key) for one, key in zip(path, keys, strict=False)]
        order = [f"{len(terms)}"] if level.interval is not None else ["n DESC", f"{len(terms)}"]
        sql = f"SELECT {', '.join([*terms, 'n'])} FROM ({inner})" + (f" ORDER BY {', '.join(order)}" if terms else "")
        if len(path) == 1 and terms and level.interval is None:
            sql += f" LIMIT {self._size}"
        return self._database.execute(sql, self._where.values)


def _expression(level: Level, number: int) -> tuple[str, str]:
    """Return the SQL for the value of a level, and for the table to join. The value of a text is its number."""
    field = level.field
    if field.name == "uuid":
        return f"c{number}.crash_id", f"JOIN crashes c{number} ON c{number}.id = f.crash"
    if field.has_column:
        name = column(field)
        return (name if level.interval is None else level.interval.lower_bound(name)), ""
    quoted = text_field(field).replace("'", "''")
    join = (
        f"LEFT JOIN (SELECT crash, extra.text FROM extra JOIN texts ON texts.id = extra.text WHERE field = '{quoted}') "
        f"e{number} ON e{number}.crash = f.crash"
    )
    return f"e{number}.text", join


def _text_of(level: Level, key: str) -> str:
    is_text = level.field.kind.is_text and level.field.name != "uuid"
    return f"(SELECT text FROM texts WHERE id = {key})" if is_text else key


def _term(level: Level, value: Any) -> Any:
    """Return a value in the form that it has in the answer."""
    if level.field.kind is Kind.BOOLEAN:
        return "true" if value else "false"
    if level.interval is not None and level.field.kind is Kind.DATE:
        return datetime.fromtimestamp(value, UTC).isoformat()
    return shown(level.field, value)


def shown(field: Field, value: Any) -> Any:
    """Return a value of a field in the form that it has in answers: dates in ISO 8601, numbers as numbers."""
    if value is None:
        return None
    if field.kind is Kind.DATE:
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="microseconds")
    if field.kind is Kind.BOOLEAN:
        return bool(value)
    if field.kind is Kind.MIXED and (number := to_number(value)) is not None and str(number) == value:
        return number
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
