# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Versions, dates and numbers in texts compare as people expect. Other texts have no value."""

from datetime import date

import pytest

from antenna.throttler.rules_file.comparisons import read_date, read_number, read_version


@pytest.mark.parametrize(
    "versions",
    [
        ["0.9", "1", "1.0.1", "1.2", "1.9", "1.10", "2", "10.0"],
        ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"],
        ["110.0a1", "110.0b2", "110.0b10", "110.0", "110.0.1", "111.0a1"],
        ["120.0.6099.9", "120.0.6099.10", "120.0.6100"],
        ["1.2", "1.3-dev", "1.3"],
    ],
)
def test_versions_in_order(versions: list[str]) -> None:
    read = [read_version(version) for version in versions]

    assert None not in read
    assert read == sorted(read)  # type: ignore[type-var]
    assert len(set(read)) == len(read)


@pytest.mark.parametrize(
    "versions", [["1", "1.0", "1.0.0", "v1", "1.0+build.5"], ["1.0-RC1", "1-rc1", "1.0rc1", "1.0-rc.1"]]
)
def test_versions_that_are_the_same(versions: list[str]) -> None:
    assert len({read_version(version) for version in versions}) == 1


@pytest.mark.parametrize("text", ["", "x", "b1", ".5", "-1", " 1", "1" * 101, "\N{ARABIC-INDIC DIGIT ONE}"])
def test_no_version(text: str) -> None:
    assert read_version(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-5", -5),
        ("+5", 5),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("9" * 30, int("9" * 30)),
    ],
)
def test_number(text: str, number: float) -> None:
    assert read_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "x", "1_0", "0x10", "nan", "inf", " 1", "1 ", "1\n", "1,5", "9" * 101, "\N{ARABIC-INDIC DIGIT ONE}"]
)
def test_no_number(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "20261122",
        "2026-11-22",
        "20261122235959",
        "20261122999999",
        "202611222359",
        "2026-11-22T23:59:59.123456+00:00",
        "2026-11-22 23:59:59",
        "1795391999",
        "1795391999000",
    ],
)
def test_date(text: str) -> None:
    assert read_date(text) == date(2026, 11, 22)


@pytest.mark.parametrize(
    "text", ["", "x", "2026", "20261", "20261322", "20260230", "2026-11-22x", "20261122\n", "9" * 9, "9" * 200]
)
def test_no_date(text: str) -> None:
    assert read_date(text) is None
