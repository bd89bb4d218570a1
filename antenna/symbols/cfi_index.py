# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Call frame information of a module in an SQLite database, which is made once and looked up by address.

Its source, the text of a symbol file, is too slow to read for each stack: that of Firefox's libxul has 184 MB. Each
change of the rules within a function is a row. There are few different rules, so they are in a table of their own.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from antenna.symbols import rules, windows_rules
from antenna.symbols.windows_rules import WindowsRule

# Version of the layout below. A database with another version is not used.
VERSION = 1

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA user_version = 1;
CREATE TABLE rules (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE cfi (address INTEGER PRIMARY KEY, rules INTEGER NOT NULL);
CREATE TABLE windows (address INTEGER PRIMARY KEY, size INTEGER NOT NULL, parameters INTEGER NOT NULL,
    saved INTEGER NOT NULL, local INTEGER NOT NULL, program INTEGER NOT NULL, uses_frame_pointer INTEGER NOT NULL);
"""

# The id of the empty rules, for addresses where a function ends and no other begins.
_NONE = 0


class _Writer:
    """Writes the ``STACK`` lines of a symbol file into a database."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._ids = {"": _NONE}
        self._rules: dict[str, str] = {}
        self._end = 0

    def add(self, line: str) -> None:
        """Add a line. Broken lines, and lines that are not about frames, are left out."""
        with contextlib.suppress(ValueError, IndexError):
            if line.startswith("STACK CFI INIT "):
                _, _, _, address, size, text = line.split(" ", 5)
                self._begin(int(address, 16), int(size, 16), text)
            elif line.startswith("STACK CFI "):
                _, _, address, text = line.split(" ", 3)
                self._change(int(address, 16), text)
            elif line.startswith("STACK WIN "):
                self._add_windows(line)

    def finish(self) -> None:
        """Write the rules. Call this when all lines have been added."""
        self._database.executemany("INSERT INTO rules VALUES (?, ?)", ((id_, text) for text, id_ in self._ids.items()))

    def _begin(self, address: int, size: int, text: str) -> None:
        self._rules = rules.parse(text)
        self._end = address + size
        self._put(address)
        # If the next function begins here, its row replaces this one.
        self._database.execute("INSERT OR IGNORE INTO cfi VALUES (?, ?)", (self._end, _NONE))

    def _change(self, address: int, text: str) -> None:
        if address < self._end:
            self._rules |= rules.parse(text)
            self._put(address)

    def _put(self, address: int) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO cfi VALUES (?, ?)", (address, self._id(rules.format_rules(self._rules)))
        )

    def _add_windows(self, line: str) -> None:
        parsed = windows_rules.parse(line)
        if parsed is None:
            return
        address, size, rule = parsed
        # Frame data has a program. It says more than a record of frame pointer omission for the same code.
        how = "REPLACE" if rule.program else "IGNORE"
        row = (address, size, rule.parameters, rule.saved, rule.local, self._id(rule.program), rule.uses_frame_pointer)
        self._database.execute(f"INSERT OR {how} INTO windows VALUES (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608 - two words of ours

    def _id(self, text: str) -> int:
        return self._ids.setdefault(text, len(self._ids))


def build(path: Path, lines: Iterable[str]) -> bool:
    """Make the database at ``path`` from the lines of a symbol file. Returns whether it has any rows."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(_TABLES)
        writer = _Writer(database)
        for line in lines:
            writer.add(line)
        writer.finish()
        database.commit()
        (filled,) = database.execute("SELECT EXISTS (SELECT 1 FROM cfi) OR EXISTS (SELECT 1 FROM windows)").fetchone()
    return bool(filled)


class CfiIndex:
    """Looks up the rules for an address of one module."""

    def __init__(self, path: Path) -> None:
        """Open the database. Raises ``sqlite3.Error`` if the file is not a database, or has another version."""
        self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise sqlite3.DatabaseError(f"{path} has version {version}")

    def rules_at(self, offset: int) -> dict[str, str] | None:
        """Return the rules for an instruction at ``offset`` from the start of the module, or None."""
        row = self._database.execute(
            "SELECT text FROM cfi JOIN rules ON id = rules WHERE address <= ? ORDER BY address DESC LIMIT 1", (offset,)
        ).fetchone()
        return rules.parse(row[0]) if row and row[0] else None

    def windows_rule_at(self, offset: int) -> WindowsRule | None:
        """Return the record of 32-bit Windows for an instruction at ``offset``, or None."""
        # Records nest: a block with rules of its own lies inside its function. A few steps back find the outer record.
        found = self._database.execute(
            "SELECT address, size, parameters, saved, local, text, uses_frame_pointer FROM windows "
            "JOIN rules ON id = program WHERE address <= ? ORDER BY address DESC LIMIT 8",
            (offset,),
        )
        for address, size, parameters, saved, local, text, uses_frame_pointer in found:
            if offset < address + size:
                return WindowsRule(parameters, saved, local, text, bool(uses_frame_pointer))
        return None


def stack_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a symbol file that have call frame information."""
    return (line for line in lines if line.startswith("STACK "))
