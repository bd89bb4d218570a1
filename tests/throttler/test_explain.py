# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""An explanation shows the values that each rule saw, and every result that a draw may have."""

from collections import Counter
from typing import Any

import pytest

from antenna.throttler import ACCEPT, Rule, always_match
from antenna.throttler.explain import Explanation, explain
from tests.support.rules_files import throttler_of
from tests.support.server import PROJECT_ROOT
from tests.throttler.conftest import BuildThrottler

SAMPLING = """
[[rules]]
name = "first"
percentage = 20
chosen = "CONTINUE"
otherwise = "REJECT"
[[rules]]
name = "second"
key = "channel"
in = ["beta", "release"]
percentage = 50
chosen = "ACCEPT"
otherwise = "DEFER"
{by}
[[rules]]
name = "third"
key = "channel"
equals = "nightly"
result = "ACCEPT"
"""


def explained(text: str, crash: dict[str, Any]) -> Explanation:
    return explain(throttler_of(text), crash)


@pytest.mark.parametrize(
    ("crash", "verdict"),
    [
        ({"channel": "beta"}, "80 % REJECT by first, 10 % ACCEPT by second, 10 % DEFER by second"),
        ({"channel": "nightly"}, "80 % REJECT by first, 20 % ACCEPT by third"),
        ({}, "80 % REJECT by first, 20 % REJECT by NO_MATCH"),
    ],
)
def test_both_ways_of_a_draw(crash: dict[str, Any], verdict: str) -> None:
    assert explained(SAMPLING.format(by=""), crash).verdict == verdict


def test_what_is_chosen_by_a_value_is_not_drawn() -> None:
    text = SAMPLING.format(by='sample_by = "client"')
    throttler = throttler_of(text)
    verdicts = Counter(explain(throttler, {"channel": "beta", "client": f"client {n}"}).verdict for n in range(50))

    assert set(verdicts) == {
        "80 % REJECT by first, 20 % ACCEPT by second",
        "80 % REJECT by first, 20 % DEFER by second",
    }
    assert explained(text, {"channel": "beta"}).verdict.count("second") == 2


def test_the_verdict_is_what_the_throttler_decides() -> None:
    text = (PROJECT_ROOT / "docs" / "examples" / "mozilla.toml").read_text(encoding="utf-8")
    throttler = throttler_of(text)
    for crash in ({"ProductName": "Game"}, {"ProductName": "Firefox", "ReleaseChannel": "beta"}, {}):
        result, rule, _ = throttler.throttle(crash)
        assert explain(throttler, crash).verdict == f"{result.name} by {rule}"


def test_what_a_rule_saw() -> None:
    text = """
        [[rules]]
        name = "one"
        annotation = "Channel"
        equals = "beta"
        result = "ACCEPT"
        [[rules]]
        name = "two"
        all = [
            { key = "product", equals = "Game" },
            { any = [{ annotation = "T", path = "a.b", at_most = 5 }, { not = { annotation = "X", exists = true } }] },
            { annotation = "Y", absent = true },
        ]
        result = "REJECT"
    """
    steps = explained(text, {"prod": "Game", "Channel": "nightly", "T": '{"a": {"b": 7}}', "X": "x" * 500}).steps

    assert [(step.rule_name, step.matches) for step in steps] == [("one", False), ("two", False)]
    assert steps[0].seen == 'Channel is "nightly"; equals beta: no'
    assert steps[1].seen == (
        'all of (product is "Game"; equals Game: yes | any of (T:a.b is 7; at_most 5: no | '
        f'not (X is "{"x" * 59}...; exists: yes)))'
    )


def test_rules_in_python(build_throttler: BuildThrottler) -> None:
    steps = explain(build_throttler(), {"ProductName": "Firefox", "ProcessType": "gpu"}).steps

    seen = {step.rule_name: (step.matches, step.seen) for step in steps}
    assert seen["is_background"][0]
    assert seen["is_background"][1].startswith("ProcessType is 'gpu'; ")
    assert seen["has_comments"] == (False, "Comments is absent")
    assert seen["unsupported_product"] == (
        False,
        "There is a list of supported products, and the product is not on it.",
    )
    assert steps[-1].rule_name == "is_background"


def test_a_rule_that_raises(build_throttler: BuildThrottler) -> None:
    def fail(_throttler: object, _crash: object) -> bool:
        raise ValueError("secret")

    explanation = explain(
        build_throttler(rules=[Rule("bad", "*", fail, ACCEPT), Rule("x", "*", always_match, ACCEPT)]), {}
    )

    assert explanation.steps[0].seen == "raised ValueError: skipped"
    assert explanation.verdict == "ACCEPT by x"
