# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The index: what is counted, found, replaced and forgotten."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from antenna.crash.crash_id import mint
from antenna.viewer.index import CrashRow, Index, StackModule
from antenna.viewer.index.queries import Queries
from antenna.viewer.index.top import Filter, TopCrashers
from antenna.viewer.index.versions import is_at_least, sort_key

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
WEEK, WEEK_BEFORE = Filter("20261121", "20261127"), Filter("20261114", "20261120")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    opened = Index(tmp_path / "index.sqlite")
    yield opened
    opened.close()


def row(signature: str = "crash()", *, days_ago: int = 0, crash_id: str = "", **values: Any) -> CrashRow:
    came = NOW - timedelta(days=days_ago)
    return CrashRow(crash_id or mint(0, came), came.timestamp(), signature, **values)


def counted(index: Index) -> int:
    """How many crashes the pages count, which the crashes themselves bear out."""
    (crashes,) = index.database.execute("SELECT count(*) FROM crashes").fetchone()
    (counts,) = index.database.execute("SELECT coalesce(sum(count), 0) FROM counts").fetchone()
    assert crashes == counts
    return int(crashes)


def test_top_crashers_are_counted_compared_and_filtered(index: Index) -> None:
    index.add(row("often", version="2.0", os="Linux", product="App") for _ in range(3))
    index.add([row("often", version="1.0", os="Windows", product="App", days_ago=8)])
    index.add([row("rare", version="2.0", product="Other", channel="beta")])
    top = TopCrashers(index.database)

    often, rare = top.top(WEEK, WEEK_BEFORE)
    assert (often.signature, often.count, often.before, often.versions, often.systems) == (
        "often", 3, 1, ("2.0",), ("Linux",),
    )  # fmt: skip
    assert (often.first_version, often.first_seen) == ("1.0", (NOW - timedelta(days=8)).timestamp())
    assert (rare.signature, rare.count, rare.before) == ("rare", 1, 0)
    assert top.a_day(WEEK) == {"20261127": 4}
    only = Filter(WEEK.first, WEEK.last, "Other", "2.0", "beta")
    assert [crasher.signature for crasher in top.top(only, WEEK_BEFORE)] == ["rare"]
    assert top.choices("product", WEEK) == [("App", 3), ("Other", 1)]


def test_a_crash_that_is_added_again_is_replaced(index: Index) -> None:
    first = row("before", words="before", stack_modules=(StackModule("libxul.so", "A" * 33, "libxul.so", True),))
    index.add([first])
    index.add([row("after", crash_id=first.crash_id, words="after")])
    queries = Queries(index.database)

    assert counted(index) == 1
    assert queries.signature("before") is None
    assert [found["signature"] for found in queries.search("after")] == ["after"]
    assert queries.search("before") == []
    assert (index.missing_ids(), index.lacking("A" * 33)) == (set(), [])


def test_a_signature_that_lost_its_first_crash_began_later(index: Index) -> None:
    first, second = row("f", days_ago=3, version="1"), row("f", days_ago=1, version="2")
    index.add([first, second])
    index.add([row("g", days_ago=3, version="1", crash_id=first.crash_id)])

    found = Queries(index.database).signature("f")
    assert found is not None
    assert (found["first_seen"], found["first_version"], found["count"]) == (second.submitted, "2", 1)


def test_old_crashes_are_forgotten_with_all_that_belongs_to_them(index: Index) -> None:
    old: dict[str, Any] = {
        "words": "old",
        "stack_modules": (StackModule("a", "B" * 33, "a"),),
        "annotations": {"Vendor": "x"},
    }
    index.add(row("old", days_ago=5, **old) for _ in range(600))
    index.add([row("new", words="new")])

    forgotten = []
    while count := index.forget_before("20261125"):
        forgotten.append(count)
    assert sum(forgotten) == 600
    assert max(forgotten) == 200
    for _ in index.clean_up():
        pass
    assert counted(index) == 1
    counts = "SELECT (SELECT count(*) FROM bodies), (SELECT count(*) FROM words), (SELECT count(*) FROM signatures), "
    counts += "(SELECT count(*) FROM stack_modules), (SELECT count(*) FROM modules), (SELECT count(*) FROM facts), "
    counts += "(SELECT count(*) FROM extra), (SELECT count(*) FROM texts WHERE field = 'vendor')"
    assert tuple(index.database.execute(counts).fetchone()) == (1, 1, 1, 0, 0, 1, 0, 0)


