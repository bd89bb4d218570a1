# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The product, version and so on of a crash are found under all the names that clients use."""

from typing import Any

import pytest

from antenna.crash.identity import identify, product_of, to_text, version_of
from antenna.throttler.crash_view import CrashView
from antenna.throttler.crash_view import product_of as product_of_view


@pytest.mark.parametrize(
    ("annotations", "product"),
    [
        ({"ProductName": "Firefox"}, "Firefox"),
        ({"ProductName": "Firefox", "_productName": "Electron App", "prod": "Electron"}, "Firefox"),
        ({"_productName": "Electron App", "prod": "Electron"}, "Electron App"),
        ({"prod": "Chrome_Linux"}, "Chrome_Linux"),
        ({"ProductName": "", "_productName": None, "prod": "Game"}, "Game"),
        ({"ProductName": None, "prod": "Game"}, "Game"),
        ({"ProductName": "null", "prod": "Game"}, "null"),
        ({"ProductName": " ", "prod": "Game"}, " "),
        ({"ProductName": 0, "prod": "Game"}, "0"),
        ({"ProductName": ["a"]}, '["a"]'),
        ({"productname": "Game"}, ""),
        ({}, ""),
    ],
)
def test_product(annotations: dict[str, Any], product: str) -> None:
    assert product_of(annotations) == product
    assert product_of_view(annotations) == product
    assert product_of_view(CrashView(annotations)) == product


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("version", ["Version", "_version", "ver"]),
        ("channel", ["ReleaseChannel", "channel"]),
        ("process_type", ["ProcessType", "ptype", "process_type"]),
        ("platform", ["plat", "platform"]),
    ],
)
def test_names_in_order(what: str, names: list[str]) -> None:
    annotations = {name: f"of {name}" for name in names}
    for name in names:
        assert identify(annotations, what) == f"of {name}"
        annotations[name] = ""
    assert identify(annotations, what) == ""


def test_version() -> None:
    assert version_of({"ver": "1.2"}) == "1.2"


def test_text_of_a_value_without_json_text() -> None:
    assert to_text(10**10_000) == ""


@pytest.mark.parametrize("value", [["x" * 600_000], {"x" * 600_000: 0}, [[]] * 100_000, [{"a": 1}] * 50_000])
def test_a_large_value_has_no_text(value: object) -> None:
    assert to_text(value) == ""


def test_a_text_has_any_size() -> None:
    assert to_text("x" * 10_000_000) == "x" * 10_000_000
