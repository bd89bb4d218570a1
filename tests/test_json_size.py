# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The objects that decoding JSON would build are counted without decoding it."""

import json
import re
import time
from typing import Any

import gevent
import pytest

from antenna.json_size import count_built, holds_more

MIB = 1024 * 1024
MOST = 1000


def built(value: Any) -> int:
    """Return the number of containers, names and values."""
    if isinstance(value, dict):
        return 1 + sum(1 + built(item) for item in value.values())
    return 1 + sum(map(built, value)) if isinstance(value, list) else 1


VALUES = [
    pytest.param(1, id="number"),
    pytest.param("text", id="text"),
    pytest.param([], id="array"),
    pytest.param({}, id="object"),
    pytest.param([[]], id="nested array"),
    pytest.param({"a": {}}, id="nested object"),
    pytest.param('[{"a": 1}, 2]', id="JSON in a text"),
    pytest.param({'",": [{': "\\"}, id="name like JSON"),
    pytest.param("\\\\", id="backslashes"),
    pytest.param('\\"', id="backslash before a quotation mark"),
    pytest.param({"ä": "\N{GRINNING FACE}"}, id="characters of several bytes"),
    pytest.param(json.loads("[" * 150 + "]" * 150), id="deep"),
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_is_never_too_low(value: Any, ensure_ascii: bool) -> None:
    for number in (1, 10, MOST):
        values = [value] * number
        assert count_built(json.dumps(values, ensure_ascii=ensure_ascii).encode(), 10**9) >= built(values) - number


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("space", [b"", b" ", b"\n" * 70_000])
def test_is_exact_once_there_may_be_too_many(value: Any, space: bytes) -> None:
    data = b"[" + space + b",".join([json.dumps(value).encode()] * 30) + b',"' + b"[{,:" * 20_000 + b'"]'
    without_strings = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", data)

    assert count_built(data, 20_000) == 1 + sum(map(without_strings.count, (b"[", b"{", b",", b":")))


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"", 1),
        (b'"' + b"," * MIB + b'"', 1),
        (b'"' + b"," * MIB, 1),
        (rb'"' + rb"\"," * MIB + rb'"', 1),
        (rb'"' + rb"\\" * MIB + rb'",[', 3),
        (b'"," ' * MIB, 1),
        (b'["' + b"x" * 65_533 + rb'\""' + b"," * 5000 + b'",","]', 5004),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else "",
)
def test_what_stands_in_strings_does_not_count(data: bytes, count: int) -> None:
    assert count_built(data, 5010) == count


@pytest.mark.parametrize("unit", [b"[", b"[],", b"{},", b'{"a":', b'"a":"b",', b'"",', b'"[":['])
def test_stops_once_there_are_too_many(unit: bytes) -> None:
    begun = time.process_time()

    assert count_built(b"[" + unit * (8 * MIB // len(unit)), MOST) > MOST
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("unit", [b"x", b",", rb"\""])
def test_lets_others_have_their_turn(unit: bytes) -> None:
    counting = gevent.spawn(count_built, b'"' + unit * (32 * MIB // len(unit)) + b'"', 100)
    turns = 0
    while not counting.ready():
        gevent.sleep(0.0001)
        turns += 1

    assert counting.get() == 1
    assert turns > 2


@pytest.mark.parametrize(
    ("value", "number"),
    [
        pytest.param(["x" * 100], 50, id="text"),
        pytest.param([{"x" * 100: 0}], 50, id="names"),
        pytest.param([0], 300, id="numbers"),
        pytest.param([[]], 300, id="arrays"),
        pytest.param([[[[]]]], 100, id="nested arrays"),
        pytest.param([{"a": None}], 100, id="objects"),
    ],
)
def test_holds_more(value: list[Any], number: int) -> None:
    assert not holds_more(value * number, 5000, 300)
    assert not holds_more({"a": value * (number - 2)}, 5000, 300)
    assert holds_more(value * (number + 1), 5000, 300)
    assert holds_more({"a": [value * (number + 1)]}, 5000, 300)
