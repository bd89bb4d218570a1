# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The benchmark runs. It fails if a collector promises crashes and does not keep them."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.books import Bookkeeper
from tests.bench.cases import CASES, Case
from tests.bench.crashes import TRAFFIC
from tests.bench.measure import BenchmarkError, Plan, measure, percentile
from tests.bench.setups import Setup, parse_setup
from tests.support.server import PROJECT_ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")

QUICK = Plan(seconds=0.5, repeat=1, emulators=[], warm_up_seconds=0.1)
CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"


@pytest.mark.parametrize("case", ["mixed", "kept-tls"])
def test_every_crash_is_taken_and_accounted_for(case: str) -> None:
    run = measure(QUICK, Setup("."), PROJECT_ROOT, replace(CASES[case], clients=4))
    assert run.crashes > 0
    assert run.rate > 0
    assert run.units > 0.1
    assert run.p50 <= run.p99 <= run.longest


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("Discarded=malformed_too_large", {"BREAKPAD_MAX_PAYLOAD_SIZE": "1kB"}),
        (
            "answered, not saved",
            {"CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.crashstorage_base.NoOpCrashStorage"},
        ),
        (
            "answered, not published",
            {"CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.crashpublish_base.NoOpCrashPublish"},
        ),
    ],
)
def test_figures_of_a_collector_that_does_not_do_its_work_are_refused(problem: str, options: dict[str, str]) -> None:
    with pytest.raises(BenchmarkError, match=problem):
        measure(QUICK, Setup("lazy", environment=options), PROJECT_ROOT, Case("kept", "", "kept", clients=4))


def upload_all(books: Bookkeeper, *kinds: str) -> None:
    for kind in kinds:
        books.uploaded(f"v1/{kind}/{CRASH_ID}", "crc", b'["upload_file_minidump"]')


@pytest.mark.parametrize(
    "uploads", [["dump_names", "raw_crash/20160918", "dump"], ["dump", "raw_crash/20160918", "dump_names"]]
)
def test_raw_crash_before_all_dumps_is_in_the_books(uploads: list[str]) -> None:
    books = Bookkeeper()
    upload_all(books, *uploads)
    assert books.close().disorder == [f"{CRASH_ID}: raw crash before the dumps"]


def test_publishing_before_the_raw_crash_is_in_the_books() -> None:
    books = Bookkeeper()
    upload_all(books, "dump", "dump_names")
    books.published([CRASH_ID])
    assert books.close().disorder == [f"{CRASH_ID}: published before the raw crash"]


def test_right_order_is_in_the_books() -> None:
    books = Bookkeeper()
    upload_all(books, "dump_names", "dump", "raw_crash/20160918")
    books.published(["test", CRASH_ID])
    closed = books.close()
    assert closed.saved == {CRASH_ID: ["crc"]}
    assert closed.published == [CRASH_ID]
    assert closed.disorder == closed.partial == []


def test_typical_crash_is_of_the_typical_size() -> None:
    (crash,) = TRAFFIC["kept"]()
    assert 150_000 < len(crash.gzipped) < 175_000


def test_mixed_traffic_is_rejected_nine_times_of_ten() -> None:
    assert [crash.is_kept for crash in TRAFFIC["mixed"]()].count(True) == 1
    assert len(TRAFFIC["mixed"]()) == 10


@pytest.mark.parametrize(("percent", "value"), [(1, 1), (50, 2), (51, 3), (75, 3), (99, 4), (100, 4)])
def test_percentile_is_a_value_that_occurred(percent: float, value: float) -> None:
    assert percentile([1, 2, 3, 4], percent) == value


def test_setup_is_a_revision_with_options_or_a_command() -> None:
    assert parse_setup("HEAD~1 GUNICORN_WORKERS=4") == Setup(
        "HEAD~1 GUNICORN_WORKERS=4", "HEAD~1", environment={"GUNICORN_WORKERS": "4"}
    )
    other = parse_setup("command='serve --port $PORT' directory=/srv")
    assert (other.command, other.directory) == ("serve --port $PORT", str(Path("/srv")))
    with pytest.raises(ValueError, match="wrokers"):
        parse_setup("wrokers=2")
