# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The queries for all pages except the first: signatures, searches, missing symbols, failures."""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from antenna.viewer.index import schema

# Most crashes on the page of a signature and on that of a search. The newest are shown.
NEWEST = 50
# Most modules without symbols that are shown.
_MODULES = 200

#: Columns by which the page of a signature divides its crashes, and their headings.
FACETS = {"version": "Version", "os": "System", "cpu": "CPU", "process": "Process", "reason": "Reason"}

_CRASHES = (
    "SELECT crash_id, submitted, product, version, channel, os, process, reason, address, text AS signature "
    "FROM crashes JOIN signatures ON signatures.id = crashes.signature "
)


# The last word of a term. The full text index splits terms into words in the same way.
_LAST_WORD = re.compile(r"\w+\Z")
# Most words of the index that are searched for in place of a last word with which they begin.
_CONTINUATIONS = 100


class Queries:
    """Answers questions about the index, over one connection.

    The names of columns in the SQL come from this module. Values are always parameters.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        """``database`` is that of an ``Index``."""
        self._database = database

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        return self._database.execute(sql, values).fetchall()

    def signature(self, text: str) -> sqlite3.Row | None:
        """Return the facts about a signature, or None if no crash has it."""
        rows = self._rows(
            "SELECT id, text, first_seen, last_seen, first_version, coalesce(fixed_in, '') AS fixed_in, "
            "coalesce(note, '') AS note, "
            "(SELECT sum(count) FROM counts WHERE counts.signature = signatures.id) AS count "
            "FROM signatures LEFT JOIN opinions ON opinions.signature = text WHERE text = ?",
            (text,),
        )
        return rows[0] if rows else None

    def facets(self, signature: int) -> dict[str, Counter[str]]:
        """Return for each column of ``FACETS`` its values in the crashes of a signature, each with their number."""
        found: dict[str, Counter[str]] = {column: Counter() for column in FACETS}
        counted = "SELECT version, os, sum(count) AS count FROM counts WHERE signature = ? GROUP BY 1, 2"
        others = "SELECT cpu, process, reason, count(*) AS count FROM crashes WHERE signature = ? GROUP BY 1, 2, 3"
        for sql in (counted, others):
            for row in self._rows(sql, (signature,)):
                for column in row.keys()[:-1]:
                    found[column][row[column]] += row["count"]
        return found

    def a_day_by_version(self, signature: int, first: str) -> list[tuple[str, str, int]]:
        """Return day, version and number of the crashes of a signature, from the day ``first`` on."""
        sql = "SELECT day, version, sum(count) FROM counts WHERE signature = ? AND day >= ? GROUP BY 1, 2"
        return [(row[0], row[1], row[2]) for row in self._rows(sql, (signature, first))]

    def newest(self, signature: int | None = None) -> list[sqlite3.Row]:
        """Return the newest crashes, of a signature or of all."""
        where = "" if signature is None else "WHERE crashes.signature = ? "
        values = () if signature is None else (signature,)
        return self._rows(f"{_CRASHES}{where}ORDER BY submitted DESC LIMIT {NEWEST}", values)

    def search(self, text: str) -> list[sqlite3.Row]:
        """Return the newest crashes that have all words of ``text``. If there are none, the last word may be cut."""
        terms = text.replace("\0", " ").split()
        if not terms:
            return []
        numbers = self._matching(terms, terms[-1:]) or self._matching(terms, self._continuations(terms[-1]))
        return self._rows(f"{_CRASHES}WHERE crashes.id IN ({', '.join(numbers)}) ORDER BY submitted DESC")

    def _matching(self, terms: Sequence[str], lasts: Sequence[str]) -> list[str]:
        """Return the numbers of the crashes that have all ``terms``, but any of ``lasts`` in place of the last one."""
        if not lasts:
            return []
        every = [*map(_quote, terms[:-1]), f"({' OR '.join(map(_quote, lasts))})"]
        sql = f"SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT {NEWEST}"
        return [str(row[0]) for row in self._rows(sql, (f"text : ({' AND '.join(every)})",))]

    def _continuations(self, term: str) -> list[str]:
        """Return the term with each word of the index that begins with its last word, in the order of the alphabet.

        SQLite has prefix queries of its own. But they read all places of all these words, which may be thousands.
        """
        match = _LAST_WORD.search(term)
        if match is None:
            return []
        beginning = word = match[0].lower()
        found: list[str] = []
        # Each query reads the next word, so it does not matter how often a word is in the index.
        next_word = "SELECT term FROM vocabulary WHERE term >= ? LIMIT 1"
        while len(found) < _CONTINUATIONS and (rows := self._rows(next_word, (word,))):
            if not rows[0][0].startswith(beginning):
                break
            found.append(term[: match.start()] + rows[0][0])
            word = rows[0][0] + "\x01"
        return found

    def missing(self) -> list[sqlite3.Row]:
        """Return the modules without symbols. Those that are on the stacks of most crashes come first."""
        return self._rows(
            "SELECT debug_file, debug_id, code_file, crashes AS count FROM modules WHERE crashes "
            f"ORDER BY 4 DESC, 1 LIMIT {_MODULES}"
        )

    def failures(self) -> list[sqlite3.Row]:
        """Return the newest crashes that could not be read."""
        sql = "SELECT crash_id, submitted, failed FROM crashes WHERE failed != '' ORDER BY submitted DESC "
        return self._rows(sql + f"LIMIT {NEWEST}")

    def totals(self) -> sqlite3.Row:
        """Return how many crashes there are, how many could not be read, and when the first and the last came."""
        (row,) = self._rows(
            "SELECT (SELECT coalesce(sum(count), 0) FROM daily_counts) AS count, "
            "(SELECT min(submitted) FROM crashes) AS first, (SELECT max(submitted) FROM crashes) AS last, "
            "(SELECT count(*) FROM crashes WHERE failed != '') AS failed, "
            "(SELECT count(*) FROM signatures) AS signatures"
        )
        return row

    def export(self) -> Iterator[dict[str, Any]]:
        """Yield each crash with its signature, in the order of its id."""
        columns = ", ".join(schema.COLUMNS)
        sql = f"SELECT {columns}, text AS signature FROM crashes JOIN signatures ON signatures.id = crashes.signature "
        for row in self._database.execute(sql + "ORDER BY crash_id"):
            yield dict(row)


def _quote(term: str) -> str:
    """Return a term in quotation marks, so that the full text index takes nothing in it for an operator."""
    return '"' + term.replace('"', '""') + '"'
