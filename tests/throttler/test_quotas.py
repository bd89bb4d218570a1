# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A quota holds in any minute, for all processes together, and costs the same for all names that clients send."""

import os
from multiprocessing import get_context
from pathlib import Path

import pytest

from antenna.shared_file import create_shared_file, find_shared_file
from antenna.throttler.policy import Policy, Quota
from antenna.throttler.quotas import Quotas


class Clock:
    seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


def policy(per_minute: int, products: tuple[str, ...] = ("Game", "Launcher"), **by_product: int) -> Policy:
    return Policy((), products, quota=Quota(per_minute, by_product))


@pytest.fixture
def shared_file() -> int:
    environ: dict[str, str] = {}
    create_shared_file(environ)
    descriptor = find_shared_file(environ)
    assert descriptor is not None
    return descriptor


def kept(quotas: Quotas, by: Policy, product: str, reports: int) -> int:
    return sum(quotas.allows(by, product) for _ in range(reports))


def test_without_a_quota_everything_is_kept() -> None:
    assert kept(Quotas(None), Policy(()), "Game", 1_000) == 1_000


def test_each_listed_product_has_its_quota_and_all_others_share_one() -> None:
    quotas, by = Quotas(None, Clock()), policy(100, Launcher=20)

    assert kept(quotas, by, "Game", 300) == 100
    assert kept(quotas, by, "Launcher", 300) == 20
    assert kept(quotas, by, "Foreign", 60) == 60
    assert kept(quotas, by, "", 60) == 40
    assert kept(quotas, by, "Game 2", 60) == 0


@pytest.mark.parametrize("per_second", [1, 3, 20])
def test_no_minute_has_more_than_the_quota(per_second: int) -> None:
    clock = Clock()
    quotas, by = Quotas(None, clock), policy(100)

    seconds = []
    for _ in range(300):
        seconds.append(kept(quotas, by, "Game", per_second))
        clock.seconds += 1

    most = min(100, 60 * per_second)
    minutes = [sum(seconds[start : start + 60]) for start in range(240)]
    assert max(minutes) == most
    # In the long run nearly as many crashes are kept as the quota allows.
    assert sum(seconds) >= 0.9 * 5 * most


def test_a_minute_later_as_much_is_kept_again() -> None:
    clock = Clock()
    quotas, by = Quotas(None, clock), policy(100)

    for _ in range(3):
        assert kept(quotas, by, "Game", 300) == 100
        clock.seconds += 61


def test_a_quota_of_nothing() -> None:
    assert kept(Quotas(None), policy(0), "Game", 10) == 0


def test_a_new_policy_does_not_begin_anew() -> None:
    quotas = Quotas(None, Clock())

    assert kept(quotas, policy(100), "Game", 300) == 100
    assert kept(quotas, policy(150, ("Other", "Game")), "Game", 300) == 50


def test_names_of_clients_take_no_place() -> None:
    quotas, by = Quotas(None, Clock()), policy(10)

    for number in range(3_000):
        quotas.allows(by, f"Game {number}")

    assert kept(quotas, by, "Game", 20) == 10
    assert kept(quotas, by, "Launcher", 20) == 10


def test_places_of_products_that_are_no_longer_listed_are_free_after_a_minute() -> None:
    clock = Clock()
    quotas = Quotas(None, clock)

    for number in range(3_000):
        by = policy(1, (f"Game {number}",))
        assert quotas.allows(by, f"Game {number}")
        assert not quotas.allows(by, f"Game {number}")
        clock.seconds += 0.05


def _keep(shared_file: int, reports: int, results: str) -> None:
    count = kept(Quotas(shared_file), policy(1_000), "Game", reports)
    (Path(results) / str(os.getpid())).write_text(str(count))


def test_all_processes_share_a_quota(shared_file: int, tmp_path: Path) -> None:
    context = get_context("fork")
    processes = [context.Process(target=_keep, args=(shared_file, 2_000, str(tmp_path))) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)

    counts = [int(path.read_text()) for path in tmp_path.iterdir()]
    assert len(counts) == 4
    assert sum(counts) == 1_000
    assert kept(Quotas(shared_file), policy(1_000), "Game", 10) == 0
