# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""If something is wrong with a rule, an error says so when the rule is made, not when a crash comes."""

# ruff: noqa: ARG001, ARG005 - conditions are all called with the same parameters

import random
from typing import Any

import pytest

from antenna.throttler import ACCEPT, CONTINUE, DEFER, FAKEACCEPT, REJECT, Result, Rule


def always(throttler: object, value: Any) -> bool:
    return True


class Returns(random.Random):
    """Draws the same number each time."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


def test_results_are_the_numbers_in_crash_ids_and_rule_modules() -> None:
    assert [ACCEPT, DEFER, REJECT, FAKEACCEPT, CONTINUE] == [0, 1, 2, 3, 4]
    assert [result.name for result in Result] == ["ACCEPT", "DEFER", "REJECT", "FAKEACCEPT", "CONTINUE"]


@pytest.mark.parametrize("rule_name", ["x", "has_old_buildid", "0", "_", "CamelCase9"])
def test_rule_name(rule_name: str) -> None:
    assert Rule(rule_name, "*", always, ACCEPT).rule_name == rule_name


@pytest.mark.parametrize(
    "rule_name", ["", "o o", "name\n", "\nname", "o.o", "rule-name", "n\N{LATIN SMALL LETTER E WITH ACUTE}", "\ud800"]
)
def test_bad_rule_name(rule_name: str) -> None:
    with pytest.raises(ValueError, match="rule name"):
        Rule(rule_name, "*", always, ACCEPT)


@pytest.mark.parametrize(("rule_name", "key"), [(None, "*"), (5, "*"), (b"x", "*"), ("x", None), ("x", 5)])
def test_name_and_key_are_strings(rule_name: Any, key: Any) -> None:
    with pytest.raises(TypeError):
        Rule(rule_name, key, always, ACCEPT)


@pytest.mark.parametrize("condition", [None, "always", True])
def test_condition_that_cannot_be_called(condition: Any) -> None:
    with pytest.raises(TypeError, match="cannot be called"):
        Rule("x", "*", condition, ACCEPT)


@pytest.mark.parametrize(
    "result",
    [*Result, (10, ACCEPT, REJECT), (0, ACCEPT, REJECT), (100, CONTINUE, REJECT), (0.5, DEFER, FAKEACCEPT)],
)
def test_result(result: Any) -> None:
    assert Rule("x", "*", always, result).result == result


@pytest.mark.parametrize(
    ("number", "result"), [(2, REJECT), ((10, 0, 2), (10, ACCEPT, REJECT)), ((1, 4, 1), (1, CONTINUE, DEFER))]
)
def test_results_by_their_numbers(number: Any, result: Any) -> None:
    rule = Rule("x", "*", always, number)

    assert rule.result == result
    assert all(isinstance(each, Result) for each in rule.results)


@pytest.mark.parametrize(
    "result",
    [
        None,
        5,
        True,
        "ACCEPT",
        (),
        (ACCEPT, REJECT),
        (10, ACCEPT),
        (10, ACCEPT, REJECT, REJECT),
        (10, ACCEPT, 5),
        (10, None, REJECT),
        (-1, ACCEPT, REJECT),
        (100.1, ACCEPT, REJECT),
        (float("nan"), ACCEPT, REJECT),
        (True, ACCEPT, REJECT),
        ("10", ACCEPT, REJECT),
        [10, ACCEPT, REJECT],
    ],
)
def test_bad_result(result: Any) -> None:
    with pytest.raises(ValueError, match="percentage from 0 to 100"):
        Rule("x", "*", always, result)


def test_rule_on_an_annotation_sees_its_value() -> None:
    rule = Rule("x", "Channel", lambda throttler, value: value == "beta", ACCEPT)

    assert rule.match(None, {"Channel": "beta"})
    assert not rule.match(None, {"Channel": "release"})


def test_rule_on_an_annotation_does_not_match_where_it_is_absent() -> None:
    rule = Rule("x", "Channel", always, ACCEPT)

    assert rule.match(None, {"Channel": ""})
    assert not rule.match(None, {"channel": "beta"})


def test_rule_on_the_whole_crash_sees_all_of_it() -> None:
    rule = Rule("x", "*", lambda throttler, crash: crash == {"a": "1", "b": "2"}, ACCEPT)

    assert rule.match(None, {"a": "1", "b": "2"})
    assert not rule.match(None, {"a": "1", "*": "x"})


def test_condition_gets_the_throttler() -> None:
    throttler = object()

    assert Rule("x", "*", lambda given, crash: given is throttler, ACCEPT).match(throttler, {})


@pytest.mark.parametrize(
    ("percentage", "drawn", "expected"),
    [
        (0, 0.0, REJECT),
        (10, 0.0, ACCEPT),
        (10, 0.0999, ACCEPT),
        (10, 0.1, REJECT),
        (99.5, 0.994, ACCEPT),
        (99.5, 0.996, REJECT),
        (100, 0.999999, ACCEPT),
    ],
)
def test_sample(percentage: float, drawn: float, expected: Result) -> None:
    rule = Rule("x", "*", always, (percentage, ACCEPT, REJECT))

    assert rule.decide(Returns(drawn)) == (expected, percentage)


def test_result_without_a_sample_goes_by_100_percent() -> None:
    assert Rule("x", "*", always, DEFER).decide(Returns(0.999999)) == (DEFER, 100)


def by_client(percentage: float, name: str = "x") -> Rule:
    return Rule(name, "*", always, (percentage, ACCEPT, REJECT), sample_by="client")


CLIENTS = 4_000


def chosen(rule: Rule) -> set[int]:
    """Return the clients that are chosen. Draws have no influence on that."""
    draw = Returns(0.5)
    return {number for number in range(CLIENTS) if rule.decide(draw, {"client": f"{number:x}"})[0] is ACCEPT}


@pytest.mark.parametrize("percentage", [0, 1, 10, 50, 99, 100])
def test_sample_by_a_value_keeps_its_percentage(percentage: float) -> None:
    expected = CLIENTS * percentage / 100
    deviation = (expected * (1 - percentage / 100)) ** 0.5

    assert abs(len(chosen(by_client(percentage))) - expected) <= 4 * deviation


def test_sample_by_a_value_is_stable_and_grows() -> None:
    ten, twenty, other = chosen(by_client(10)), chosen(by_client(20)), chosen(by_client(10, "y"))

    assert chosen(by_client(10)) == ten
    assert ten < twenty
    # A tenth of another rule's choice is in both: 40, with a standard deviation of 6.
    assert 15 < len(ten & other) < 65


@pytest.mark.parametrize("crash", [{}, {"client": ""}])
def test_sample_by_a_value_that_is_absent_is_drawn(crash: dict[str, Any]) -> None:
    assert by_client(10).decide(Returns(0.05), crash) == (ACCEPT, 10)
    assert by_client(10).decide(Returns(0.95), crash) == (REJECT, 10)


def test_the_draw_of_a_value_does_not_change_with_versions_of_the_collector() -> None:
    draw = by_client(10).fixed_draw({"client": "5e1286fc-da97-479e-918b-6bfb0c3d1c72"})

    assert draw == pytest.approx(0.562495840519278, abs=1e-12)
