# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Adds crashes to the index, removes them, and makes the index anew if its layout has changed."""

import contextlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from antenna.viewer.index import schema
from antenna.viewer.rows import CrashRow
from antenna.viewer.supersearch import tables
from antenna.viewer.supersearch.tables import FactsWriter

# Seconds that a writer waits for another writer, such as a rebuild beside the viewer. Then SQLite raises an error.
_BUSY = 30.0
# KiB of the database that stay in memory. With SQLite's default of 2,000, adding crashes takes 15 % longer.
_CACHE = 16_000
# Most crashes that are removed in one transaction, for which pages wait.
_FORGOTTEN = 200


class Index:
    """The database. Only one thread may use this object."""

    def __init__(self, path: Path) -> None:
        """Open the database at ``path``, or make it. Raises ``sqlite3.Error`` and ``OSError``."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        #: A function that is called with the crashes that are new, in the transaction that adds them.
        self.watch: Callable[[sqlite3.Connection, Sequence[CrashRow]], None] | None = None
        self.database = sqlite3.connect(path, timeout=_BUSY, isolation_level=None)
        self.database.row_factory = sqlite3.Row
        self.database.execute("PRAGMA journal_mode = WAL")
        # If the power fails, the last crashes may be lost. The consumer then finds them again.
        self.database.execute("PRAGMA synchronous = NORMAL")
        self.database.execute(f"PRAGMA cache_size = -{_CACHE}")
        (version,) = self.database.execute("PRAGMA user_version").fetchone()
        if version != schema.VERSION:
            self.clear()

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Make everything that is written inside the block one transaction."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield self.database
        except BaseException:
            # After some errors, such as a full disk, SQLite has rolled back already.
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def files(self) -> list[Path]:
        """Return the files of the database."""
        return sorted(self.path.parent.glob(self.path.name + "*"))

    def clear(self) -> None:
        """Drop all tables except those of ``schema.KEPT``, and make them again."""
        # Virtual tables are dropped first, because the tables that they consist of are dropped with them.
        found = self.database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
            "ORDER BY sql LIKE 'CREATE VIRTUAL%' DESC, name = 'vocabulary' DESC"
        ).fetchall()
        drops = "".join(f'DROP TABLE IF EXISTS "{name}";' for (name,) in found if name not in schema.KEPT)
        self.database.executescript(
            f"BEGIN IMMEDIATE; {drops} {schema.TABLES} PRAGMA user_version = {schema.VERSION}; COMMIT"
        )

    def known(self, day: str) -> set[str]:
        """Return the ids of a day, YYYYMMDD, that are in the index."""
        return {row[0] for row in self.database.execute("SELECT crash_id FROM crashes WHERE day = ?", (day,))}

    def has(self, crash_id: str) -> bool:
        """Whether a crash is in the index."""
        return self.database.execute("SELECT 1 FROM crashes WHERE crash_id = ?", (crash_id,)).fetchone() is not None

    def add(self, rows: Iterable[CrashRow]) -> None:
        """Add crashes, or replace them if they are there, all in one transaction."""
        with self.transaction() as database:
            facts = FactsWriter(database)
            fresh = []
            for row in rows:
                if not self._remove(database, row.crash_id):
                    fresh.append(row)
                facts.add(self._insert(database, row), row)
            if self.watch is not None:
                self.watch(database, fresh)

    def _insert(self, database: sqlite3.Connection, row: CrashRow) -> int:
        """Add a crash. Returns its number."""
        names = ", ".join(schema.COLUMNS)
        marks = ", ".join("?" * len(schema.COLUMNS))
        values = [getattr(row, name) for name in schema.COLUMNS]
        cursor = database.execute(
            f"INSERT INTO crashes (signature, {names}) VALUES (?, {marks})", (_signature(database, row), *values)
        )
        number = cursor.lastrowid or 0
        body = zlib.compress(json.dumps(row.body).encode("ascii"), 1)
        database.execute("INSERT INTO bodies VALUES (?, ?)", (number, body))
        words = (number, row.words, row.loaded)
        database.execute("INSERT INTO words (rowid, text, modules) VALUES (?, ?, ?)", words)
        database.executemany(
            "INSERT OR IGNORE INTO modules (debug_file, debug_id, code_file) VALUES (?, ?, ?)",
            [module[:3] for module in row.stack_modules],
        )
        database.executemany(
            "INSERT OR IGNORE INTO stack_modules SELECT id, ?, ? FROM modules WHERE debug_file = ? AND debug_id = ?",
            [(number, module.is_missing, module.debug_file, module.debug_id) for module in row.stack_modules],
        )
        return number

    @staticmethod
    def _remove(database: sqlite3.Connection, crash_id: str) -> bool:
        """Remove a crash, and its signature if no other crash has it. Returns whether the crash was there."""
        found = database.execute("SELECT id, signature FROM crashes WHERE crash_id = ?", (crash_id,)).fetchone()
        if found is None:
            return False
        database.execute("DELETE FROM crashes WHERE id = ?", (found["id"],))
        first = "SELECT {} FROM crashes WHERE signature = signatures.id ORDER BY submitted LIMIT 1"
        last = "SELECT max(submitted) FROM crashes WHERE signature = signatures.id"
        signature = (found["signature"],)
        gone = "DELETE FROM signatures WHERE id = ? AND id NOT IN (SELECT signature FROM crashes WHERE signature = ?)"
        if not database.execute(gone, signature * 2).rowcount:
            database.execute(
                f"UPDATE signatures SET first_seen = ({first.format('submitted')}), last_seen = ({last}), "
                f"first_version = ({first.format('version')}) WHERE id = ?",
                signature,
            )
        return True

    def forget_before(self, day: str) -> int:
        """Remove some crashes of days before ``day``, YYYYMMDD. Returns how many. It is 0 if there are no more."""
        delete = f"DELETE FROM crashes WHERE id IN (SELECT id FROM crashes WHERE day < ? LIMIT {_FORGOTTEN})"
        with self.transaction() as database:
            return database.execute(delete, (day,)).rowcount

    def clean_up(self) -> Iterator[None]:
        """Remove signatures, modules and texts that no crash has any more, in steps. Yields after each step."""
        statements = [
            "DELETE FROM signatures WHERE id NOT IN (SELECT signature FROM counts)",
            "DELETE FROM modules WHERE id NOT IN (SELECT module FROM stack_modules)",
            *tables.prune(),
        ]
        for statement in statements:
            self.database.execute(statement)
            yield

    def forget(self, crash_ids: Sequence[str]) -> None:
        """Remove crashes that the storage does not have any more."""
        with self.transaction() as database:
            for crash_id in crash_ids:
                self._remove(database, crash_id)

    def missing_ids(self) -> set[str]:
        """Return the debug ids of the modules whose symbols were missing when a crash was read."""
        return {row[0] for row in self.database.execute("SELECT debug_id FROM modules WHERE crashes")}

    def lacking(self, debug_id: str) -> list[str]:
        """Return the ids of the crashes that were read without the symbols of a module, the newest first."""
        found = self.database.execute(
            "SELECT crash_id FROM stack_modules JOIN modules ON modules.id = module "
            "JOIN crashes ON crashes.id = crash WHERE is_missing AND debug_id = ? ORDER BY submitted DESC",
            (debug_id,),
        )
        return [row[0] for row in found]

    def body(self, crash_id: str) -> dict[str, Any] | None:
        """Return the body of a crash, which its page shows, or None if the crash is not in the index."""
        row = self.database.execute(
            "SELECT body FROM bodies JOIN crashes ON id = crash WHERE crash_id = ?", (crash_id,)
        ).fetchone()
        if row is None:
            return None
        body: dict[str, Any] = json.loads(zlib.decompress(row[0]))
        return body

    def cells(self, crash_id: str) -> dict[str, Any]:
        """Return the columns of a crash that is in the index."""
        return dict(self.database.execute("SELECT * FROM crashes WHERE crash_id = ?", (crash_id,)).fetchone())

    def save_opinion(self, signature: str, *, fixed_in: str, note: str) -> None:
        """Save what a person has entered about a signature: the version in which it is fixed, and a note."""
        self.database.execute(
            "INSERT OR REPLACE INTO opinions (signature, fixed_in, note) VALUES (?, ?, ?)", (signature, fixed_in, note)
        )


def _signature(database: sqlite3.Connection, row: CrashRow) -> int:
    """Return the number of a crash's signature, and note when it was first and last seen. A new signature is added."""
    (number,) = database.execute(
        "INSERT INTO signatures (text, first_seen, last_seen, first_version) VALUES (?1, ?2, ?2, ?3) "
        "ON CONFLICT (text) DO UPDATE SET last_seen = max(last_seen, ?2), "
        "first_version = CASE WHEN ?2 < first_seen THEN ?3 ELSE first_version END, first_seen = min(first_seen, ?2) "
        "RETURNING id",
        (row.signature, row.submitted, row.version),
    ).fetchone()
    return int(number)


def advice(error: sqlite3.Error) -> str:
    """Return a text that says what is wrong with the database, and what an operator can do."""
    if isinstance(error, sqlite3.OperationalError):
        return f"{error}. If its disk is full, make room: the viewer then goes on by itself."
    return f"{error}. Stop the viewer, delete its files, and start it again: it makes them anew from the storage."
