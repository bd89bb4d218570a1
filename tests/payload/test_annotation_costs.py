# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The memory that annotations will take is known, and bounded, before they are decoded."""

import json
from collections.abc import Callable

import pytest

import antenna.payload.annotation_costs
from antenna.crash.report import CrashReport
from antenna.limits import MAX_ANNOTATIONS_MEMORY
from antenna.payload.annotation_costs import check_memory
from antenna.payload.charsets import decode_text
from antenna.payload.json_annotations import decode_json
from antenna.refusal import Reason, Refusal

MIB = 1024 * 1024
JSON = None

Part = tuple[bytes, str | None]


def text_of(unit: str, charset: str = "utf-8") -> Callable[[int], Part]:
    """Return a function that repeats a unit to a text of a number of bytes."""
    encoded = unit.encode(charset)
    return lambda size: (encoded * (size // len(encoded)), charset)


def json_of(unit: bytes) -> Callable[[int], Part]:
    """Return a function that makes JSON of a number of bytes, with one text in it."""
    return lambda size: (b'{"a":"' + unit * (size // len(unit)) + b'"}', JSON)


def with_one(unit: str, make: Callable[[int], Part]) -> Callable[[int], Part]:
    """Return the same function, but with one other character in the text."""

    def make_with_one(size: int) -> Part:
        data, charset = make(size)
        return (data[:9] + unit.encode() + data[9:], charset)

    return make_with_one


SHAPES = [
    pytest.param(text_of("x"), id="text"),
    pytest.param(text_of("ж"), id="text of two bytes"),
    pytest.param(text_of("€"), id="text of three bytes"),
    pytest.param(text_of("\N{GRINNING FACE}"), id="text of four bytes"),
    pytest.param(with_one("\N{GRINNING FACE}", text_of("x")), id="text with one character of four bytes"),
    pytest.param(with_one("€", text_of("x")), id="text with one character of three bytes"),
    pytest.param(with_one("\N{GRINNING FACE}", text_of("\0")), id="control characters, one of four bytes"),
    pytest.param(text_of("\0"), id="control characters"),
    pytest.param(text_of('"'), id="quotation marks"),
    pytest.param(text_of("\x7f"), id="delete"),
    pytest.param(text_of("ÿ", "iso-8859-1"), id="iso-8859-1"),
    pytest.param(text_of("€", "windows-1252"), id="windows-1252"),
    pytest.param(json_of(b"x"), id="JSON"),
    pytest.param(with_one("\N{GRINNING FACE}", json_of(b"x")), id="JSON with one character of four bytes"),
    pytest.param(with_one(r"\ud83d\ude00", json_of(b"x")), id="JSON with one escaped pair"),
    pytest.param(with_one(r"\u20ac", json_of(b"x")), id="JSON with one escape"),
    pytest.param(json_of(rb"\u0000"), id="escapes"),
    pytest.param(json_of(rb"\u00e9"), id="other escapes"),
    pytest.param(json_of(rb"\""), id="short escapes"),
    pytest.param(json_of(b"\x7f"), id="delete in JSON"),
    pytest.param(json_of("€".encode()), id="JSON of three bytes"),
]


def takes(part: Part) -> tuple[int, int]:
    """Return the memory that the annotation takes while it is decoded, and when it is encoded again."""
    data, charset = part
    if charset is JSON:
        value = decode_json(data)[0]["a"]
        text, decoded = data.decode().__sizeof__(), value.__sizeof__()
        decoding = len(data) + text + decoded + (text + decoded // 4 if b"\\" in data else 0)
    else:
        value = decode_text(data, charset)
        decoding = len(data) + value.__sizeof__()
    encoded = CrashReport(annotations={"a": value}).encoded_raw_crash()
    return decoding, value.__sizeof__() + len(encoded)


def is_refused(part: Part) -> bool:
    try:
        check_memory([part])
    except Refusal as error:
        return error.reason is Reason.TOO_LARGE
    return False


@pytest.fixture
def less_memory(monkeypatch: pytest.MonkeyPatch) -> int:
    """A sixteenth of the memory, because texts that fill all of it take long to decode."""
    monkeypatch.setattr(antenna.payload.annotation_costs, "MAX_ANNOTATIONS_MEMORY", MAX_ANNOTATIONS_MEMORY // 16)
    monkeypatch.setattr(antenna.payload.annotation_costs, "_SMALL", MIB // 8)
    return MAX_ANNOTATIONS_MEMORY // 16


@pytest.mark.parametrize("make", SHAPES)
def test_is_enough_for_what_they_take(less_memory: int, make: Callable[[int], Part]) -> None:
    """Annotations that are accepted take no more memory than allowed.

    Annotations that are refused would take more, or nearly so.
    """
    for size in range(3 * MIB // 16, 9 * MIB // 16, MIB // 16):
        part = make(size)
        largest = max(takes(part))
        if is_refused(part):
            assert largest > 0.8 * less_memory
        else:
            assert largest < less_memory + 1000


@pytest.mark.parametrize("make", SHAPES)
def test_two_mib_may_be_anything(make: Callable[[int], Part]) -> None:
    check_memory([make(MIB - 100)] * 2)


def test_all_parts_count() -> None:
    check_memory([(b"\0" * 2 * MIB, "utf-8")] * 3)
    with pytest.raises(Refusal):
        check_memory([(b"\0" * 2 * MIB, "utf-8")] * 4)


def test_eight_mib_of_plain_text_are_fine() -> None:
    check_memory([(b"x" * 8 * MIB, "utf-8")])
    check_memory([(json.dumps({"a": "x" * 8 * MIB}).encode(), JSON)])
    check_memory([("naïve \N{GRINNING FACE} ".encode() * 550_000, "utf-8")])
