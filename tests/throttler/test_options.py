# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The values of the options are checked at the start. The error names the option, the value and what is wrong."""

import hashlib
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
    """The name of a module with a team's own rules."""
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
        ("RULES", "MyApp,MyLauncher", "dotted path"),
        ("RULES", "no_such_file.toml", "no_such_file.toml cannot be read: No such file"),
        ("RULES", "/etc", "/etc cannot be read: Is a directory"),
        ("PRODUCTS", ",", "it has no names"),
        ("PRODUCTS", "My.App", "a single name with a dot in it needs a comma behind it"),
        ("PRODUCTS", "dir/no_such_file", "cannot be read"),
        ("PRODUCT_PACKAGENAMES", "MyApp:", "'MyApp:' does not have this form"),
        ("PRODUCT_PACKAGENAMES", ":org.example", "does not have this form"),
        ("PRODUCT_PACKAGENAMES", "A:b;A:c", "'A' occurs twice"),
        ("PRODUCT_PACKAGENAMES", "MyApp", "Product:package package;Other:package"),
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


@pytest.mark.parametrize(
    ("value", "products"),
    [
        ("MyApp,MyLauncher", ["MyApp", "MyLauncher"]),
        (" My App , My.Launcher,", ["My App", "My.Launcher"]),
        ("MyApp", ["MyApp"]),
        ("Firefox Enterprise", ["Firefox Enterprise"]),
        ("My.App,", ["My.App"]),
        ("antenna.throttler.ALL_PRODUCTS", []),
    ],
)
def test_products_by_name(value: str, products: list[str]) -> None:
    assert list(throttler_for(PRODUCTS=value).products) == products


@pytest.mark.parametrize(
    ("value", "packages"),
    [
        ("MyApp:com.example.app", {"MyApp": ("com.example.app",)}),
        (
            "MyApp:com.example.app com.example.beta; Other : org.example.other,org.example.more ;",
            {
                "MyApp": ("com.example.app", "com.example.beta"),
                "Other": ("org.example.other", "org.example.more"),
            },
        ),
        ("antenna.throttler.ALL_PRODUCT_PACKAGENAMES", {}),
    ],
)
def test_packages_by_name(value: str, packages: dict[str, tuple[str, ...]]) -> None:
    assert throttler_for(PRODUCT_PACKAGENAMES=value).product_packagenames == packages


RULES_FILE = """
[[rules]]
name = "others"
key = "product"
listed = false
result = "REJECT"
[[rules]]
name = "ours"
result = "ACCEPT"
"""


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(f'products = ["Game"]\npackages = {{ Game = ["org.example"] }}\n{RULES_FILE}')
    return path


def test_rules_file(rules_file: Path) -> None:
    throttler = throttler_for(RULES=str(rules_file))

    assert throttler.products == ("Game",)
    assert throttler.product_packagenames == {"Game": ("org.example",)}
    assert throttler.throttle({"ProductName": "Firefox"}) == (REJECT, "others", 100)
    assert throttler.throttle({"prod": "Game"}) == (ACCEPT, "ours", 100)


def test_rules_file_by_a_relative_path(rules_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(rules_file.parent)

    assert throttler_for(RULES="rules.toml").products == ("Game",)
    assert throttler_for(RULES="./rules.toml").products == ("Game",)


def test_rules_file_without_lists_allows_every_product(rules_file: Path) -> None:
    rules_file.write_text(RULES_FILE)

    assert throttler_for(RULES=str(rules_file)).throttle({"prod": "Anything"}) == (ACCEPT, "ours", 100)


def test_lists_of_the_options_beside_a_rules_file_without(rules_file: Path) -> None:
    rules_file.write_text(RULES_FILE)
    throttler = throttler_for(RULES=str(rules_file), PRODUCTS="Launcher", PRODUCT_PACKAGENAMES="Launcher:a.b")

    assert throttler.products == ("Launcher",)
    assert throttler.product_packagenames == {"Launcher": ("a.b",)}


def test_products_and_packages_of_a_rules_file_beside_python_rules(rules_file: Path) -> None:
    throttler = throttler_for(PRODUCTS=str(rules_file), PRODUCT_PACKAGENAMES=str(rules_file))

    assert list(throttler.rule_set) == MOZILLA_RULES
    assert throttler.products == ("Game",)
    assert throttler.product_packagenames == {"Game": ("org.example",)}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("PRODUCTS", "Game"),
        ("PRODUCTS", "antenna.throttler.MOZILLA_PRODUCTS"),
        ("PRODUCT_PACKAGENAMES", "Game:org.example"),
        ("PRODUCT_PACKAGENAMES", "antenna.throttler.MOZILLA_PRODUCT_PACKAGENAMES"),
    ],
)
def test_lists_in_both_places(rules_file: Path, option: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        throttler_for(RULES=str(rules_file), **{option: value})

    assert f"BREAKPAD_THROTTLER_{option} has a bad value '{value}'" in str(raised.value)
    assert "give them in one place" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "rules.toml has no rules"),
        (b"\n\xff", "line 2: not UTF-8"),
        (b'[[rules]]\nname = "a"\nresult = "OK"', "rules.toml, line 3, rule 'a': result takes one of"),
    ],
)
def test_bad_rules_file(rules_file: Path, content: bytes, problem: str) -> None:
    rules_file.write_bytes(content)

    with pytest.raises(ConfigurationError) as raised:
        throttler_for(RULES=str(rules_file))

    assert "BREAKPAD_THROTTLER_RULES has a bad value" in str(raised.value)
    assert problem in str(raised.value)


def test_byte_order_mark(rules_file: Path) -> None:
    rules_file.write_bytes(b"\xef\xbb\xbf" + rules_file.read_bytes().replace(b"\n", b"\r\n"))

    assert throttler_for(RULES=str(rules_file)).products == ("Game",)


def test_which_rules_decide(rules_file: Path) -> None:
    policy = throttler_for(RULES=str(rules_file)).policy

    digest = hashlib.sha256(rules_file.read_bytes()).hexdigest()
    assert (policy.name, policy.digest) == (str(rules_file), digest)
    assert policy.label == f"rules.toml@{digest[:12]}"
    assert throttler_for().policy.label.startswith("antenna.throttler.MOZILLA_RULES@")
    assert throttler_for(PRODUCTS="Game").policy.digest != throttler_for().policy.digest
