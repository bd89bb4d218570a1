# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Each operator of a rules file does what its page says, for annotations of all types."""

import json
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.rules_files import matches, throttler_of

ODD_VALUES: list[Any] = [None, True, 0, 1.5, [], ["x"], {}, {"a": 1}, "", "\0", "\ud800", "9" * 5000, "x" * 100_000]


@pytest.mark.parametrize(
    ("condition", "values", "others"),
    [
        ('equals = "beta"', ["beta"], ["Beta", "beta ", "", ["beta"]]),
        ('equals = "beta"\nignore_case = true', ["beta", "BETA"], ["betas"]),
        ("equals = 0", ["0", 0], ["00", "0.0", False, ""]),
        ("equals = true", ["true", True], ["True", 1, "1"]),
        ('in = ["a", "b", 3]', ["a", "b", "3", 3], ["c", "", "ab"]),
        ('in = ["A"]\nignore_case = true', ["a", "A"], ["b"]),
        ('starts_with = "nightly"', ["nightly", "nightly-x"], ["Nightly", "x-nightly", ""]),
        ('starts_with = ["52.", "53."]', ["52.0", "53.1"], ["5", "152."]),
        ('ends_with = ".exe"\nignore_case = true', ["a.exe", "A.EXE"], ["exe", "a.exe "]),
        ('contains = "foo"', ["foo", "a foo b"], ["fo", "FOO"]),
        ('contains = ["foo", "bar"]', ["a bar"], ["baz"]),
        ('matches = "[0-9]+"', ["1", "123", 5], ["", "a1", "1\n", "1.5"]),
        ('matches = "^v[0-9]+$"', ["v1"], ["v1\n", "xv1"]),
        ('matches = "(a|b)*c"\nignore_case = true', ["c", "abC"], ["ab"]),
        ("exists = true", ["", "x", None, 0], []),
        ("at_most = 9600", ["9600", "7601", "-1", "9.6e3", 7], ["9601", "x", "", "0x10", None]),
        ("more_than = 1.5", ["1.6", "2"], ["1.5", "1", "nan", "inf", "1_0"]),
        ("at_least = 5\nless_than = 10", ["5", "9.99"], ["4", "10"]),
        ('less_than = "1.10"', ["1.9", "1.10b2", "v1.9.9"], ["1.10", "1.10.0", "1.11", "2", "x", ""]),
        ('at_least = "2.0.0"', ["2", "2.0", "2.0.0+build5", "10.0"], ["2.0.0-rc.1", "1.99"]),
        ("less_than = 2026-01-01", ["20251231235959", "2025-12-31T23:00:00Z", "1735689600"], ["20260101000000", "x"]),
        ("older_than_days = 730", ["20241122000000", "20241122", "2024-11-22"], ["20241123000000", "20249999", ""]),
        ('sorts_before = "20171226"', ["20171225", "", "1"], ["20171226", "3", "x"]),
    ],
)
def test_operator_on_an_annotation(condition: str, values: list[Any], others: list[Any]) -> None:
    condition = f'annotation = "A"\n{condition}'

    def now() -> datetime:
        return datetime(2026, 11, 22, 12, tzinfo=UTC)

    assert [value for value in values if not matches(condition, {"A": value}, now=now)] == []
    assert [value for value in others if matches(condition, {"A": value}, now=now)] == []
    assert not matches(condition, {"B": "beta"}, now=now)


