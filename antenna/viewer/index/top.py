# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The queries for the first page: which signatures have most crashes."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from antenna.viewer.index.versions import is_at_least, sort_key

#: Most signatures on the page.
TOP = 50
# Most values in each of the page's choices, such as versions.
_CHOICES = 30
# Most versions, and most systems, that are shown for each signature.
_VALUES = 3


@dataclass(frozen=True, slots=True)
class Filter:
    """The crashes that are counted: those of the days from ``first`` to ``last`` (YYYYMMDD), of a product and so on.

    A field that is empty does not matter.
    """

    first: str
    last: str
    product: str = ""
    version: str = ""
    channel: str = ""

    def where(self) -> tuple[str, list[Any]]:
        """Return the condition in SQL, and its parameters."""
        conditions, values = ["day BETWEEN ? AND ?"], [self.first, self.last]
        for column in ("product", "version", "channel"):
            if value := getattr(self, column):
                conditions.append(f"{column} = ?")
                values.append(value)
        return " AND ".join(conditions), values


@dataclass(frozen=True, slots=True)
class TopCrasher:
    """A signature, and how many crashes have it."""

    signature: str
    count: int
    before: int
    """The number of its crashes in the period before."""
    first_seen: float
    first_version: str
    versions: tuple[str, ...]
    systems: tuple[str, ...]
    fixed_in: str
    came_back: bool
    """Whether a version crashed that should have the fix."""
    is_new: bool
    """Whether its first crash is in this period, while the index has older crashes with other signatures."""
    is_back_again: bool
    """Whether it had crashes before the last period, and none in the last period."""


class TopCrashers:
    """The queries for the first page, over one connection."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """``database`` is that of an ``Index``."""
        self._database = database

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        return self._database.execute(sql, values).fetchall()

    def a_day(self, chosen: Filter) -> dict[str, int]:
        """Return the number of crashes on each day."""
        where, values = chosen.where()
        return dict(
            map(tuple, self._rows(f"SELECT day, sum(count) FROM daily_counts WHERE {where} GROUP BY 1", values))
        )

    def first_day(self) -> str:
        """Return the day of the oldest crash, or "" if there is no crash."""
        return str(self._rows("SELECT coalesce(min(day), '') FROM daily_counts")[0][0])

    def choices(self, column: str, chosen: Filter) -> list[tuple[str, int]]:
        """Return the values of ``product``, ``version``, ``channel`` or ``rule``, with their numbers of crashes.

        Those with most crashes come first.
        """
        where, values = chosen.where()
        sql = f"SELECT {column}, sum(count) FROM daily_counts WHERE {where} AND {column} != '' "
        rows = self._rows(f"{sql} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {_CHOICES}", values)
        return [(row[0], row[1]) for row in rows]

    def newest_versions(self, chosen: Filter) -> list[tuple[str, int]]:
        """Return the versions with most crashes, sorted with the newest first."""
        return sorted(self.choices("version", chosen), key=lambda item: sort_key(item[0]), reverse=True)

    def top(self, chosen: Filter, before: Filter) -> list[TopCrasher]:
        """Return the signatures with most crashes. ``before`` is the period to compare with."""
        where, values = chosen.where()
        sql = f"SELECT signature, sum(count) FROM counts WHERE {where} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {TOP}"
        counts = {row[0]: row[1] for row in self._rows(sql, values)}
        numbers = ", ".join(map(str, counts))
        known = {row["id"]: row for row in self._known(numbers)}
        where, values = before.where()
        sql = f"SELECT signature, sum(count) FROM counts WHERE {where} AND signature IN ({numbers}) GROUP BY 1"
        earlier = dict(map(tuple, self._rows(sql, values)))
        first = self.first_day()
        versions, systems = self._versions_and_systems(numbers, chosen)
        return [
            TopCrasher(
                signature=known[number]["text"],
                count=count,
                before=earlier.get(number, 0),
                first_seen=known[number]["first_seen"],
                first_version=known[number]["first_version"],
                versions=_most(versions[number]),
                systems=_most(systems[number]),
                fixed_in=known[number]["fixed_in"],
                came_back=came_back(known[number]["fixed_in"], list(versions[number])),
                is_new=first < chosen.first <= _day(known[number]["first_seen"]),
                is_back_again=number not in earlier and _day(known[number]["first_seen"]) < chosen.first,
            )
            for number, count in counts.items()
        ]

    def _known(self, numbers: str) -> list[sqlite3.Row]:
        return self._rows(
            "SELECT id, text, first_seen, first_version, coalesce(fixed_in, '') AS fixed_in "
            f"FROM signatures LEFT JOIN opinions ON opinions.signature = text WHERE id IN ({numbers})"
        )

    def _versions_and_systems(
        self, numbers: str, chosen: Filter
    ) -> tuple[defaultdict[int, Counter[str]], defaultdict[int, Counter[str]]]:
        """Return the number of crashes of each signature by version, and by system."""
        versions: defaultdict[int, Counter[str]] = defaultdict(Counter)
        systems: defaultdict[int, Counter[str]] = defaultdict(Counter)
        where, values = chosen.where()
        sql = f"SELECT signature, version, os, sum(count) FROM counts WHERE {where} AND signature IN ({numbers}) "
        for signature, version, system, count in self._rows(sql + "GROUP BY 1, 2, 3", values):
            versions[signature][version] += count
            systems[signature][system] += count
        return versions, systems


def _most(counts: Counter[str]) -> tuple[str, ...]:
    """Return the most frequent values that are not empty."""
    return tuple(value for value, _ in counts.most_common() if value)[:_VALUES]


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%d}"


def came_back(fixed_in: str, versions: Sequence[str]) -> bool:
    """Whether a version crashed that has the fix."""
    return bool(fixed_in) and any(is_at_least(version, fixed_in) for version in versions)
