# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Mozilla's rules, in Python and as a rules file, decide about each annotation set as those in production did."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from antenna.throttler import Throttler
from antenna.throttler.rules_file import read_rules_file
from tests.support.server import PROJECT_ROOT
from tests.throttler.conftest import BuildThrottler

SETS = sorted((Path(__file__).parent.parent / "data" / "annotations").glob("*.json"))
MOZILLA_FILE = PROJECT_ROOT / "docs" / "examples" / "mozilla.toml"
RUNS = 1_000


def test_all_twelve_are_there() -> None:
    assert len(SETS) == 12


def decisions(throttler: Throttler, annotation_set: dict[str, Any], runs: int) -> list[str]:
    results = [throttler.throttle(annotation_set["annotations"]) for _ in range(runs)]
    return [f"{result.name} {rule_name}" for result, rule_name, _percentage in results]


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_outcomes(build_throttler: BuildThrottler, path: Path) -> None:
    annotation_set: dict[str, Any] = json.loads(path.read_text("utf-8"))
    # The clock stands at the day of the recorded decisions, so that the build ids in the sets do not age.
    throttler = build_throttler(rng=random.Random(20261122))

    outcomes = Counter(decisions(throttler, annotation_set, RUNS))

    expected: dict[str, float] = annotation_set["mozilla_rules_outcomes_of_2000"]
    # These are samples of 1,000 and of 2,000. At 25 % the standard deviation of their difference is 0.017.
    assert {outcome: count / RUNS for outcome, count in outcomes.items()} == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_the_file_decides_as_python_does_with_the_same_draws(build_throttler: BuildThrottler, path: Path) -> None:
    annotation_set: dict[str, Any] = json.loads(path.read_text("utf-8"))
    in_python, as_file = (build_throttler(rng=random.Random(1)) for _ in range(2))
    as_file.policy = read_rules_file(MOZILLA_FILE.read_text(encoding="utf-8"), MOZILLA_FILE.name)

    assert decisions(as_file, annotation_set, 100) == decisions(in_python, annotation_set, 100)
