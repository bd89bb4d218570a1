# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Halves of surrogate pairs cannot be stored, so they are replaced.

A note names annotations whose names become equal.
"""

import json
from typing import Any

import gevent
import pytest

from antenna.payload.json_annotations import decode_json
from antenna.payload.notes import note_repeated

REPLACED = "Replaced half of a surrogate pair in \ufffd."
REPLACED_IN_B = "Replaced half of a surrogate pair in b."
REPEATED_IN_B = "Repeated name in b: the last one was kept."


@pytest.mark.parametrize(
    ("data", "annotations", "notes"),
    [
        (rb'{"a": "\ud83d\ude00"}', {"a": "\N{GRINNING FACE}"}, 0),
        (rb'{"a": "\\ud83d"}', {"a": r"\ud83d"}, 0),
        (rb'{"a": "\ud83d"}', {"a": "\ufffd"}, 1),
        (rb'{"a": "x\uDE00\uD83Dy"}', {"a": "x\ufffd\ufffdy"}, 1),
        (rb'{"\udfff": 1}', {"\ufffd": 1}, 1),
        (rb'{"\udfff": 1, "\udfff": 2}', {"\ufffd": 2}, 2),
        (rb'{"a": [{"\ud800": ["\ud800", 1]}], "b": "c"}', {"a": [{"\ufffd": ["\ufffd", 1]}], "b": "c"}, 1),
    ],
)
def test_half_of_a_surrogate_pair_is_replaced(data: bytes, annotations: dict[str, Any], notes: int) -> None:
    decoded, notes_on_it = decode_json(data)

    assert decoded == annotations
    assert len(notes_on_it) == notes
    json.dumps([decoded, notes_on_it], ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    ("data", "annotations", "notes"),
    [
        (rb'{"\ud800": "first", "\udfff": "second"}', {"\ufffd": "second"}, [note_repeated("\ufffd"), REPLACED]),
        (rb'{"\ufffd": "first", "\ud800": "second"}', {"\ufffd": "second"}, [note_repeated("\ufffd"), REPLACED]),
        (rb'{"\ud800": "first", "\ufffd": "second"}', {"\ufffd": "second"}, [note_repeated("\ufffd"), REPLACED]),
        (rb'{"\ud800": 1, "\udfff": 2, "\ud800": 3}', {"\ufffd": 3}, [note_repeated("\ufffd"), REPLACED]),
        (rb'{"a": 1, "a": 2, "b": "\ud800"}', {"a": 2, "b": "\ufffd"}, [note_repeated("a"), REPLACED_IN_B]),
        (rb'{"b": {"\ud800": 1, "\udfff": 2}}', {"b": {"\ufffd": 2}}, [REPLACED_IN_B, REPEATED_IN_B]),
        (
            rb'{"b": [{"\ufffd": 1, "\udfff": 2}], "c": 1}',
            {"b": [{"\ufffd": 2}], "c": 1},
            [REPLACED_IN_B, REPEATED_IN_B],
        ),
        (rb'{"b": {"\ud800": 1, "\udfff": 2, "\ud800": 3}}', {"b": {"\ufffd": 3}}, [REPLACED_IN_B, REPEATED_IN_B]),
    ],
)
def test_names_that_come_out_the_same_are_noted(data: bytes, annotations: dict[str, Any], notes: list[str]) -> None:
    assert decode_json(data) == (annotations, notes)


def test_many_names_that_come_out_the_same_take_few_notes() -> None:
    names = [rf"\ud{first:x}\ud{last:x}" for first in range(0xC00, 0xE00) for last in range(0x800, 0x803)]
    data = "{" + ",".join(f'"{name}": 1' for name in names) + "}"

    annotations, notes = decode_json(data.encode())

    assert annotations == {"\ufffd\ufffd": 1}
    assert len(notes) == 2


def test_many_are_replaced_while_others_have_their_turn() -> None:
    decoding = gevent.spawn(decode_json, rb'{"a": "%s"}' % (rb"\ud800x" * 500_000))
    turns = 0
    while not decoding.ready():
        gevent.sleep(0.001)
        turns += 1

    annotations, _ = decoding.get()
    assert annotations == {"a": "\ufffdx" * 500_000}
    assert turns > 5
