# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A few schedules of faults; ``make faults`` plays as many as you like."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.play import Emulators, Outcome, play
from tests.faults.schedule import BACKEND_FAULTS, DISK_FAULTS, TROUBLES, VICTIMS, make_schedule

# Schedules that are played at the same time, since most of their time is waiting, and the clients of each.
PLAYERS = 3
CLIENTS = 3
# In the first two schedules no crash may be refused, and in the first and the last no connection may break.
SELECTION = {
    "storage on another disk and publish": (1, ["publish", "other disk"]),
    "outage, restarts and kills": (2055, ["outage", "stop", "kill"]),
    "disk and small spool": (274, ["disk", "small spool"]),
}


@pytest.fixture(scope="module")
def outcomes(gcs_emulator: str, pubsub_emulator: str, library: Path | None) -> Iterator[dict[str, Future[Outcome]]]:
    """The outcomes of the selected schedules. The fixture waits for them."""
    emulators = Emulators(gcs_emulator, pubsub_emulator)
    with ThreadPoolExecutor(PLAYERS) as players:
        yield {
            name: players.submit(play, replace(make_schedule(seed, troubles), clients=CLIENTS), emulators, library)
            for name, (seed, troubles) in SELECTION.items()
        }


@pytest.mark.parametrize("name", SELECTION)
def test_every_promise_is_kept(outcomes: dict[str, Future[Outcome]], name: str) -> None:
    outcome = outcomes[name].result()
    print(f"--seed {outcome.seed} --troubles {SELECTION[name][1]}: {outcome.schedule}")

    if outcome.problems:
        print(outcome.logs)
    assert not outcome.problems
    assert outcome.promised >= 5, "too few for a test"
    if outcome.missing:
        pytest.skip(f"played without what this machine cannot do: {outcome.missing}")


def test_schedule_comes_from_its_seed() -> None:
    for seed in range(50):
        assert make_schedule(seed) == make_schedule(seed)
    assert make_schedule(1) != make_schedule(2)


def test_some_hundred_schedules_have_every_kind_of_trouble() -> None:
    schedules = [make_schedule(seed) for seed in range(500)]
    steps = {(step.what, step.how) for schedule in schedules for step in schedule.steps}

    assert {how for what, how in steps if what in {"storage", "publish"}} == set(BACKEND_FAULTS)
    assert {how for what, how in steps if what == "disk"} == {*DISK_FAULTS, "pass"}
    assert {how for what, how in steps if what == "kill"} == set(VICTIMS)
    assert {what for what, _ in steps} >= {"names", "stop", "retire"}
    assert {option for schedule in schedules for option in schedule.options} >= {"CRASHMOVER_SPOOL_MAX_SIZE"}
    assert len(TROUBLES) == 9


def test_what_fails_works_again_in_the_end() -> None:
    for seed in range(500):
        schedule = make_schedule(seed)
        last = {step.what: step.how for step in schedule.steps if step.what not in {"kill", "stop", "retire"}}
        assert set(last.values()) <= {"pass"}, schedule
        assert all(step.at <= schedule.seconds for step in schedule.steps)
