# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Call frame information in SQLite."""

import sqlite3
from pathlib import Path

import pytest

from antenna.symbols.cfi_index import CfiIndex, build

LINES = """\
STACK CFI INIT 1000 20 .cfa: $rsp 8 + .ra: .cfa -8 + ^
STACK CFI 1004 .cfa: $rsp 16 +
STACK CFI 1008 $rbx: .cfa -16 + ^
STACK CFI 2000 .cfa: outside of the function
STACK CFI INIT 1020 10 .cfa: $rsp 24 + .ra: .cfa -8 + ^
STACK CFI INIT broken
STACK WIN 0 1000 100 0 0 4 0 0 0 0 0
STACK WIN 4 1010 10 0 0 8 0 0 0 1 $eip 5 =
STACK WIN 4 1010
FUNC 1000 20 0 main
""".splitlines()


@pytest.fixture
def index(tmp_path: Path) -> CfiIndex:
    assert build(tmp_path / "index", LINES)
    return CfiIndex(tmp_path / "index")


@pytest.mark.parametrize(
    ("offset", "cfa", "others"),
    [
        (0x0FFF, None, ()),
        (0x1000, "$rsp 8 +", (".ra",)),
        (0x1003, "$rsp 8 +", (".ra",)),
        (0x1004, "$rsp 16 +", (".ra",)),
        (0x101F, "$rsp 16 +", (".ra", "rbx")),
        (0x1020, "$rsp 24 +", (".ra",)),
        (0x1030, None, ()),
        (0x9999, None, ()),
    ],
)
def test_rules_of_an_address(offset: int, cfa: str | None, others: tuple[str, ...], index: CfiIndex) -> None:
    found = index.rules_at(offset)
    assert (found or {}).get(".cfa") == cfa
    assert sorted(set(found or {}) - {".cfa"}) == sorted(others)


@pytest.mark.parametrize(("offset", "parameters"), [(0x1000, 4), (0x1010, 8), (0x1020, 4), (0x1100, None)])
def test_innermost_windows_record_of_an_address(offset: int, parameters: int | None, index: CfiIndex) -> None:
    rule = index.windows_rule_at(offset)
    assert (rule.parameters if rule else None) == parameters


def test_nothing_is_said_of_a_file_without_rules(tmp_path: Path) -> None:
    assert not build(tmp_path / "index", ["FUNC 1000 20 0 main"])


def test_what_is_no_index_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database")
    with pytest.raises(sqlite3.Error):
        CfiIndex(tmp_path / "text")
    sqlite3.connect(tmp_path / "other").close()
    with pytest.raises(sqlite3.Error, match="version"):
        CfiIndex(tmp_path / "other")
