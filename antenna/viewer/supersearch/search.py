# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Answers queries from the index, within a time limit."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from antenna.viewer.index.versions import sort_key
from antenna.viewer.supersearch.aggregations import Aggregator, shown
from antenna.viewer.supersearch.fields import Field, Kind
from antenna.viewer.supersearch.query import Column, Query
from antenna.viewer.supersearch.sql import Compiler, Where, column, text_field

#: Seconds that a search may take. Then it raises ``SearchTimeoutError``.
TIMEOUT = 10.0
# Steps of SQLite between two looks at the clock. They take some hundred microseconds.
_STEPS = 10_000


class SearchTimeoutError(Exception):
    """A search took too long."""


class Search:
    """A connection to an index, which is opened for reading only. Only one thread may use it."""

    def __init__(self, path: Path, *, timeout: float = TIMEOUT) -> None:
        """Open the index at ``path``. Raises ``sqlite3.Error`` if there is none."""
        self._timeout = timeout
        self._until = time.monotonic() + timeout
        self.database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self.database.create_function("version_key", 1, _version_key, deterministic=True)
        self.database.set_progress_handler(lambda: time.monotonic() > self._until, _STEPS)

    def close(self) -> None:
        """Close the connection."""
        self.database.close()

    @property
    def version(self) -> int:
        """The version of the index."""
        (version,) = self.database.execute("PRAGMA user_version").fetchone()
        return int(version)

    def annotations(self) -> set[str]:
        """Return the annotations that are fields of this index, in addition to ``FIELDS``."""
        known = "SELECT DISTINCT field FROM texts WHERE id IN (SELECT text FROM extra)"
        return {row[0] for row in self.database.execute(known)}

    def answer(self, query: Query) -> dict[str, Any]:
        """Return the answer to a query, shaped as at Crash Stats. Raises ``QueryError`` and ``SearchTimeoutError``."""
        self._until = time.monotonic() + self._timeout
        try:
            # In a transaction, all parts of the answer are of the same state of the index.
            self.database.execute("BEGIN")
            try:
                return self._answer(query)
            finally:
                self.database.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise SearchTimeoutError from error
            raise

    def _check(self) -> None:
        if time.monotonic() > self._until:
            raise SearchTimeoutError

    def _answer(self, query: Query) -> dict[str, Any]:
        where = Compiler(self.database, self._check).where(query.conditions)
        (total,) = self.database.execute(f"SELECT count(*) FROM facts f WHERE {where.sql}", where.values).fetchone()
        return {
            "hits": self._hits(query, where),
            "facets": Aggregator(self.database, where, query.facets_size).facets(query),
            "total": total,
            "errors": [],
        }

    def _hits(self, query: Query, where: Where) -> list[dict[str, Any]]:
        order = ", ".join([*map(_order, query.sort), "f.crash"])
        sql = f"SELECT f.crash FROM facts f WHERE {where.sql} ORDER BY {order} LIMIT ? OFFSET ?"
        numbers = [row[0] for row in self.database.execute(sql, [*where.values, query.number, query.offset])]
        names = ", ".join(_value(one.field) for one in query.columns)
        sql = f"SELECT f.crash, {names} FROM facts f WHERE f.crash IN (SELECT value FROM json_each(?))"
        found = {
            number: {one.name: _shown(one, value) for one, value in zip(query.columns, values, strict=True)}
            for number, *values in self.database.execute(sql, (json.dumps(numbers),))
        }
        return [found[number] for number in numbers]


def _value(field: Field) -> str:
    """Return the SQL for the value of a field. If the field has no column, the value is a list in JSON."""
    if field.name == "uuid":
        return "(SELECT crash_id FROM crashes WHERE id = f.crash)"
    if not field.has_column:
        quoted = text_field(field).replace("'", "''")
        return (
            "(SELECT json_group_array(texts.text) FROM extra JOIN texts ON texts.id = extra.text "
            f"WHERE extra.crash = f.crash AND field = '{quoted}')"
        )
    if field.kind.is_text:
        return f"(SELECT text FROM texts WHERE id = {column(field)})"
    return column(field)


def _shown(of: Column, value: Any) -> Any:
    if of.field.has_column or of.field.name == "uuid":
        return shown(of.field, value)
    values = [shown(of.field, one) for one in json.loads(value)]
    return values if of.field.is_many else values[0] if values else None


def _order(of: Column) -> str:
    value = _value(of.field)
    if of.field.kind is Kind.VERSION:
        value = f"version_key({value})"
    return f"{value} DESC" if of.is_descending else value


def _version_key(version: str | None) -> str | None:
    """Return a text that sorts as versions do: letters come before the end of a version, and the end before numbers."""
    if version is None:
        return None
    return "".join(map(_part_key, sort_key(version)))


def _part_key(part: tuple[int, int, str]) -> str:
    rank, number, letters = part
    return f"n{number:018d}" if rank > 0 else f"a{letters} " if rank else "e"
