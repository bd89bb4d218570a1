# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Regular expressions match what Python's match, in bounded time for any value that a client sends."""

import random
import re
import time

import pytest

from antenna.throttler.rules_file.regexes import MAX_VALUE_LENGTH, Pattern, PatternError

PATTERNS = [
    "",
    "a",
    "20[0-9]{12}",
    "a*",
    "a+?b",
    "(a|b)*c",
    "(a|aa)+",
    "(a*)*b",
    "(a|b|(c|d)+)?e",
    "x?y{2,3}",
    "(ab){2,}",
    "a{,2}",
    "[^a]+",
    "[]a]b",
    r"[\]x]+",
    r"\d+\.\d+",
    r"\w+@\w+",
    ".*foo.*bar.*",
    "(?:ab|a)(?:bc|c)",
    "a|",
    "(?i)Ab",
    "^ab$",
]


@pytest.mark.parametrize("text", PATTERNS)
def test_matches_as_python_s(text: str) -> None:
    draw = random.Random(text)
    pattern, python_s = Pattern(text), re.compile(text, re.DOTALL)
    values = ["".join(draw.choices("abcdefoxyr0129.@]AB", k=draw.randint(0, 8))) for _ in range(2_000)]

    assert [value for value in values if pattern.matches(value) is not bool(python_s.fullmatch(value))] == []


@pytest.mark.parametrize("text", ["ab", "(a|b)+"])
def test_the_whole_value_has_to_match(text: str) -> None:
    assert Pattern(text).matches("ab")
    assert [value for value in ("ab\n", "xab", "abx", "", "AB") if Pattern(text).matches(value)] == []
    assert Pattern(text, ignore_case=True).matches("AB")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(", "the ( at character 1 is not closed"),
        ("a)", "a ) too many at character 2"),
        ("[a", "is not closed"),
        ("*a", "has no place there"),
        ("a{", "has no place there"),
        ("a^b", "has no place there"),
        ("a$b", "has no place there"),
        ("a\\", "has no place there"),
        ("[b-a]", "bad character range"),
        ("a{3,1}", "is not a valid repeat"),
        ("a{0}", "is not a valid repeat"),
        ("(?=a)", "not supported"),
        ("(?<!a)b", "not supported"),
        ("(?P<name>a)", "not supported"),
        ("(?>a)", "not supported"),
        (r"(a)\1", "not supported"),
        (r"\bword\b", "not supported"),
        (r"\Aa", "not supported"),
        ("a**", "a repeat of a repeat"),
        ("a++", "a repeat of a repeat"),
        ("a{2}{3}", "a repeat of a repeat"),
        ("a{1000}", "too long"),
        ("(a{50}){50}", "too long"),
        ("(" * 40 + "a" + ")" * 40, "too many groups"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(PatternError, match=re.escape(problem)):
        Pattern(text)


@pytest.mark.parametrize(
    "text", ["(a*)*b", "(a|a)*b", "(a|aa)+b", "(.*)(.*)(.*)(.*)b", "(.*a.{60}){2}", "(x?){40}x{40}", "a*[ab]*a*[ab]*c"]
)
def test_no_value_takes_long(text: str) -> None:
    pattern = Pattern(text)
    draw = random.Random(1)
    values = ["a" * MAX_VALUE_LENGTH, "".join(draw.choices("abx", k=MAX_VALUE_LENGTH)), "x" * MAX_VALUE_LENGTH]

    for value in values:
        start = time.process_time()
        pattern.matches(value)
        assert time.process_time() - start < 0.25


def test_a_value_that_is_too_long_does_not_match() -> None:
    assert Pattern("a*").matches("a" * MAX_VALUE_LENGTH)
    assert not Pattern("a*").matches("a" * (MAX_VALUE_LENGTH + 1))


def test_what_is_remembered_is_bounded() -> None:
    pattern = Pattern("(a|.)*b")
    for start in range(0, 20_000, 1_000):
        pattern.matches("".join(map(chr, range(start + 0xE000, start + 0xE400))))

    assert pattern.remembered <= 5_000
