# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Both libraries inflate to the same bytes. See also ``tests/payload/test_gunzip.py``."""

import gzip
import zlib

import isal.isal_zlib
import pytest

import antenna.fast.inflate
from antenna.fast.inflate import errors, inflater

TEXT = b"The quick brown fox jumps over the lazy dog. " * 20


@pytest.fixture(params=[isal.isal_zlib, zlib], ids=["isal", "zlib"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(antenna.fast.inflate, "_library", request.param)


@pytest.mark.parametrize("has_plain_header", [True, False])
def test_a_member_and_what_comes_after_it(has_plain_header: bool) -> None:
    member = inflater(has_plain_header=has_plain_header)

    content = member.decompress(gzip.compress(TEXT) + b"after", 100)
    while not member.eof:
        content += member.decompress(member.unconsumed_tail, 100)
    assert content == TEXT
    assert member.unused_data == b"after"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"no gzip at all", id="none"),
        pytest.param(gzip.compress(TEXT)[:-8] + bytes(8), id="checksum"),
        pytest.param(b"\x1f\x8b\x09" + gzip.compress(TEXT)[3:], id="method"),
    ],
)
def test_damaged(data: bytes) -> None:
    with pytest.raises(errors()):
        inflater(has_plain_header=True).decompress(data, 10_000)
