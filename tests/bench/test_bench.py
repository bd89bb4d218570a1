# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The benchmark runs. It fails if a collector promises crashes and does not keep them."""

import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.bench.books import Bookkeeper, Books
from tests.bench.cases import CASES
from tests.bench.crashes import TRAFFIC
from tests.bench.load import Order, Outcome
from tests.bench.load import run as run_load
from tests.bench.measure import BenchmarkError, Plan, check, measure, percentile
from tests.bench.setups import Setup, parse_setup
from tests.support.server import PROJECT_ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")

QUICK = Plan(seconds=0.5, repeat=1, emulators=[], warm_up_seconds=0.1, unit_seconds=0.02)
ONE_WORKER = {"GUNICORN_WORKERS": "1"}
CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"
OTHER_ID = "0bba929f-8721-460c-8e70-a43c00160918"
# What is stored of a crash of the case "tiny".
SAVED = {CRASH_ID: [TRAFFIC["tiny"]()[0].dump_crc32c]}
REFUSED = b"Discarded=malformed_too_large"


def test_every_crash_is_taken_and_accounted_for() -> None:
    # Crashes that are rejected are among them, and those that are kept go over TLS.
    case = replace(CASES["kept-tls"], traffic="mixed", clients=4)
    run = measure(QUICK, Setup(".", environment=ONE_WORKER), PROJECT_ROOT, case)
    assert run.crashes > 0
    assert run.rate > 0
    assert run.units > 0.1
    assert run.p50 <= run.p99 <= run.longest


def test_figures_of_a_collector_that_does_not_do_its_work_are_refused() -> None:
    options = ONE_WORKER | {
        "CRASHMOVER_CRASHSTORAGE_CLASS": "antenna.ext.crashstorage_base.NoOpCrashStorage",
        "CRASHMOVER_CRASHPUBLISH_CLASS": "antenna.ext.crashpublish_base.NoOpCrashPublish",
    }
    with pytest.raises(BenchmarkError) as raised:
        measure(QUICK, Setup("lazy", environment=options), PROJECT_ROOT, replace(CASES["tiny"], clients=4))
    assert "'answered, not saved'" in str(raised.value)
    assert "'answered, not published'" in str(raised.value)


class Refuses(BaseHTTPRequestHandler):
    """A collector that finds every report too large."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(REFUSED)))
        self.end_headers()
        self.wfile.write(REFUSED)

    def log_message(self, *_: object) -> None:
        pass


def test_an_answer_that_nobody_expects_is_a_problem() -> None:
    with HTTPServer(("127.0.0.1", 0), Refuses) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        outcome = run_load(Order(server.server_port, "tiny", clients=1, seconds=0.05))
        server.shutdown()
        thread.join()
    assert list(outcome.problems) == [f"HTTP/1.1 200 OK: {REFUSED.decode()}"]
    assert outcome.crash_ids == []


@pytest.mark.parametrize(
    ("problem", "outcome", "books"),
    [
        ("", {}, {}),
        ("Discarded=malformed_too_large", {"problems": Counter(["Discarded=malformed_too_large"])}, {}),
        ("answered, not saved", {}, {"saved": {}}),
        ("answered, not published", {}, {"published": []}),
        ("saved, not answered", {}, {"saved": SAVED | {OTHER_ID: SAVED[CRASH_ID]}}),
        ("saved, not answered", {}, {"partial": [OTHER_ID]}),
        ("published, not answered", {}, {"published": [CRASH_ID, OTHER_ID]}),
        ("stored with other dumps", {}, {"saved": {CRASH_ID: ["AAAAAA=="]}}),
        ("in the wrong order", {}, {"disorder": [f"{CRASH_ID}: raw crash before the dumps"]}),
        ("answered with an id given before", {"crash_ids": [CRASH_ID, CRASH_ID]}, {}),
        ("no crash taken", {"latencies": []}, {}),
    ],
)
def test_what_clients_were_told_is_compared_with_what_arrived(
    problem: str, outcome: dict[str, Any], books: dict[str, Any]
) -> None:
    told = Outcome(**{"latencies": [0.1], "crash_ids": [CRASH_ID], **outcome})
    arrived = Books(**{"saved": SAVED, "published": [CRASH_ID], **books})
    expected = pytest.raises(BenchmarkError, match=f"'{problem}': 1}}") if problem else nullcontext()
    with expected:
        check(Setup("."), CASES["tiny"], [told], arrived, "")


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
