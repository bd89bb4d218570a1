# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Both libraries inflate to the same bytes. See also ``tests/payload/test_gunzip.py``."""

import gzip

import isal.igzip_lib
import pytest

import antenna.fast.inflate
from antenna.fast.inflate import errors, inflater

TEXT = b"The quick brown fox jumps over the lazy dog. " * 20
DATA = gzip.compress(TEXT)


@pytest.fixture(params=[isal.igzip_lib, None], ids=["isal", "zlib"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(antenna.fast.inflate, "_library", request.param)


@pytest.mark.parametrize("has_plain_header", [True, False])
def test_a_member_and_what_comes_after_it(has_plain_header: bool) -> None:
    member = inflater(has_plain_header=has_plain_header)

    content = member.decompress(DATA + b"after", 100)
    while not member.eof:
        assert not member.needs_input
        content += member.decompress(b"", 100)
    assert content == TEXT
    assert member.unused_data == b"after"


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("max_length", [1, 45, len(TEXT), 10_000])
def test_input_is_asked_for_when_all_of_it_is_used_up(size: int, max_length: int) -> None:
    member, content = inflater(has_plain_header=True), b""
    pieces = [DATA[start : start + size] for start in range(0, len(DATA), size)]
    while not member.eof:
        output = member.decompress(pieces.pop(0) if member.needs_input else b"", max_length)
        assert len(output) <= max_length
        content += output
    assert content == TEXT
    assert pieces == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"no gzip at all", id="none"),
        pytest.param(DATA[:-8] + bytes(8), id="checksum"),
        pytest.param(b"\x1f\x8b\x09" + DATA[3:], id="method"),
    ],
)
def test_damaged(data: bytes) -> None:
    with pytest.raises(errors()):
        inflater(has_plain_header=True).decompress(data, 10_000)
