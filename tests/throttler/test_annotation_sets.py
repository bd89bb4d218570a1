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

from antenna.throttler.rules_file import read_rules_file
from tests.support.server import PROJECT_ROOT
from tests.throttler.conftest import BuildThrottler

SETS = sorted((Path(__file__).parent.parent / "data" / "annotations").glob("*.json"))
MOZILLA_FILE = PROJECT_ROOT / "docs" / "examples" / "mozilla.toml"
RUNS = 1_000


def test_all_twelve_are_there() -> None:
    assert len(SETS) == 12


@pytest.mark.parametrize("as_file", [False, True], ids=["Python", "file"])
@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_outcomes(build_throttler: BuildThrottler, path: Path, *, as_file: bool) -> None:
    annotation_set: dict[str, Any] = json.loads(path.read_text("utf-8"))
    # The clock stands at the day of the recorded decisions, so that the build ids in the sets do not age.
    throttler = build_throttler(rng=random.Random(20261122))
    if as_file:
        throttler.policy = read_rules_file(MOZILLA_FILE.read_text(encoding="utf-8"), MOZILLA_FILE.name)

    outcomes: Counter[str] = Counter()
    for _ in range(RUNS):
        result, rule_name, _percentage = throttler.throttle(annotation_set["annotations"])
        outcomes[f"{result.name} {rule_name}"] += 1

    expected: dict[str, float] = annotation_set["mozilla_rules_outcomes_of_2000"]
    # These are samples of 1,000 and of 2,000. At 25 % the standard deviation of their difference is 0.017.
    assert {outcome: count / RUNS for outcome, count in outcomes.items()} == pytest.approx(expected, abs=0.05)
