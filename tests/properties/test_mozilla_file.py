# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Mozilla's rules as a rules file decide like those in Python, for any annotations."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antenna.config import build_config
from antenna.throttler import Throttler
from tests.properties.test_decisions import VALUES
from tests.support.reports import THROTTLE_ANNOTATIONS
from tests.support.sent_reports import json_values, names
from tests.support.server import PROJECT_ROOT

MOZILLA_FILE = PROJECT_ROOT / "docs" / "examples" / "mozilla.toml"

BUILD_IDS = [
    "20241121120000",
    "20241122120000",
    "20241123120000",
    "20171225235959",
    "20171226",
    "20241122120000\n",
]

MORE_VALUES = [
    "B2G",
    "Focus",
    "org.mozilla.focus",
    "aurora",
    "nightly",
    "57.0b3",
    *BUILD_IDS,
    *(
        f'{{"system": {{"os": {{"name": "Windows_NT", "windowsBuildNumber": {number}}}}}}}'
        for number in ("9600", "9601", "7601.0", "true", "false", "0", "-1", "null", '"7601"', "[7601]", "1e3")
    ),
]

annotations = st.dictionaries(
    st.sampled_from([*THROTTLE_ANNOTATIONS, "prod", "_productName"]) | names,
    st.sampled_from([*VALUES, *MORE_VALUES]) | json_values,
    max_size=12,
)
# Crashes that get past the first rules more often than not.
firefox = st.fixed_dictionaries(
    {"ProductName": st.just("Firefox"), "ReleaseChannel": st.sampled_from(["esr", "release", "beta", "nightly"])},
    optional={
        "TelemetryEnvironment": st.sampled_from([value for value in MORE_VALUES if value.startswith("{")])
        | json_values,
        "SubmittedFromInfobar": st.sampled_from(["true", True, "false"]),
        "Version": st.sampled_from(["57.0", "52.1", "60.0", 57.5]),
        "BuildID": st.sampled_from([*BUILD_IDS, ""]),
        "ProcessType": st.sampled_from(["gpu", "browser", "content", None]),
        "HangID": st.sampled_from(["1", None]),
    },
)


class Returns:
    """Draws the same number each time."""

    def __init__(self, number: float) -> None:
        self._number = number

    def random(self) -> float:
        return self._number


@pytest.fixture(scope="module")
def throttlers() -> tuple[Throttler, Throttler]:
    python = build_config({})
    file = build_config({"BREAKPAD_THROTTLER_RULES": str(MOZILLA_FILE)})
    by_python, by_file = (
        Throttler(config.with_namespace("breakpad").with_namespace("throttler")) for config in (python, file)
    )
    return by_python, by_file


@given(crash=annotations | firefox, drawn=st.sampled_from([0.0, 0.09, 0.15, 0.24, 0.26, 0.99]))
def test_file_decides_as_python(throttlers: tuple[Throttler, Throttler], crash: dict[str, Any], drawn: float) -> None:
    for throttler in throttlers:
        throttler.rng = Returns(drawn)
    by_python, by_file = throttlers

    assert by_file.throttle(crash) == by_python.throttle(crash)


def test_lists_are_the_same(throttlers: tuple[Throttler, Throttler]) -> None:
    by_python, by_file = throttlers

    assert by_file.products == by_python.products
    assert by_file.product_packagenames == by_python.product_packagenames
    assert [rule.rule_name for rule in by_file.rule_set] == [rule.rule_name for rule in by_python.rule_set]
