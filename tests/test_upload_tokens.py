# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Upload tokens: where a client can put them, for which product they are, and that they are not logged or stored."""

from typing import Any

import pytest

from antenna.upload_tokens import UploadTokens, parse_upload_tokens

TOKENS = UploadTokens(parse_upload_tokens("first second; MyApp: mine other ;Two Words:third;C++ : fourth"))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", {}),
        ("one", {"": ("one",)}),
        ("one two,three", {"": ("one", "two", "three")}),
        ("MyApp:one two", {"MyApp": ("one", "two")}),
        ("one;MyApp:two;three", {"": ("one", "three"), "MyApp": ("two",)}),
        ("My: App:one", {"My: App": ("one",)}),
    ],
)
def test_option(text: str, tokens: dict[str, tuple[str, ...]]) -> None:
    assert parse_upload_tokens(text) == tokens


@pytest.mark.parametrize("text", ["MyApp:", ":one", "one;MyApp: "])
def test_bad_option(text: str) -> None:
    with pytest.raises(ValueError, match="expected tokens"):
        parse_upload_tokens(text)


def test_they_are_off_by_default() -> None:
    assert not UploadTokens(parse_upload_tokens("")).are_on
    assert TOKENS.are_on


@pytest.mark.parametrize(
    ("environ", "annotations", "allowed"),
    [
        ({"QUERY_STRING": "token=first"}, {}, True),
        ({"QUERY_STRING": "id=1&token=second&x"}, {}, True),
        ({"QUERY_STRING": "token=f%69rst"}, {}, True),
        ({"QUERY_STRING": "token=wrong&token=first"}, {}, True),
        ({"HTTP_X_CRASH_TOKEN": " first "}, {}, True),
        ({}, {"token": "first"}, True),
        ({"QUERY_STRING": "token=wrong"}, {"token": "first"}, True),
        ({}, {}, False),
        ({"QUERY_STRING": ""}, {}, False),
        ({"QUERY_STRING": "token="}, {}, False),
        ({"QUERY_STRING": "Token=first"}, {}, False),
        ({"QUERY_STRING": "token=first%00"}, {}, False),
        ({"QUERY_STRING": "token=First"}, {}, False),
        ({"QUERY_STRING": "token=f\xefrst&%ff=%ff"}, {}, False),
        ({"HTTP_X_CRASH_TOKEN": "f\xefrst"}, {}, False),
        ({"HTTP_AUTHORIZATION": "Bearer first"}, {}, False),
        ({}, {"token": ["first"]}, False),
        ({}, {"token": None}, False),
        ({}, {"token": "\ud800"}, False),
        ({"QUERY_STRING": "token=mine"}, {"ProductName": "MyApp"}, True),
        ({"QUERY_STRING": "token=mine"}, {"prod": "MyApp"}, True),
        ({"QUERY_STRING": "token=mine"}, {"prod": "Other"}, False),
        ({"QUERY_STRING": "token=mine"}, {}, False),
        ({"QUERY_STRING": "token=first"}, {"prod": "MyApp"}, True),
        ({"QUERY_STRING": "token=fourth"}, {"prod": "C++"}, True),
    ],
)
def test_who_may_send(environ: dict[str, str], annotations: dict[str, Any], allowed: bool) -> None:
    assert TOKENS.allow(environ, annotations) is allowed
    assert "token" not in annotations
