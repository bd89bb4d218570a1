# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Annotations in JSON are decoded unchanged, or refused. Whatever is decoded can be encoded again."""

import json
from typing import Any

import gevent
import pytest

from antenna.limits import (
    LONG_JSON_NUMBER,
    MAX_ANNOTATIONS,
    MAX_JSON_DEPTH,
    MAX_JSON_DIGITS,
    MAX_LONG_JSON_NUMBERS_SIZE,
)
from antenna.payload.json_annotations import decode_json
from antenna.payload.notes import note_repeated
from antenna.refusal import Reason, Refusal


def assert_refused(data: bytes, reason: Reason) -> None:
    with pytest.raises(Refusal) as raised:
        decode_json(data)
    assert raised.value.reason is reason


class TestJson:
    @pytest.mark.parametrize(
        "annotations",
        [
            {},
            {"a": "text"},
            {"a": "", "": "a"},
            {"a": 1, "b": -1.5, "c": True, "d": None, "e": [], "f": {}},
            {"a": {"b": [{"c": ["d"]}]}},
            {"a": "\N{PILE OF POO}\0\x7f\u2028", "\u202e\n": "\ufffe"},
            {"a": 10 ** (MAX_JSON_DIGITS - 1)},
            {"a": 1.7976931348623157e308, "b": 5e-324},
        ],
    )
    @pytest.mark.parametrize("ensure_ascii", [True, False])
    def test_is_kept_as_it_came(self, annotations: dict[str, Any], ensure_ascii: bool) -> None:
        data = json.dumps(annotations, ensure_ascii=ensure_ascii).encode()

        assert decode_json(data) == (annotations, [])

    @pytest.mark.parametrize(
        ("text", "stored", "rounded"),
        [
            ("3.14159265358979323846", 3.141592653589793, 1),
            ("123456789012345678901234567890.5", 1.2345678901234568e29, 1),
            ("-1e-400", -0.0, 1),
            ("[7e-324, 0.1, 0.300000000000000001]", [5e-324, 0.1, 0.3], 2),
        ],
    )
    def test_number_that_no_double_holds_is_noted(self, text: str, stored: object, rounded: int) -> None:
        note = f"Rounded {rounded} numbers to double precision."

        assert decode_json(f'{{"a": {text}}}'.encode()) == ({"a": stored}, [note])

    @pytest.mark.parametrize(
        "text",
        [
            "0.0",
            "-0.0",
            "0e5",
            "1.0",
            "0.10",
            "1E5",
            "-1.50e+3",
            "100.0",
            "0.001",
            "1e22",
            "1e-7",
            "0.10000000000000001",
        ],
    )
    def test_number_that_is_only_written_otherwise_needs_no_note(self, text: str) -> None:
        assert decode_json(f'{{"a": {text}}}'.encode()) == ({"a": float(text)}, [])

    @pytest.mark.parametrize("data", [b' \r\n\t{"a": 1}\n', b'\xef\xbb\xbf{"a": 1}'])
    def test_what_may_stand_around_it(self, data: bytes) -> None:
        assert decode_json(data) == ({"a": 1}, [])

    @pytest.mark.parametrize("text", ["1e400", "-1e400", "1" * 400 + ".0", "1e" + "9" * 100_000])
    def test_number_out_of_range(self, text: str) -> None:
        assert_refused(f'{{"a": {text}}}'.encode(), Reason.INVALID_JSON)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b" ",
            b"{",
            b'{"a": 1,}',
            b"{'a': 1}",
            b'{"a": 1} {}',
            b'{"a": 01}',
            b'{"a": +1}',
            b'{"a": .5}',
            b'{"a": 0x1}',
            b'{"a": NaN}',
            b'{"a": Infinity}',
            b'{"a": [-Infinity]}',
            b'{"a": "\n"}',
            b'{"a": "\\x"}',
            b'{"a": "\\u12"}',
            b"{a: 1}",
            b"{1: 1}",
            b"\x00",
            b'{"a": "\xff"}',
            b'{"a": "\xed\xa0\x80"}',
            '{"a": 1}'.encode("utf-16"),
            '{"a": 1}'.encode("utf-16-le"),
            '{"a": 1}'.encode("utf-32"),
            b'{"a": "' + b"x" * 1000,
            b'{"a": ' + b"9" * 10_000 + b"}",
            b'{"a": ' + b"9" * (MAX_JSON_DIGITS + 1) + b"}",
            b"[" * 1000,
            b"[" * 1000 + b"]" * 1000,
            b"[" * 200_000,
            b'{"a":' * 200_000,
            b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
            b'{"a":' * 1000 + b"1" + b"}" * 1000,
            b'{"a":' + b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH + b"}",
        ],
        ids=lambda data: f"{data[:20]!r}, {len(data)} bytes",
    )
    def test_invalid(self, data: bytes) -> None:
        assert_refused(data, Reason.INVALID_JSON)

    @pytest.mark.parametrize(
        "number", ["9" * MAX_JSON_DIGITS, "-" + "9" * 24, "0." + "3" * 398, "1." + "3" * 20 + "e-5"]
    )
    def test_long_numbers_are_bounded_together(self, number: str) -> None:
        most = [number] * (MAX_LONG_JSON_NUMBERS_SIZE // len(number))

        annotations, _ = decode_json(f'{{"a": [{", ".join(most)}]}}'.encode())
        assert annotations == {"a": [json.loads(number)] * len(most)}
        assert_refused(f'{{"a": [{", ".join([*most, number])}]}}'.encode(), Reason.TOO_LARGE)

    @pytest.mark.parametrize("number", ["1.5e-310", "-5e-324"])
    def test_numbers_next_to_zero_are_bounded_like_long_ones(self, number: str) -> None:
        most = [number] * (MAX_LONG_JSON_NUMBERS_SIZE // LONG_JSON_NUMBER)

        annotations, _ = decode_json(f'{{"a": [{", ".join(most)}]}}'.encode())
        assert annotations == {"a": [float(number)] * len(most)}
        assert_refused(f'{{"a": [{", ".join([*most, number])}]}}'.encode(), Reason.TOO_LARGE)

    def test_as_many_annotations_as_there_may_be(self) -> None:
        most = {str(number): number for number in range(MAX_ANNOTATIONS)}

        assert decode_json(json.dumps(most).encode()) == (most, [])
        assert_refused(json.dumps(most | {"more": 0}).encode(), Reason.TOO_LARGE)

    @pytest.mark.parametrize("item", ["1", "0.5", '{"a":[]}'])
    def test_others_have_their_turn(self, item: str) -> None:
        decoding = gevent.spawn(decode_json, f'{{"a": [{",".join([item] * 100_000)}]}}'.encode())
        turns = 0
        while not decoding.ready():
            gevent.sleep(0.0001)
            turns += 1

        assert decoding.get()[0] == {"a": [json.loads(item)] * 100_000}
        assert turns > 5

    @pytest.mark.parametrize("number", [-(2**63), 2**64 - 1, -2.2250738585072014e-308])
    def test_any_number_of_64_bits_is_short(self, number: float) -> None:
        text = json.dumps(number)
        assert len(text) <= LONG_JSON_NUMBER
        values = [number] * (MAX_LONG_JSON_NUMBERS_SIZE // len(text) + 1)

        assert decode_json(json.dumps({"a": values}).encode()) == ({"a": values}, [])

    @pytest.mark.parametrize("data", [b"[]", b'["a"]', b'"a"', b"1", b"null", b"true", b'[{"a": 1}]'])
    def test_not_an_object(self, data: bytes) -> None:
        assert_refused(data, Reason.INVALID_JSON_VALUE)

    def test_as_deep_as_it_may_be(self) -> None:
        deep = json.loads("[" * (MAX_JSON_DEPTH - 1) + "]" * (MAX_JSON_DEPTH - 1))

        assert decode_json(json.dumps({"a": deep}).encode()) == ({"a": deep}, [])

    @pytest.mark.parametrize(
        ("data", "annotations", "repeated"),
        [
            (b'{"a": 1, "a": 2}', {"a": 2}, ["a"]),
            (b'{"b": 1, "a": 1, "b": 2, "a": 2, "a": 3}', {"a": 3, "b": 2}, ["a", "b"]),
            (b'{"a": {"b": 1, "b": 2}}', {"a": {"b": 2}}, []),
            (b'{"a": 1, "a": {"b": 1, "b": 2}}', {"a": {"b": 2}}, ["a"]),
        ],
    )
    def test_last_of_repeated_names_wins(self, data: bytes, annotations: dict[str, Any], repeated: list[str]) -> None:
        assert decode_json(data) == (annotations, [note_repeated(name) for name in repeated])
