# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The fast decoder of JSON returns what the slow one returns, or None."""

import json

import pytest

from antenna.fast.texts import decode_texts
from antenna.payload.json_annotations import decode_json


@pytest.mark.parametrize(
    "annotations",
    [
        {},
        {"ProductName": "Firefox", "": "", "TelemetryEnvironment": '{"a": "\\\\", "b": 1}'},
        {"Notes": "naïve \N{GRINNING FACE}\0\x7f\u2028\ufffd\ufeff", "\N{GRINNING FACE}": '\n\t"'},
        {f"Name{number}": "x" * 100 for number in range(1000)},
    ],
    ids=lambda annotations: repr(annotations)[:20],
)
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_as_reporters_send_them(annotations: dict[str, str], ensure_ascii: bool) -> None:
    data = json.dumps(annotations, ensure_ascii=ensure_ascii).encode("utf-8")

    assert decode_texts(data) == annotations
    assert decode_json(data) == (annotations, [])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'"a"',
        b'{"a": 1}',
        b'{"a": null}',
        b'{"a": ["b"]}',
        b'{"a": {"b": "c"}}',
        b'{"a": NaN}',
        b'{"a": "b"',
        b'{"a": "b"} {}',
        b'{"a": "b",}',
        b"{'a': 'b'}",
        b'{"a": "b", "a": "b"}',
        rb'{"a": "b", "\u0061": "b"}',
        b'\xef\xbb\xbf{"a": "b"}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        rb'{"a": "\ud83d"}',
        rb'{"a": "\ude00"}',
        rb'{"a": "\ude00\ud83d"}',
        rb'{"\ud83d": "a"}',
        b'{"a": "\n"}',
        rb'{"a": "\x"}',
        b'{"a":' * 100_000,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_anything_else_is_left_to_json(data: bytes) -> None:
    assert decode_texts(data) is None


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antenna.fast.texts._library", None)

    assert decode_texts(b"{}") is None
