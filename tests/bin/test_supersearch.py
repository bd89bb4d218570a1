# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""``supersearch.py`` searches an index or a viewer, as users of Crash Stats' tools expect."""

import csv
import json
import shlex
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from antenna.crash.crash_id import mint
from antenna.viewer.index import CrashRow, Index
from bin import _common, supersearch
from tests.support.minidumps import samples
from tests.support.tools import Result, run_shell
from tests.support.viewer import StoredCrashes, viewer_environment
from tests.support.viewer_program import ViewerProgram

NOW = datetime.now(UTC)


def row(name: str, days_ago: float = 0, **values: str) -> CrashRow:
    came = NOW - timedelta(days=days_ago, minutes=1)
    return CrashRow(mint(0, came), came.timestamp(), name, **values)  # type: ignore[arg-type]


ROWS = [
    row("Foo::Bar", product="Firefox", version="153.0", os="Windows", reason="a\tb"),
    row("Foo::Bar", 0.01, product="Firefox", version="154.0", os="Linux"),
    row("OOM | small", 2, product="Fenix", version="153.0", os="Android", reason='c,"d"'),
    row("Foo::Bar", 20, product="Firefox", version="152.0", os="Linux"),
]
FIRST, SECOND, THIRD, OLD = (one.crash_id for one in ROWS)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the index of ``ROWS``."""
    found = tmp_path_factory.mktemp("viewer")
    index = Index(found / "viewer" / "index.sqlite")
    index.add(ROWS)
    index.close()
    return found


Search = Callable[[str], Result]


@pytest.fixture
def search(directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Search:
    """Function that runs the program on the index.

    It does so in this process, because starting another one takes longer.
    """
    for name, value in viewer_environment(directory).items():
        monkeypatch.setenv(name, value)

    def run(arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["bin/supersearch.py", *shlex.split(arguments)])
        with pytest.raises(SystemExit) as raised:
            _common.run(supersearch.main, *supersearch.ERRORS)
        captured = capsys.readouterr()
        assert isinstance(raised.value.code, int)
        return Result(raised.value.code, captured.out, captured.err)

    return run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", [FIRST, SECOND, THIRD]),
        ("--product=Firefox --num=10", [FIRST, SECOND]),
        ("--product Firefox --num 1", [FIRST]),
        ("--num=all --date='>=2026-01-01'", [FIRST, SECOND, THIRD, OLD]),
        ("--version='>=153.0' --version='<154' --product=Firefox", [FIRST]),
        ("--signature='~Foo' --platform='!Linux'", [FIRST]),
        ("--relative-range=1d", [FIRST, SECOND]),
        ("--relative-range=30d --_sort=date --num=1", [OLD]),
        (f"--end-date={NOW - timedelta(days=10):%Y-%m-%d} --relative-range=2w", [OLD]),
        (f"--start-date={NOW - timedelta(days=30):%Y-%m-%d} --version=152.0", [OLD]),
        (
            "--version=154.0 --supersearch-url='https://crash-stats.mozilla.org/search/?product=Firefox&_facets=x&page=1'",
            [SECOND],
        ),
        ("--_columns=uuid --_columns=version --version=154.0", [f"{SECOND}\t154.0"]),
        ("--_columns=reason --version=153.0 --_sort=-date", ["a\\tb", 'c,"d"']),
        ("--_columns=product --format=csv --headers --num=1", ["product", "Firefox"]),
        ("--_columns=product --_columns=version --format=markdown --headers --num=1",
         ["product | version", "------- | -------", "Firefox | 153.0"]),
        ("--product=Nothing", []),
    ],
)  # fmt: skip
def test_crashes_are_found(search: Search, arguments: str, expected: list[str]) -> None:
    result = search(arguments)
    assert result.exit_code == 0, result.stderr
    assert result.lines == expected
    assert ("no such crash" in result.stderr) == (not expected)


def test_formats_keep_what_values_hold(search: Search) -> None:
    asked = "--_columns=uuid --_columns=reason --version=153.0"
    written = list(csv.reader(search(f"{asked} --format=csv").lines))
    assert written == [[FIRST, "a\\tb"], [THIRD, 'c,"d"']]
    (found,) = search(f"{asked} --format=json").objects
    assert found == [{"uuid": FIRST, "reason": "a\tb"}, {"uuid": THIRD, "reason": 'c,"d"'}]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--_facets=product", ["product", "product  count", "Firefox  2", "Fenix    1", "total    3"]),
        ("--_facets=product --format=csv --product=Fenix", ["product", "product,count", "Fenix,1", "total,1"]),
        (
            "--_facets=_cardinality.version --format=tab",
            ["cardinality_version", "cardinality_version\tvalue", "value\t2"],
        ),
        (
            "--_aggs.product=version --format=csv --no-headers",
            ["product", "Firefox,2", "Fenix,1", "total,3", "", "product / version", "Firefox / 153.0,1",
             "Firefox / 154.0,1", "Fenix / 153.0,1"],
        ),
        (
            "--_aggs.product.version=_cardinality.platform --format=csv --no-headers --product=Fenix",
            ["product", "Fenix,1", "total,1", "", "product / version", "Fenix / 153.0,1", "",
             "product / version / cardinality_platform", "Fenix / 153.0,1"],
        ),
        (
            "--_facets=product --period=weekly --format=csv --date='>=2026-01-01' --product=Fenix",
            ["histogram_date.product", "histogram_date,Fenix,total", "DAY,1,1"],
        ),
    ],
)  # fmt: skip
def test_facets_are_tables(search: Search, arguments: str, expected: list[str]) -> None:
    result = search(arguments)
    assert result.exit_code == 0, result.stderr
    came = NOW - timedelta(days=2, minutes=1)
    monday = f"{came - timedelta(days=came.weekday()):%Y-%m-%d}"
    assert result.lines == [line.replace("DAY", monday) for line in expected]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--url=x", "unknown field url"),
        ("--signatur=x --_facets=y", "unknown field signatur; there is signature"),
        ("--uptime='>x'", "uptime: 'x' is no number"),
        ("Firefox", "unrecognized argument: Firefox"),
        ("--product", "--product needs a value: --product=VALUE"),
        ("--num=0", "argument --num"),
        ("--num=many", "argument --num"),
        ("--relative-range=soon", "expected a time such as 12h, 7d or 2w"),
        ("--end-date=tomorrow", "expected 2026-11-27"),
        ("--date='>=2026-11-01' --relative-range=7d", "--date does not go with"),
        ("--index=/nowhere/index.sqlite", "/nowhere/index.sqlite is not there"),
        ("--host=localhost:8001", "'localhost:8001' is no URL of a viewer"),
        ("--host=http://127.0.0.1:9", "http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_what_is_wrong_is_said(search: Search, arguments: str, message: str) -> None:
    result = search(arguments)
    assert result.exit_code in {1, 2}
    assert message in result.stderr
    assert result.lines == []


def test_an_index_of_another_version_is_named(search: Search, tmp_path: Path) -> None:
    other = tmp_path / "index.sqlite"
    sqlite3.connect(other).execute("PRAGMA user_version = 1").connection.close()
    assert "is of another version" in search(f"--index={other}").stderr


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[ViewerProgram]:
    program = ViewerProgram(tmp_path, VIEWER_TOKEN="summary", VIEWER_PROTECTED_TOKEN="protected")
    yield program
    program.kill()


def test_a_viewer_is_asked_and_crashes_are_fetched(tmp_path: Path, viewer: ViewerProgram) -> None:
    crashes = StoredCrashes(tmp_path / "crashes")
    crash_id = crashes.add({"ProductName": "Firefox", "Email": "secret@example.com"}, samples.crash())
    viewer.wait_until(lambda: viewer.is_serving() and viewer.crash_ids() == [crash_id])
    search, fetch = "bin/supersearch.py --product=Firefox --num=10", "bin/fetch_crashes.py --raw --dumps"
    # On the index, and the storage beside it.
    found = run_shell(search, viewer_environment(tmp_path))
    local = run_shell(f"{fetch} --no-processed {tmp_path}/local", viewer_environment(tmp_path), stdin=found.stdout)
    assert local.lines == [crash_id], local.stderr
    # With nothing but the viewer's URL and a token.
    environment = {"VIEWER_URL": viewer.url, "VIEWER_PROTECTED_TOKEN": "protected"}
    remote = run_shell(f"{search} | {fetch} --processed {tmp_path}/remote", environment)
    assert remote.lines == [crash_id], remote.stderr

    def tree(name: str) -> dict[str, bytes]:
        root = tmp_path / name
        return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}

    fetched = tree("remote")
    processed = json.loads(fetched.pop(f"processed_crash/{crash_id}"))
    assert fetched == tree("local")
    assert fetched[f"upload_file_minidump/{crash_id}"] == samples.crash()
    # From the storage alone, it is the same.
    alone = run_shell(
        f"bin/fetch_crashes.py --no-raw --processed {tmp_path}/alone {crash_id}", viewer_environment(tmp_path)
    )
    assert alone.lines == [crash_id], alone.stderr
    assert json.loads(tree("alone")[f"processed_crash/{crash_id}"]) == processed
    assert processed["email"] == "secret@example.com"

    # Whoever has the other token, or none, gets as much as that shows.
    for token, message in (("summary", "403"), ("", "303"), ("wrong", "401")):
        refused = run_shell(
            f"bin/fetch_crashes.py {tmp_path}/refused {crash_id}", {"VIEWER_URL": viewer.url, "VIEWER_TOKEN": token}
        )
        assert refused.exit_code == 1
        assert message in refused.stderr
    assert run_shell("bin/supersearch.py", {"CRASHSTATS_API_TOKEN": "summary", "VIEWER_URL": viewer.url}).lines == [
        crash_id
    ]
    assert "needs a token" in run_shell("bin/supersearch.py", {"VIEWER_URL": viewer.url}).stderr