@pytest.mark.parametrize(
    ("condition", "values", "others"),
    [
        ('equals = "1"', ["1"], [1, True, [1]]),
        ("equals = 1", [1, 1.0], ["1", True]),
        ("equals = true", [True], [1, "true"]),
        ('in = ["x", 5, false]', ["x", 5, False], ["5", 0, True]),
        ('starts_with = "ab"', ["abc"], [["abc"], 5]),
        ('matches = "a+"', ["aa"], ["b", 5]),
        ('equals = "A"\nignore_case = true', ["a"], [5]),
        ("at_most = 9600", [9600, -1, 9.5], ["9600", True, None, 9601]),
        ('at_least = "1.2"', ["1.2"], [2, "1.1"]),
        ("less_than = 2026-01-01", ["2025-01-01"], [20250101, "2026-01-01"]),
        ('type = "integer"', [5, 0], [5.0, True, "5"]),
        ('type = "number"', [5, 5.5], [True, "5"]),
        ('type = "boolean"', [True, False], [0, "true"]),
        ('type = "text"', ["", "x"], [5]),
        ('type = "list"', [[]], [{}, "[]"]),
        ('type = "object"', [{}], [[], "{}"]),
        ("exists = true", [0, "", False, []], [None]),
        ("absent = true", [None], [0, ""]),
        ("exists = false", [None], [0, ""]),
    ],
)
def test_operator_on_a_value_inside_json(condition: str, values: list[Any], others: list[Any]) -> None:
    condition = f'annotation = "T"\npath = "a.b"\n{condition}'

    def crash(value: Any) -> dict[str, str]:
        return {"T": json.dumps({"a": {"b": value}})}

    assert [value for value in values if not matches(condition, crash(value))] == []
    assert [value for value in others if matches(condition, crash(value))] == []


@pytest.mark.parametrize("condition", ['equals = "x"', 'in = ["x"]', 'starts_with = "x"', 'contains = "x"'])
def test_the_case_of_a_long_text_is_not_changed(condition: str) -> None:
    """Changing it would take a dozen bytes for each character."""
    text = "\N{GRINNING FACE}" + "X" * 4_000_000
    tracemalloc.start()
    try:
        assert not matches(f'annotation = "T"\n{condition}\nignore_case = true', {"T": text})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ('"a.b"', '{"a": {"b": 1}}', True),
        ('["a", "b"]', '{"a": {"b": 1}}', True),
        ('["a.b"]', '{"a.b": 1}', True),
        ('"a.1"', '{"a": [0, 1]}', True),
        ('"a.1"', '{"a": {"1": 1}}', True),
        ('"a.2"', '{"a": [0, 1]}', False),
        ('"a.-1"', '{"a": [0, 1]}', False),
        ('"a"', "[]", False),
        ('"a.b"', '{"a": "b"}', False),
        ('"a"', "{", False),
        ('"a"', "", False),
        ('"a"', "[" * 100_000, False),
        ('"a"', '{"a": ' + "9" * 5000 + "}", False),
        ('"a"', '{"a": 1, "b": "' + "x" * 600_000 + '"}', False),
        ('"a"', '{"a": 1, "b": [' + ",".join(["0"] * 50_000) + "]}", False),
    ],
)
def test_path_into_json(path: str, text: str, expected: bool) -> None:
    assert matches(f'annotation = "T"\npath = {path}\nequals = 1', {"T": text}) is expected


def test_json_that_came_as_json() -> None:
    assert matches('annotation = "T"\npath = "a.b"\nequals = 1', {"T": {"a": {"b": 1}}})


@pytest.mark.parametrize(
    ("key", "crash", "value"),
    [
        ("product", {"_productName": "Game"}, "Game"),
        ("version", {"ver": "1.2"}, "1.2"),
        ("channel", {"channel": "beta"}, "beta"),
        ("process_type", {"ptype": "gpu-process"}, "gpu-process"),
        ("platform", {"platform": "win32"}, "win32"),
        ("package", {"Android_PackageName": "org.example"}, "org.example"),
        ("user_agent", {"metadata": {"user_agent": "Crashpad/1.0"}}, "Crashpad/1.0"),
        ("ProductName", {"ProductName": "Game"}, "Game"),
        ("metadata", {"metadata": {"payload": 5}}, '{\\"payload\\":5}'),
    ],
)
def test_keys(key: str, crash: dict[str, Any], value: str) -> None:
    assert matches(f'key = "{key}"\nequals = "{value}"', crash)
    assert not matches(f'key = "{key}"\nexists = true', {})
    assert matches(f'key = "{key}"\nabsent = true', {})


