# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The error about a rules file names everything that is wrong, with the line and the rule."""

import re

import pytest

from antenna.throttler import ACCEPT, CONTINUE, DEFER, REJECT
from antenna.throttler.policy import Quota
from antenna.throttler.rules_file import RulesFileError, read_rules_file

GOOD = """\
products = ["OurGame", "OurLauncher"]

[packages]
OurGame = ["com.example.game"]

[quota]
per_minute = 100
otherwise = "reject"
name = "too_many"
[quota.products]
OurLauncher = 10

[[rules]]
name = "foreign"
comment = "Not ours"
link = "https://example.com/1"
key = "product"
listed = false
result = "REJECT"

[[rules]]
name = "sample"
percentage = 12.5
chosen = "continue"
otherwise = "DEFER"
sample_by = "client_id"

[[rules]]
name = "stopped"
all = [{ key = "version", equals = "1.0" }]
result = "REJECT"
stop_sending = true
remove = ["Comments"]
"""


def test_what_a_file_says() -> None:
    policy = read_rules_file(GOOD, "rules.toml")

    assert policy.products == ("OurGame", "OurLauncher")
    assert policy.product_packagenames == {"OurGame": ("com.example.game",)}
    assert policy.quota == Quota(100, {"OurLauncher": 10}, "too_many", REJECT)
    foreign, sample, stopped = policy.rules
    assert [rule.rule_name for rule in policy.rules] == ["foreign", "sample", "stopped"]
    assert (foreign.result, foreign.comment) == (REJECT, "Not ours https://example.com/1")
    assert (sample.result, sample.sample_by) == ((12.5, CONTINUE, DEFER), "client_id")
    assert (stopped.stop_sending, stopped.remove) == (True, ("Comments",))


def test_a_rule_on_one_annotation_has_it_as_its_key() -> None:
    (rule,) = read_rules_file('[[rules]]\nname = "a"\nannotation = "B"\nequals = "1"\nresult = "ACCEPT"', "f").rules

    assert (rule.key, rule.result) == ("B", ACCEPT)


@pytest.mark.parametrize("text", ["", "# nothing", 'products = ["A"]'])
def test_a_file_without_rules(text: str) -> None:
    assert read_rules_file(text, "rules.toml").rules == ()


def problem_of(text: str) -> str:
    with pytest.raises(RulesFileError) as raised:
        read_rules_file(text, "rules.toml")
    return str(raised.value)


@pytest.mark.parametrize(
    ("lines", "line", "problem"),
    [
        (['equal = "x"'], 4, "unknown key 'equal'; did you mean 'equals'?"),
        (['key = "channel"', 'begins_with = "x"'], 5, "unknown key 'begins_with'"),
        (['key = "channel"', 'equals = ["x"]'], 5, "equals takes a text, a number or true or false"),
        (['key = "channel"', 'in = "x"'], 5, "in takes a list"),
        (['key = "channel"', "in = []"], 5, "in takes a list"),
        (['key = "channel"', 'starts_with = ""'], 5, "starts_with takes a text"),
        (['key = "channel"', 'matches = "("'], 5, "matches the ( at character 1 is not closed"),
        (['key = "channel"', "matches = '(a)\\1'"], 5, "not supported"),
        (['key = "channel"', 'at_least = "x"'], 5, "at_least takes a number (9600), a version in quotes"),
        (['key = "channel"', "at_least = true"], 5, "at_least takes a number"),
        (['key = "channel"', "at_least = 2026-01-01T00:00:00Z"], 5, "at_least takes a number"),
        (['key = "channel"', "older_than_days = -1"], 5, "older_than_days takes a whole number from 0"),
        (['key = "channel"', 'type = "integer"'], 5, "type is for values inside JSON"),
        (['key = "channel"', 'path = "a"', 'type = "int"'], 6, "type takes one of text, integer"),
        (['key = "channel"', 'path = "a..b"', "exists = true"], 5, "path takes names with dots"),
        (['key = "channel"'], 4, "needs an operator, such as equals"),
        (['equals = "x"'], 4, "a condition needs a key, or an annotation"),
        (['key = "a"', 'annotation = "b"', 'equals = "x"'], 4, "a condition needs a key, or an annotation"),
        (['key = "channel"', 'exists = "yes"'], 5, "exists takes true or false"),
        (['key = "channel"', 'equals = "x"', "absent = true"], 6, "an absent annotation has no value"),
        (['key = "channel"', "exists = true", "absent = true"], 6, "give either exists or absent"),
        (['key = "channel"', "at_most = 5", "ignore_case = true"], 6, "ignore_case goes with one of"),
        (['key = "version"', "listed = true"], 5, "listed goes with key = 'product' or key = 'package'"),
        (['key = "channel"', 'equals = "x"', "all = [{}]"], 6, "all must be the only key"),
        (["all = []"], 4, "all takes a list of conditions"),
        (["all = [{}]"], 4, "all takes a list of conditions"),
        (["any = [{ key = 'channel', equal = 'x' }]"], 4, "unknown key 'equal'; did you mean 'equals'?"),
        (["not = []"], 4, "not takes a condition"),
        (['remove = "Comments"'], 4, "remove takes a list of names"),
        (["stop_sending = true"], 4, "goes only with a result REJECT"),
        (['sample_by = "client_id"'], 4, "goes only with percentage"),
        (["percentage = 5"], 4, "give either result, or percentage"),
        (['products = ["Game"]'], 4, "products belongs to the top of the file"),
        (["comment = 5"], 4, "comment takes a text"),
    ],
)
def test_what_is_wrong_with_a_rule(lines: list[str], line: int, problem: str) -> None:
    text = "\n".join(["# rules", "[[rules]]", 'name = "it"', *lines, 'result = "ACCEPT"'])

    assert problem_of(text).startswith(f"rules.toml, line {line}, rule 'it': ")
    assert problem in problem_of(text)


