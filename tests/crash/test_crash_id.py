# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Crash ids have one exact shape, carry result and date, and never repeat."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest

from antenna.crash import crash_id
from antenna.throttler import ACCEPT, CONTINUE, DEFER, FAKEACCEPT, REJECT, Result

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
VALID = "de1bb258-cbbf-4589-a673-34f800160918"


@pytest.mark.parametrize(("result", "digit"), [(ACCEPT, "0"), (DEFER, "1"), (FAKEACCEPT, "0"), (0, "0"), (1, "1")])
def test_minted_id_is_a_uuid4_that_ends_in_result_and_date(result: int, digit: str) -> None:
    minted = crash_id.mint(result, NOW)

    assert crash_id.is_valid(minted)
    assert minted.endswith(f"{digit}261122")
    assert uuid.UUID(minted).version == 4
    assert crash_id.result_of(minted) == int(digit)
    assert crash_id.date_of(minted) == "20261122"


@pytest.mark.parametrize("result", [REJECT, CONTINUE, 5, -1])
def test_rejected_crashes_get_no_id(result: int) -> None:
    with pytest.raises(ValueError, match="gets no crash id"):
        crash_id.mint(result, NOW)


@pytest.mark.parametrize(
    ("now", "date"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), "20260102"),
        (datetime(2026, 11, 22, 23, 30, tzinfo=timezone(timedelta(hours=-2))), "20261123"),
        (datetime(2027, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "20261231"),
        (datetime(2028, 2, 29, tzinfo=UTC), "20280229"),
    ],
)
def test_the_date_is_the_one_in_utc(now: datetime, date: str) -> None:
    assert crash_id.date_of(crash_id.mint(ACCEPT, now)) == date


def test_ids_minted_at_the_same_moment_differ() -> None:
    assert len({crash_id.mint(ACCEPT, NOW) for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize(
    "given",
    [
        VALID,
        "de1bb258-cbbf-4589-a673-34f801160918",
        "00000000-0000-0000-0000-000000280229",
        "ffffffff-ffff-ffff-ffff-fffff1991231",
    ],
)
def test_is_valid(given: str) -> None:
    assert crash_id.is_valid(given)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="empty"),
        pytest.param(VALID + "\n", id="trailing newline"),
        pytest.param(" " + VALID, id="leading space"),
        pytest.param("bp-" + VALID, id="prefix of the answer"),
        pytest.param(VALID.upper(), id="upper case"),
        pytest.param(VALID.replace("-", ""), id="no hyphens"),
        pytest.param("{" + VALID + "}", id="braces"),
        pytest.param(VALID[:-1], id="too short"),
        pytest.param(VALID + "0", id="too long"),
        pytest.param("de1bb258-cbbf-4589-a673-34f802160918", id="result 2"),
        pytest.param("de1bb258-cbbf-4589-a673-34f803160918", id="result 3"),
        pytest.param("de1bb258-cbbf-4589-a673-34f80a160918", id="result a letter"),
        pytest.param("de1bb258-cbbf-4589-a673-34f80016091a", id="date with a letter"),
        pytest.param("de1bb258-cbbf-4589-a673-34f800161318", id="month 13"),
        pytest.param("de1bb258-cbbf-4589-a673-34f800160018", id="month 0"),
        pytest.param("de1bb258-cbbf-4589-a673-34f800160900", id="day 0"),
        pytest.param("de1bb258-cbbf-4589-a673-34f800160931", id="31 September"),
        pytest.param("de1bb258-cbbf-4589-a673-34f800270229", id="29 February of a common year"),
        pytest.param("ge1bb258-cbbf-4589-a673-34f800160918", id="not hexadecimal"),
        pytest.param("de1bb258-cbbf-4589-a673-34f80016091\N{ARABIC-INDIC DIGIT EIGHT}", id="digit of another script"),
        pytest.param("../../../../../../../../../../../../", id="path"),
        pytest.param("\ud800" * 36, id="lone surrogates"),
        pytest.param("\0" * 36, id="NULs"),
    ],
)
def test_is_not_valid(given: str) -> None:
    assert not crash_id.is_valid(given)


@pytest.mark.parametrize("given", [5, 1.5, None, True, [VALID], {VALID: VALID}, VALID.encode(), uuid.UUID(VALID)])
def test_is_not_valid_if_not_a_string(given: object) -> None:
    assert not crash_id.is_valid(given)


def test_digits_are_the_throttler_s_results() -> None:
    assert Result(crash_id.result_of(crash_id.mint(ACCEPT, NOW))) is ACCEPT
    assert Result(crash_id.result_of(crash_id.mint(DEFER, NOW))) is DEFER
