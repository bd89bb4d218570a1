# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The tables in which the index keeps the values of fields.

``facts`` has a row for each crash, and a column for each field that has one value. ``extra`` has the values of all
other fields, which are those with several values and the annotations that VIEWER_ANNOTATIONS allows. In both, a text is
stored as its number in ``texts``, which has each text of a field once. A search first finds the few texts that match,
and then looks for their numbers, which is fast.

A text is found by its key. A short text is its own key. The key of a long one, such as a stack, is its beginning with a
hash, so that the index of keys stays small.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

from antenna.viewer.supersearch.facts import facts_of
from antenna.viewer.supersearch.fields import COLUMNS

if TYPE_CHECKING:
    from antenna.viewer.rows import CrashRow

_TYPES = ", ".join(f'"{field.name}" {"INTEGER" if field.kind.is_text else "NUMERIC"}' for field in COLUMNS)

TABLES = f"""
CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    field TEXT NOT NULL,
    key TEXT NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (field, key)
);
CREATE TABLE facts (crash INTEGER PRIMARY KEY, {_TYPES});
CREATE INDEX facts_by_date ON facts (date);
CREATE TABLE extra (crash INTEGER NOT NULL, text INTEGER NOT NULL, PRIMARY KEY (crash, text)) WITHOUT ROWID;
CREATE INDEX extra_by_text ON extra (text, crash);
CREATE TRIGGER facts_go AFTER DELETE ON crashes BEGIN
    DELETE FROM facts WHERE crash = old.id;
    DELETE FROM extra WHERE crash = old.id;
END;
"""

# Most characters of a text that is its own key. Most signatures have fewer.
_LONGEST_KEY = 100

_INSERT = f"INSERT INTO facts VALUES (?{', ?' * len(COLUMNS)})"


class FactsWriter:
    """Adds the facts of crashes, within one transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """``database`` must be in a transaction that writes, so that no other connection changes the texts."""
        self._database = database
        self._ids: dict[tuple[str, str], int] = {}

    def add(self, number: int, row: "CrashRow") -> None:
        """Add the facts of a crash. ``number`` is its id in the table ``crashes``."""
        facts = facts_of(row)
        values: list[int | float | None] = [number]
        for field in COLUMNS:
            value = facts.pop(field.name, None)
            values.append(self._id(field.name, value) if isinstance(value, str) else value)  # type: ignore[arg-type]
        self._database.execute(_INSERT, values)
        texts = [(name, text) for name, value in facts.items() if isinstance(value, list) for text in value]
        self._database.executemany(
            "INSERT INTO extra VALUES (?, ?)", [(number, self._id(name, text)) for name, text in texts]
        )

    def _id(self, field: str, text: str) -> int:
        found = self._ids.get((field, text))
        if found is None:
            found = self._ids[field, text] = self._find(field, text) or self._insert(field, text)
        return found

    def _find(self, field: str, text: str) -> int | None:
        found = self._database.execute("SELECT id FROM texts WHERE field = ? AND key = ?", (field, key_of(text)))
        row = found.fetchone()
        return None if row is None else int(row[0])

    def _insert(self, field: str, text: str) -> int:
        insert = "INSERT INTO texts (field, key, text) VALUES (?, ?, ?)"
        return self._database.execute(insert, (field, key_of(text), text)).lastrowid or 0


def key_of(text: str) -> str:
    """Return the key of a text."""
    if len(text) <= _LONGEST_KEY:
        return text
    return f"{text[:_LONGEST_KEY]}\0{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


def prune() -> Iterator[str]:
    """Yield statements that remove the texts which no crash has any more. Each takes little time."""
    for field in COLUMNS:
        if field.kind.is_text:
            name = field.name
            yield (
                f"DELETE FROM texts WHERE field = '{name}' AND id NOT IN "
                f'(SELECT "{name}" FROM facts WHERE "{name}" IS NOT NULL)'
            )
    names = ", ".join(f"'{field.name}'" for field in COLUMNS)
    yield f"DELETE FROM texts WHERE field NOT IN ({names}) AND id NOT IN (SELECT text FROM extra)"
