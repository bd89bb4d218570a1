# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Names of products and packages that are on no list are logged, but escaped, cut and few."""

import logging

import pytest

from antenna.config import ConfigManager
from antenna.shared_file import create_shared_file, find_shared_file
from antenna.throttler import FAKEACCEPT, REJECT, Throttler
from antenna.throttler.unlisted import MAX_NAMES_PER_HOUR, UnlistedNames
from tests.throttler.conftest import BuildThrottler


@pytest.fixture(autouse=True)
def log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "antenna.throttler")


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def shared_file() -> int:
    environ: dict[str, str] = {}
    create_shared_file(environ)
    descriptor = find_shared_file(environ)
    assert descriptor is not None
    return descriptor


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "antenna.throttler"]


@pytest.mark.parametrize(
    ("crash", "verdict", "line"),
    [
        ({"ProductName": "Game"}, (REJECT, "unsupported_product", 100), "ProductName rejected: 'Game'"),
        ({"prod": "Game"}, (REJECT, "unsupported_product", 100), "ProductName rejected: 'Game'"),
        ({}, (REJECT, "unsupported_product", 100), "ProductName rejected: ''"),
        ({"ProductName": "b2g"}, (FAKEACCEPT, "b2g", 100), "ProductName B2G: fake accept"),
        (
            {"ProductName": "Fenix", "Android_PackageName": "org.example.fork"},
            (REJECT, "unsupported_packagename", 100),
            "Android_PackageName rejected: Fenix 'org.example.fork'",
        ),
        (
            {"ProductName": "Fenix"},
            (REJECT, "unsupported_packagename", 100),
            "Android_PackageName rejected: Fenix no Android_PackageName",
        ),
    ],
)
def test_what_is_not_listed_is_logged(
    build_throttler: BuildThrottler,
    caplog: pytest.LogCaptureFixture,
    crash: dict[str, str],
    verdict: object,
    line: str,
) -> None:
    assert build_throttler().throttle(crash) == verdict
    assert lines(caplog) == [line]


def test_what_is_listed_is_not_logged(build_throttler: BuildThrottler, caplog: pytest.LogCaptureFixture) -> None:
    build_throttler().throttle({"ProductName": "Firefox", "Android_PackageName": "org.example.fork"})

    assert lines(caplog) == []


def test_a_name_can_neither_forge_a_line_nor_fill_it(caplog: pytest.LogCaptureFixture) -> None:
    UnlistedNames().product("a\n\x1b[31m\u202e" + "x" * 10_000)

    (line,) = lines(caplog)
    assert line == "ProductName rejected: 'a\\n\\x1b[31m\\u202e" + "x" * 42 + "'"


def test_a_name_is_logged_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    names = UnlistedNames(clock=clock)

    names.product("Game")
    clock.seconds += 3599
    names.product("Game")
    assert lines(caplog) == ["ProductName rejected: 'Game'"]
    clock.seconds += 1
    names.product("Game")
    assert lines(caplog) == ["ProductName rejected: 'Game'"] * 2


def test_beyond_twenty_names_an_hour_reports_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    names = UnlistedNames(clock=clock)

    for number in range(MAX_NAMES_PER_HOUR + 500):
        names.product(f"Game {number}")
    assert lines(caplog) == [f"ProductName rejected: 'Game {number}'" for number in range(20)]

    clock.seconds += 3600
    names.packagename("Fenix", "org.example.fork")
    assert lines(caplog)[20:] == [
        "500 more reports of products or packages that are not listed",
        "Android_PackageName rejected: Fenix 'org.example.fork'",
    ]


def test_all_workers_count_together(caplog: pytest.LogCaptureFixture, shared_file: int) -> None:
    clock = Clock()
    workers = [UnlistedNames(shared_file, clock) for _ in range(4)]

    for hour in range(3):
        for number in range(30):
            for worker in workers:
                worker.product(f"Game {number}")
                worker.product("Game 0")
        names = [line for line in lines(caplog) if line.startswith("ProductName")]
        assert names == [f"ProductName rejected: 'Game {number}'" for number in range(20)] * (hour + 1)
        clock.seconds += 3600
    assert [line for line in lines(caplog) if "more reports" in line] == [
        "40 more reports of products or packages that are not listed"
    ] * 2


def test_made_as_by_mozilla_s_antenna_it_logs_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "antenna")
    throttler = Throttler(ConfigManager.from_dict({"PRODUCTS": "antenna.throttler.MOZILLA_PRODUCTS"}))

    throttler.throttle({"ProductName": "Game"})

    assert caplog.record_tuples == [("antenna.throttler", logging.INFO, "ProductName rejected: 'Game'")]