@pytest.mark.parametrize(
    ("rule", "line", "problem"),
    [
        ('name = "it"', 2, "a rule needs a result"),
        ('name = "it"\nresult = "KEEP"', 3, "result takes one of ACCEPT, DEFER, REJECT, FAKEACCEPT, CONTINUE"),
        ('name = "i t"\nresult = "ACCEPT"', 2, "rule name 'i t'"),
        ('name = "it"\npercentage = 10\nchosen = "ACCEPT"', 3, "needs otherwise, too"),
        ('name = "it"\npercentage = 101\nchosen = "ACCEPT"\notherwise = "DEFER"', 3, "percentage from 0 to 100"),
        ('name = "it"\npercentage = "10"\nchosen = "ACCEPT"\notherwise = "DEFER"', 3, "a number from 0 to 100"),
    ],
)
def test_what_is_wrong_with_results(rule: str, line: int, problem: str) -> None:
    assert re.match(rf"rules.toml, line {line}, rule '", problem_of(f"[[rules]]\n{rule}"))
    assert problem in problem_of(f"[[rules]]\n{rule}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("products = [", "rules.toml: Invalid value (at end of document)"),
        ('x = "\n', "line 1"),
        ('product = ["A"]', "rules.toml, line 1: unknown key 'product'; did you mean 'products'?"),
        ('\nproducts = "A"', "rules.toml, line 2: products: takes a list of names"),
        ('products = [""]', "rules.toml, line 1: products: takes a list of names"),
        ('[packages]\nA = "b"', "rules.toml, line 1: packages: takes a list of names"),
        ("packages = 5", "rules.toml, line 1: packages: takes a table"),
        ("[quota]\nper_minutes = 5", "rules.toml, line 1: quota: takes a table with per_minute"),
        ("[quota]\nper_minute = 5\nper_hour = 5", "quota: unknown key 'per_hour'"),
        ("[quota]\nper_minute = -1", "quota: takes a whole number"),
        ('[quota]\nper_minute = 1\notherwise = "ACCEPT"', "quota: otherwise is DEFER or REJECT"),
        ('[quota]\nper_minute = 1\nname = "a b"', "quota: rule name 'a b'"),
        ("[quota]\nper_minute = 1\nproducts = { A = 1 }", "quota: 'A' is not one of the products"),
        ("rules = 5", "rules: each is a table of its own"),
        ('[rules]\nname = "a"', "rules: each is a table of its own"),
        ('[[rules]]\nresult = "ACCEPT"', "rules.toml, line 1, rule number 1: a rule needs a name"),
        ("a = " + "[" * 100_000, "rules.toml: nested too deeply"),
        ("#" * 2_000_000, "rules.toml: longer than"),
    ],
)
def test_what_is_wrong_elsewhere(text: str, problem: str) -> None:
    assert problem in problem_of(text)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    problem = problem_of(
        'product = []\n[[rules]]\nname = "a"\nresult = "x"\n[[rules]]\nname = "b"\nresult = "ACCEPT"\n'
        '[[rules]]\nname = "b"\nresult = "ACCEPT"\n[quota]\nper_minute = 1\nname = "b"'
    )

    assert [part.partition(": ")[0] for part in problem.split("; ") if part.startswith("rules.toml")] == [
        "rules.toml, line 1",
        "rules.toml, line 4, rule 'a'",
        "rules.toml, line 9, rule 'b'",
        "rules.toml, line 11",
    ]


def test_lines_of_rules_that_are_no_tables_of_their_own() -> None:
    text = 'rules = [\n  { name = "a", result = "ACCEPT" },\n  { name = "b", result = "OK" },\n]'

    assert problem_of(text).startswith("rules.toml, line 3, rule 'b': result takes one of")


def test_a_text_that_looks_like_a_rule() -> None:
    text = '[[rules]]\nname = "a"\ncomment = """\n[[rules]]\n"""\nresult = "OK"'

    assert problem_of(text).startswith("rules.toml, line 2, rule 'a': result takes one of")


def test_conditions_nested_too_deeply() -> None:
    nested = 'not = { annotation = "A", equals = "1" }'
    for _ in range(30):
        nested = f"not = {{ {nested} }}"

    assert "nested too deeply" in problem_of(f'[[rules]]\nname = "a"\n{nested}\nresult = "ACCEPT"')