def test_annotation_that_is_called_like_a_key() -> None:
    assert matches('annotation = "product"\nequals = "x"', {"product": "x", "ProductName": "y"})
    assert not matches('key = "product"\nequals = "x"', {"product": "x", "ProductName": "y"})


@pytest.mark.parametrize("value", ["", None])
def test_product_that_is_empty_or_null_is_absent(value: Any) -> None:
    assert matches('key = "product"\nabsent = true', {"ProductName": value})


def test_combinations() -> None:
    both = 'all = [{ annotation = "a", equals = "1" }, { annotation = "b", equals = "1" }]'
    either = both.replace("all", "any")
    neither = f"not = {{ {either} }}"
    for a, b in [("1", "1"), ("1", "0"), ("0", "1"), ("0", "0")]:
        crash = {"a": a, "b": b}
        assert matches(both, crash) is (a == b == "1")
        assert matches(either, crash) is ("1" in (a, b))
        assert matches(neither, crash) is ("1" not in (a, b))


def test_not_is_true_of_what_is_absent() -> None:
    assert matches('not = { annotation = "a", equals = "1" }', {})


LISTS = 'products = ["Game", "Launcher"]\npackages = { Game = ["org.example.game"] }'


@pytest.mark.parametrize(
    ("condition", "crash", "expected"),
    [
        ('key = "product"\nlisted = true', {"prod": "Game"}, True),
        ('key = "product"\nlisted = false', {"prod": "Game"}, False),
        ('key = "product"\nlisted = false', {"prod": "game"}, True),
        ('key = "product"\nlisted = false', {}, True),
        ('key = "package"\nlisted = false', {"prod": "Game"}, True),
        ('key = "package"\nlisted = false', {"prod": "Game", "Android_PackageName": "org.example.fork"}, True),
        ('key = "package"\nlisted = false', {"prod": "Game", "Android_PackageName": "org.example.game"}, False),
        ('key = "package"\nlisted = false', {"prod": "Launcher"}, False),
    ],
)
def test_listed(condition: str, crash: dict[str, Any], expected: bool) -> None:
    assert matches(condition, crash, LISTS) is expected


def test_without_lists_everything_is_listed() -> None:
    assert matches('key = "product"\nlisted = true', {"prod": "Anything"})
    assert matches('key = "package"\nlisted = true', {"prod": "Anything"})


@pytest.mark.parametrize(
    "operator", ['equals = "x"', 'in = ["x"]', 'starts_with = "y"', 'matches = ".+z"', "at_most = 3"]
)
@pytest.mark.parametrize("path", ["", 'path = "a"'])
def test_no_value_makes_a_rule_raise(operator: str, path: str, caplog: pytest.LogCaptureFixture) -> None:
    throttler = throttler_of(f'[[rules]]\nname = "it"\nannotation = "A"\n{path}\n{operator}\nresult = "ACCEPT"')

    for value in ODD_VALUES:
        throttler.throttle({"A": value})
        throttler.throttle({"A": {"a": value}})

    assert not [record for record in caplog.records if "raised" in record.getMessage()]


@pytest.mark.parametrize(
    "condition",
    [
        f"contains = {json.dumps([f'{number} text' for number in range(1_000)])}",
        f"in = {json.dumps([f'{number} text' for number in range(1_000)])}\nignore_case = true",
        'equals = "a"\nignore_case = true',
        'matches = "(a|aa)+b"',
        'at_least = "1.2"',
        "at_least = 5",
        "older_than_days = 5",
    ],
)
def test_large_values_cost_little(condition: str) -> None:
    throttler = throttler_of(f'[[rules]]\nname = "it"\nannotation = "A"\n{condition}\nresult = "ACCEPT"')

    for value in ("a" * 20_000_000, "1" * 20_000_000, "1." * 50_000):
        start = time.process_time()
        throttler.throttle({"A": value})
        assert time.process_time() - start < 0.25
