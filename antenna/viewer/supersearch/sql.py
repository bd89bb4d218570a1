# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Turns conditions into SQL over the tables of ``tables``.

The names in the SQL are those of our own columns. Everything that comes from a request is a parameter.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby

from antenna.viewer.supersearch.conditions import NULL, Condition
from antenna.viewer.supersearch.fields import Field
from antenna.viewer.supersearch.tables import key_of


@dataclass(slots=True)
class Where:
    """The condition behind WHERE, and its parameters. The table ``facts`` is called ``f`` in it."""

    sql: str = "1"
    values: list[str | int | float] = field(default_factory=list)


def column(of: Field) -> str:
    """Return the column of a field, which must have one."""
    return f'f."{of.name}"'


def text_field(of: Field) -> str:
    """Return the name of a field in the table ``texts``."""
    return of.name if of.is_known else of.annotations[0]


class Compiler:
    """Makes the SQL of one query."""

    def __init__(self, database: sqlite3.Connection, check: Callable[[], None]) -> None:
        """``check`` is called again and again. It raises an exception when the time is over."""
        self._database = database
        self._check = check

    def where(self, conditions: Iterable[Condition]) -> Where:
        """Return the SQL for all conditions together.

        Comparisons and negated conditions must all hold. Of the other conditions on one field, one must hold.
        """
        found = Where()
        parts = []
        ordered = sorted(conditions, key=lambda one: one.field.name)
        for _, group in groupby(ordered, key=lambda one: one.field.name):
            alternatives = []
            for condition in group:
                if condition.is_negated or condition.is_comparison:
                    parts.append(self._condition([condition], found.values))
                else:
                    alternatives.append(condition)
            if alternatives:
                parts.append(self._condition(alternatives, found.values))
        found.sql = " AND ".join(parts) or "1"
        return found

    def _condition(self, alternatives: list[Condition], values: list[str | int | float]) -> str:
        """Return the SQL for conditions on one field, of which one must hold. Adds its parameters to ``values``."""
        parts = [self._null(one.field, values) for one in alternatives if one.operator == NULL]
        rest = [one for one in alternatives if one.operator != NULL]
        if rest:
            parts.append(self._values(rest, values))
        sql = f"({' OR '.join(parts)})"
        return f"NOT {sql}" if alternatives[0].is_negated else sql

    @staticmethod
    def _null(of: Field, values: list[str | int | float]) -> str:
        if of.name == "uuid":
            return "0"
        if of.has_column:
            return f"{column(of)} IS NULL"
        values.append(text_field(of))
        return "f.crash NOT IN (SELECT crash FROM extra JOIN texts ON texts.id = extra.text WHERE field = ?)"

    def _values(self, alternatives: list[Condition], values: list[str | int | float]) -> str:
        of = alternatives[0].field
        if not of.kind.is_text:
            parts = []
            for one in alternatives:
                parts.append(f"ifnull({column(of)} {one.operator or '='} ?, 0)")
                values.append(one.value)
            return f"({' OR '.join(parts)})"
        if of.name == "uuid":
            return self._ids(alternatives, values)
        values.append(json.dumps(self._texts(of, alternatives)))
        if of.has_column:
            return f"ifnull({column(of)} IN (SELECT value FROM json_each(?)), 0)"
        return "f.crash IN (SELECT crash FROM extra WHERE text IN (SELECT value FROM json_each(?)))"

    def _texts(self, of: Field, alternatives: list[Condition]) -> list[int]:
        """Return the ids of the texts that fulfil at least one of the conditions."""
        if all(one.operator == "=" for one in alternatives):
            sql = "SELECT id FROM texts WHERE field = ? AND key = ?"
            keys = [key_of(str(one.value)) for one in alternatives]
            return [row[0] for key in keys for row in self._database.execute(sql, (text_field(of), key))]
        tests = [one.test(self._check) for one in alternatives]
        found = []
        for number, text in self._database.execute("SELECT id, text FROM texts WHERE field = ?", (text_field(of),)):
            self._check()
            if any(test(text) for test in tests):
                found.append(number)
        return found

    def _ids(self, alternatives: list[Condition], values: list[str | int | float]) -> str:
        if all(one.operator in {"", "="} for one in alternatives):
            values.append(json.dumps([one.value for one in alternatives]))
            return "f.crash IN (SELECT id FROM crashes WHERE crash_id IN (SELECT value FROM json_each(?)))"
        tests = [one.test(self._check) for one in alternatives]
        found = []
        for number, text in self._database.execute("SELECT id, crash_id FROM crashes"):
            self._check()
            if any(test(text) for test in tests):
                found.append(number)
        values.append(json.dumps(found))
        return "f.crash IN (SELECT value FROM json_each(?))"
