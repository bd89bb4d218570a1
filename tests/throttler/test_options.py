# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What the options name is checked at the start, and the error says which option, what value and what is wrong."""

from pathlib import Path

import pytest

from antenna.config import ConfigurationError, build_config
from antenna.throttler import (
    ACCEPT,
    DEFER,
    MOZILLA_PRODUCT_PACKAGENAMES,
    MOZILLA_PRODUCTS,
    MOZILLA_RULES,
    REJECT,
    Throttler,
)

RULE_MODULE = """
from antenna.throttler import Rule, ACCEPT, DEFER, REJECT, FAKEACCEPT, CONTINUE, MOZILLA_RULES

def is_game(throttler, data):
    return data.get("ProductName") in throttler.products

RULES = [
    Rule("is_game", "*", is_game, DEFER),
    Rule("half", "Lives", lambda throttler, value: value == "9", (100, ACCEPT, REJECT)),
]
MORE_RULES = RULES + MOZILLA_RULES
PRODUCTS = ["Game"]
PRODUCT_PACKAGENAMES = {"Game": ["org.example.game"]}

GENERATED_RULES = (rule for rule in RULES)
NO_RULE_AMONG_THEM = [*RULES, "is_game"]
NAMES_IN_A_STRING = "Game"
NOT_ALL_NAMES = ["Game", 5]
PACKAGENAMES_IN_A_STRING = {"Game": "org.example.game"}
NOTHING = None
"""


@pytest.fixture
def rule_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a team's own module with rules."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "game_rules.py").write_text(RULE_MODULE)
    (tmp_path / "faulty_rules.py").write_text(
        "from antenna.throttler import *\nRULES = [Rule('o o', '*', len, ACCEPT)]"
    )
    return "game_rules"


def throttler_for(**options: str) -> Throttler:
    config = build_config({f"BREAKPAD_THROTTLER_{name}": value for name, value in options.items()})
    return Throttler(config.with_namespace("breakpad").with_namespace("throttler"))


def test_defaults_are_mozilla_s() -> None:
    throttler = throttler_for()

    assert list(throttler.rule_set) == MOZILLA_RULES
    assert list(throttler.products) == MOZILLA_PRODUCTS
    assert {product: list(names) for product, names in throttler.product_packagenames.items()} == (
        MOZILLA_PRODUCT_PACKAGENAMES
    )


def test_mozilla_s_names_can_be_given() -> None:
    throttler = throttler_for(
        RULES="antenna.throttler.ACCEPT_ALL",
        PRODUCTS="antenna.throttler.ALL_PRODUCTS",
        PRODUCT_PACKAGENAMES="antenna.throttler.MOZILLA_PRODUCT_PACKAGENAMES",
    )

    assert [rule.rule_name for rule in throttler.rule_set] == ["accept_everything"]
    assert throttler.products == ()


def test_own_rule_module(rule_module: str) -> None:
    throttler = throttler_for(
        RULES=f"{rule_module}.RULES",
        PRODUCTS=f"{rule_module}.PRODUCTS",
        PRODUCT_PACKAGENAMES=f"{rule_module}.PRODUCT_PACKAGENAMES",
    )

    assert throttler.throttle({"ProductName": "Game"}) == (DEFER, "is_game", 100)
    assert throttler.throttle({"ProductName": "Other", "Lives": 9}) == (ACCEPT, "half", 100)
    assert throttler.throttle({"ProductName": "Other", "Lives": 8}) == (REJECT, "NO_MATCH", 0)


def test_own_rules_in_front_of_mozilla_s(rule_module: str) -> None:
    throttler = throttler_for(RULES=f"{rule_module}.MORE_RULES")

    assert throttler.throttle({"ProductName": "Other"}) == (REJECT, "unsupported_product", 100)


@pytest.mark.usefixtures("rule_module")
@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("RULES", "rules", "dotted path"),
        ("RULES", "no_such_module.RULES", "no_such_module"),
        ("RULES", "antenna.throttler.NO_SUCH_RULES", "NO_SUCH_RULES"),
        ("RULES", "faulty_rules.RULES", "rule name 'o o'"),
        ("RULES", "game_rules.NOTHING", "list of antenna.throttler.Rule, not a NoneType"),
        ("RULES", "game_rules.is_game", "list of antenna.throttler.Rule, not a function"),
        ("RULES", "game_rules.GENERATED_RULES", "list of antenna.throttler.Rule, not a generator"),
        ("RULES", "game_rules.NO_RULE_AMONG_THEM", "item 3 is a str"),
        ("RULES", "antenna.throttler.MOZILLA_PRODUCTS", "item 1 is a str"),
        ("PRODUCTS", "antenna.throttler.NO_SUCH_PRODUCTS", "NO_SUCH_PRODUCTS"),
        ("PRODUCTS", "game_rules.NAMES_IN_A_STRING", "list of product names"),
        ("PRODUCTS", "game_rules.NOT_ALL_NAMES", "list of product names"),
        ("PRODUCTS", "game_rules.NOTHING", "list of product names"),
        ("PRODUCT_PACKAGENAMES", "no_such_module.PACKAGENAMES", "no_such_module"),
        ("PRODUCT_PACKAGENAMES", "game_rules.PRODUCTS", "mapping of product names"),
        ("PRODUCT_PACKAGENAMES", "game_rules.PACKAGENAMES_IN_A_STRING", "mapping of product names"),
    ],
)
def test_bad_value(option: str, value: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        throttler_for(**{option: value})

    message = str(raised.value)
    assert f"BREAKPAD_THROTTLER_{option}" in message
    assert value in message
    assert problem in message
