# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The throttler decides about any annotations, and the functions of crash ids take any text."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antenna.config import build_config
from antenna.crash import crash_id as crash_ids
from antenna.throttler import MOZILLA_RULES, Result, Throttler
from tests.support.registered_metrics import RegisteredMetricsMock
from tests.support.reports import THROTTLE_ANNOTATIONS
from tests.support.sent_reports import json_values, names

VALUES = [
    "Firefox",
    "Fenix",
    "b2g",
    "org.mozilla.fenix",
    "release",
    "esr",
    "nightly-x",
    "browser",
    "gpu",
    "ShutDownKill",
    "0",
    "true",
    "52.0",
    "20170101000000",
    "20991332999999",
    '{"system": {"os": {"name": "Windows_NT", "windowsBuildNumber": 9600}}}',
    '{"system": {"os": {"name": "Windows_NT", "windowsBuildNumber": "x"}}}',
    '{"system": []}',
]
annotations = st.dictionaries(
    st.sampled_from(THROTTLE_ANNOTATIONS) | names, st.sampled_from(VALUES) | json_values, max_size=10
)


@pytest.fixture(scope="module")
def throttler() -> Throttler:
    return Throttler(build_config({}).with_namespace("breakpad").with_namespace("throttler"))


@given(crash=annotations)
def test_throttler_decides_and_changes_nothing(
    throttler: Throttler, metricsmock: RegisteredMetricsMock, crash: dict[str, Any]
) -> None:
    before = json.dumps(crash)
    result, rule, percentage = throttler.throttle(crash)

    assert result in set(Result) - {Result.CONTINUE}
    assert rule in {each.rule_name for each in MOZILLA_RULES}
    assert 0 < percentage <= 100
    assert json.dumps(crash) == before
    metricsmock.assert_not_incr("throttle.rule_error")


@given(
    result=st.sampled_from([0, 1]),
    now=st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - they get UTC
)
def test_minted_ids_are_valid_and_say_what_went_in(result: int, now: datetime) -> None:
    crash_id = crash_ids.mint(result, now)

    assert crash_ids.is_valid(crash_id)
    assert crash_ids.result_of(crash_id) == result
    assert crash_ids.date_of(crash_id) == now.strftime("%Y%m%d")


HEX = "0123456789abcdef"
nearly_ids = st.one_of(
    st.from_regex(
        r"\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{5}[0-2][0-9]{6}\n?\Z", alphabet=HEX + "-\n"
    ),
    st.text(HEX + "-\n\0ABCDEFG\N{ARABIC-INDIC DIGIT ONE}", min_size=34, max_size=38),
)


@given(given_id=st.one_of(json_values, nearly_ids))
def test_valid_is_what_has_the_shape_and_a_date(given_id: object) -> None:
    is_valid = crash_ids.is_valid(given_id)

    assert is_valid == (isinstance(given_id, str) and has_the_shape(given_id) and has_a_date(given_id))


def has_the_shape(text: str) -> bool:
    groups = text.split("-")
    return (
        [len(group) for group in groups] == [8, 4, 4, 4, 12]
        and set("".join(groups)) <= set(HEX)
        and re.fullmatch(r"[01][0-9]{6}", text[-7:], re.ASCII) is not None
    )


def has_a_date(text: str) -> bool:
    try:
        datetime.strptime("20" + text[-6:], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True
