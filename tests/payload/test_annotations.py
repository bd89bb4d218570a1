# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The annotations of a report are collected, and the memory that decoding them takes is bounded."""

import json
from collections.abc import Callable

import pytest

from antenna.limits import MAX_ANNOTATIONS, MAX_JSON_ITEMS
from antenna.payload.annotations import AnnotationPart, read_annotations
from antenna.payload.notes import Notes
from antenna.refusal import Reason, Refusal

Make = Callable[[int], bytes]


class Reading:
    """Reads annotations, and remembers how much memory was reserved."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.reserved: list[int] = []

    def __call__(self, *contents: bytes) -> dict[str, object]:
        parts = [AnnotationPart("extra", None, len(content), content) for content in contents]
        return read_annotations(parts, self.notes, self.reserved.append)


@pytest.fixture
def read() -> Reading:
    return Reading()


def nested(opening: bytes, closing: bytes, number: int) -> bytes:
    """Return annotations with this many containers inside one another, 50 at a time."""
    return b'{"a":[' + b",".join([opening * 50 + b"0" + closing * 50] * (number // 50)) + b"]}"


SHAPES = [
    pytest.param(lambda number: nested(b"[", b"]", number), id="arrays"),
    pytest.param(lambda number: nested(b'{"":', b"}", number // 2), id="objects"),
    pytest.param(lambda number: nested(b'[{"a":', b"}]", number // 3), id="both"),
    pytest.param(lambda number: b'{"a":[' + b"[]," * (number // 2) + b"0]}", id="wide"),
    pytest.param(lambda number: b'{"a":[' + b"{}," * (number // 2) + b"0]}", id="wide objects"),
    pytest.param(lambda number: b'{"a":[' + b'"",' * number + b"0]}", id="texts"),
    pytest.param(lambda number: b'{"a":[' + b"0," * number + b"0]}", id="numbers"),
    pytest.param(
        lambda number: b'{"a":{' + b",".join(b'"%x":0' % name for name in range(number // 2)) + b"}}", id="names"
    ),
]


@pytest.mark.parametrize("make", SHAPES)
def test_things_in_json_are_bounded(read: Reading, make: Make) -> None:
    assert read(make(MAX_JSON_ITEMS * 9 // 10))["a"]
    assert len(read.reserved) == 1
    assert 0.85 * MAX_JSON_ITEMS < read.reserved[0] <= MAX_JSON_ITEMS

    with pytest.raises(Refusal) as raised:
        read(make(MAX_JSON_ITEMS + 1000))
    assert raised.value.reason is Reason.TOO_LARGE
    assert len(read.reserved) == 1, "refused before any memory is asked for"


@pytest.mark.parametrize("make", SHAPES[-2:])
def test_things_in_all_json_of_a_report_are_bounded(read: Reading, make: Make) -> None:
    part = make(MAX_JSON_ITEMS // 4)
    assert read(part, part, part)["a"]
    assert len(read.reserved) == 1, "all at once: nobody waits with a part of it in hand"

    with pytest.raises(Refusal) as raised:
        read(*[part] * 5)
    assert raised.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("opening", [b"[", b'{"":', b'[{"":'])
@pytest.mark.parametrize("before", [b"", b'"[[[": [], "b": [[], {}, "]]"],'])
def test_nested_too_deeply_is_the_reason_where_both_are(read: Reading, opening: bytes, before: bytes) -> None:
    with pytest.raises(Refusal) as raised:
        read(b"{" + before + b'"a":' + opening * MAX_JSON_ITEMS)
    assert raised.value.reason is Reason.INVALID_JSON


def test_what_reporters_send_asks_for_nothing(read: Reading) -> None:
    annotations = {f"Annotation{number}": '{"a":[1,2,{"b":[]}]}' * 10 for number in range(500)}

    assert read(json.dumps(annotations).encode()) == annotations
    assert read.reserved == []


def test_notes_on_repeated_names_are_bounded(read: Reading) -> None:
    names = {f"{number:x}": number for number in range(MAX_ANNOTATIONS)}

    assert read(*[json.dumps(names).encode()] * 3) == names
    assert len(read.notes.as_list()) < 200
