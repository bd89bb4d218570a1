# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Regular expressions of searches: what they match, what is none, and that none takes long."""

import random
import re
import time

import pytest

from antenna.viewer.supersearch.patterns import Pattern, PatternError


def draw(generator: random.Random, depth: int = 0) -> str:
    """Return an expression that Python reads in the same way, and that takes it no more than a moment."""
    if depth > 2 or generator.random() < 0.3:
        return generator.choice(
            ("a", "b", "c", ".", "[ab]", "[^a]", "[a-c]", r"\w", r"\d", r"\.", "a?", "b*", "c+", "c{1,}")
        )
    inner = [draw(generator, depth + 1) for _ in range(generator.randrange(1, 4))]
    repeat = generator.choice(("", "", "?", "{2}", "{1,2}", "{0,2}", "+" if depth > 2 else "{0}"))
    return generator.choice(("".join(inner), f"({'|'.join(inner)}){repeat}"))


def test_expressions_match_what_python_s_match() -> None:
    generator = random.Random(3)
    matched = 0
    for _ in range(1000):
        expression = draw(generator)
        pattern = Pattern(expression)
        for _ in range(5):
            text = "".join(generator.choice("abc1.") for _ in range(generator.randrange(7)))
            expected = re.fullmatch(expression, text, re.DOTALL) is not None
            assert pattern.matches(text) == expected, (expression, text)
            matched += expected
    assert matched > 300


@pytest.mark.parametrize(
    ("expression", "matching", "others"),
    [
        ('"OOM | ".*" | ".*', ["OOM | large | Foo"], ["OOM | small", "x OOM | large | Foo"]),
        ("Foo", ["Foo"], ["Foo::Bar", "foo"]),
        ("Foo.*", ["Foo", "Foo::Bar\nx"], ["xFoo"]),
        ("^Foo$", ["^Foo$"], ["Foo"]),
        ("~Foo<T>&@#", ["~Foo<T>&@#"], ["Foo"]),
        (r"a\*\\", ["a*\\"], ["aa\\"]),
        (r"[\d\-\]a]+", ["1-]a"], ["b"]),
        ("[^a-c]", ["d", "-"], ["a", "dd"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("(a|)", ["a", ""], ["b"]),
        ("", [""], ["a"]),
        ('("ab"){2}', ["abab"], ["abb"]),
        ("Übung|größe", ["Übung", "größe"], ["ubung"]),
    ],
)
def test_what_stands_for_what(expression: str, matching: list[str], others: list[str]) -> None:
    pattern = Pattern(expression)
    assert [text for text in [*matching, *others] if pattern.matches(text)] == matching


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(", "a ( is not closed"),
        ("a)", "there is a ) without ("),
        ("[a", "a [ is not closed"),
        ("[", "a [ is not closed"),
        ('"a', 'a " is not closed'),
        ("a{", "a { is not followed by numbers and }"),
        ("a{x}", "a { is not followed by numbers and }"),
        ("a{3,2}", "{3,2} ends before it begins"),
        ("[z-a]", "[z-a] ends before it begins"),
        ("*a", "there is nothing in front of * that could be repeated"),
        ("(?i)a", "there is nothing in front of ? that could be repeated"),
        ("a\\", "there is nothing behind the last \\"),
        ("a{9999}", "it repeats too much"),
        ("a{99999999999}", "a { is not followed by numbers and }"),
        ("(a{50}){50}", "it repeats too much"),
        ("((a{0}){1000}){1000}", "it repeats too much"),
        ("(((){1000}){1000}){1000}", "it repeats too much"),
        ("(" * 60 + ")" * 60, "its brackets are nested too deep"),
        ("a" * 1001, "it has more than 1000 characters"),
    ],
)
def test_what_is_no_expression(expression: str, message: str) -> None:
    began = time.process_time()
    with pytest.raises(PatternError, match=re.escape(message)):
        Pattern(expression)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("expression", ["(a+)+b", "(a|aa)+b", "(a*)*b", "(a|b|ab)*c", "(.*a){20}b", "(((a*)*)*)*b"])
def test_no_expression_takes_long(expression: str) -> None:
    pattern = Pattern(expression.replace("b", "[b]").replace("c", "[c]"))
    began = time.process_time()
    assert not pattern.matches("a" * 20_000)
    assert time.process_time() - began < 2


def test_it_ends_when_there_is_no_more_time() -> None:
    def check() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        Pattern("a.*", check).matches("ab")