def test_opinions_outlive_what_is_made_anew(index: Index) -> None:
    index.add([row("f", version="2.0")])
    index.save_opinion("f", fixed_in="1.5", note="see the tracker")
    index.clear()
    assert counted(index) == 0
    index.add([row("f", version="2.0")])

    found = Queries(index.database).signature("f")
    assert found is not None
    assert (found["fixed_in"], found["note"]) == ("1.5", "see the tracker")
    assert [crasher.came_back for crasher in TopCrashers(index.database).top(WEEK, WEEK_BEFORE)] == [True]


def test_an_index_of_another_version_is_made_anew(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.sqlite")
    index.add([row()])
    index.save_opinion("crash()", fixed_in="2", note="")
    index.database.execute("CREATE TABLE of_another_version (a)")
    index.database.execute("PRAGMA user_version = 99")
    index.close()

    again = Index(tmp_path / "index.sqlite")
    assert counted(again) == 0
    tables = {row[0] for row in again.database.execute("SELECT name FROM sqlite_master")}
    assert "of_another_version" not in tables
    again.add([row()])
    found = Queries(again.database).signature("crash()")
    assert found is not None
    assert found["fixed_in"] == "2"
    again.close()


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("World::tick", True),
        ("world::ti", True),
        ("tick libxul", True),
        ("libxul.so", True),
        ("tick nothing", False),
        ("orld", False),
        ("", False),
        ("::", False),
        ('"', False),
        ('"tick" OR 1', False),
        ("tick*", True),
        ("NEAR(", False),
        ("tick\0", True),
        ("\u202e", False),
    ],
)
def test_search(index: Index, query: str, is_found: bool) -> None:
    index.add([row(words="World::tick(int)\nlibxul.so"), row(words="something else")])

    assert len(Queries(index.database).search(query)) == is_found


def test_a_beginning_counts_where_no_crash_has_the_word(index: Index) -> None:
    whole, longer = row(words="render"), row(words="renderer")
    index.add([whole, longer])
    queries = Queries(index.database)

    assert [found["crash_id"] for found in queries.search("render")] == [whole.crash_id]
    assert {found["crash_id"] for found in queries.search("rende")} == {whole.crash_id, longer.crash_id}


def test_a_beginning_is_one_of_the_last_word_alone(index: Index) -> None:
    index.add([row(words="World::ticking(int)", loaded="extension.dll"), row(words="World\nsomething")])
    queries = Queries(index.database)

    assert [len(queries.search(text)) for text in ("something wor", "World::tick", "ticki", "ick", "extens")] == [
        1, 1, 1, 0, 0,
    ]  # fmt: skip


def test_versions_are_ordered_as_people_order_them() -> None:
    ordered = ["nightly", "1.0a1", "1.0b2", "1.0b10", "1.0", "1.0.1", "1.2", "1.10", "2", "2.0.0.5", "153.0"]

    assert sorted([*ordered[5:], *ordered[:5]], key=sort_key) == ordered
    assert sort_key("2") == sort_key("2.0") == sort_key("2.0.0")


@pytest.mark.parametrize(
    ("version", "fixed_in", "is_back"),
    [("2.0", "2.0", True), ("2.1", "2.0", True), ("1.9", "2.0", False), ("2.0b1", "2.0", False), ("", "2.0", False),
     ("2.0", "soon", False), ("2.0", "", False)],
)  # fmt: skip
def test_what_came_back(version: str, fixed_in: str, is_back: bool) -> None:
    assert is_at_least(version, fixed_in) == is_back
