# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Encoded content is decoded, in pieces of any size. If it is damaged, it is kept as it came."""

import base64
import random
import time
from pathlib import Path

import pytest

from antenna.payload.transfer_encoding import DECODERS, EncodedContent
from antenna.refusal import Reason, Refusal
from tests.support.crashes import make_room

ALL_BYTES = bytes(range(256))
MIB = 1024 * 1024

# Sizes of the pieces in which content comes.
SIZES = (1, 2, 3, 7, 8192)


def quote(content: bytes) -> bytes:
    """Encode all bytes, in lines of 25, as quoted-printable."""
    lines = (content[start : start + 25] for start in range(0, len(content), 25))
    return b"=\r\n".join("".join(f"={byte:02X}" for byte in line).encode() for line in lines)


def decode(encoding: str, data: bytes, size: int, directory: Path, *, memory: int = 1000) -> tuple[bytes, bool]:
    """Return the result of content that comes in pieces of ``size``, and whether the result is decoded."""
    encoded = EncodedContent(DECODERS[encoding](), make_room(memory, directory), max_size=len(data))
    for start in range(0, len(data), size):
        encoded.append(data[start : start + size])
    content, is_decoded = encoded.finish()
    result = content.getvalue()
    content.close()
    encoded.close()
    return result, is_decoded


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b"", b""),
        (b"TURNUA==", b"MDMP"),
        (b"TURNUAA=", b"MDMP\0"),
        (b"TURNUAAB", b"MDMP\0\1"),
        (b"TURN\r\nUA==\r\n", b"MDMP"),
        (b" T U\tR\nN\r\n\r\nU A = = \r\n", b"MDMP"),
        (base64.encodebytes(ALL_BYTES * 20).replace(b"\n", b"\r\n"), ALL_BYTES * 20),
        (b"AAA" * 4 + b"//++", b"\0" * 9 + b"\xff\xff\xbe"),
    ],
)
def test_base64(tmp_path: Path, data: bytes, content: bytes) -> None:
    for size in SIZES:
        assert decode("base64", data, size, tmp_path) == (content, True)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"TURNUA", id="no padding"),
        pytest.param(b"TURNUA=", id="half of the padding"),
        pytest.param(b"T", id="one character"),
        pytest.param(b"TURNUA==TURN", id="more after the end"),
        pytest.param(b"TURNUA===", id="too much padding"),
        pytest.param(b"=", id="nothing but padding"),
        pytest.param(b"TU=RN===", id="padding in the middle"),
        pytest.param(b"TUR!NUA==", id="another character"),
        pytest.param(b"TURN_-==", id="another alphabet"),
        pytest.param(b"MDMP\0\1\2\3", id="not encoded"),
        pytest.param("TURNé".encode(), id="not ASCII"),
        pytest.param(base64.encodebytes(ALL_BYTES * 20)[:-7], id="cut off"),
    ],
)
def test_damaged_base64_is_kept_as_it_came(tmp_path: Path, data: bytes) -> None:
    for size in SIZES:
        assert decode("base64", data, size, tmp_path) == (data, False)


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b"", b""),
        (b"caf=C3=A9 50=25", "café 50%".encode()),
        (b"caf=c3=a9", "café".encode()),
        (b"one=\r\n line", b"one line"),
        (b"one=\n line", b"one line"),
        (b"one=\r\n\r\ntwo\r\n", b"one\r\ntwo\r\n"),
        (b"a=3D=3Db", b"a==b"),
        (b"100%=", b"100%"),
        (b"=\r\n=41=\r\n", b"A"),
        (b"a=b", b"a=b"),
        (b"a=4", b"a=4"),
        (b"a=4=\r\n1", b"a=41"),
        (b"a=\rb", b"a=\rb"),
        (b"a=zz=", b"a=zz"),
        (b"a==b", b"a==b"),
        (b"a==41", b"a=A"),
        (b"a===41", b"a==A"),
        (b"a====", b"a==="),
        (b"=00=FF", b"\0\xff"),
        (b"raw \xff\0 stays", b"raw \xff\0 stays"),
        (quote(ALL_BYTES * 20), ALL_BYTES * 20),
    ],
)
def test_quoted_printable(tmp_path: Path, data: bytes, content: bytes) -> None:
    for size in SIZES:
        assert decode("quoted-printable", data, size, tmp_path) == (content, True)


@pytest.mark.parametrize("encoding", list(DECODERS))
def test_pieces_make_no_difference(tmp_path: Path, encoding: str) -> None:
    for seed in range(200):
        chance = random.Random(seed)
        data = bytes(chance.choices(b"=\r\n 4dAZ\0", k=chance.randrange(40)))
        outcomes = {decode(encoding, data, size, tmp_path) for size in (1, 2, 3, 5, 100)}
        assert len(outcomes) == 1, data


@pytest.mark.parametrize("encoding", list(DECODERS))
def test_goes_to_files_and_leaves_none(tmp_path: Path, encoding: str) -> None:
    content = random.Random(1).randbytes(200_000)
    data = {"base64": base64.encodebytes, "quoted-printable": quote}[encoding](content)

    assert decode(encoding, data, 65536, tmp_path, memory=0) == (content, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [7, 1000, 65536])
@pytest.mark.parametrize("data", [b"==" * 11_000, b"=\rx" * 11_000, b"A" * 100_000 + b"=" * 23_000])
def test_content_full_of_equals_signs_is_no_quoted_printable(tmp_path: Path, data: bytes, size: int) -> None:
    assert decode("quoted-printable", data, size, tmp_path) == (data, False)


def test_size_is_bounded(tmp_path: Path) -> None:
    encoded = EncodedContent(DECODERS["base64"](), make_room(1000, tmp_path), max_size=10)
    encoded.append(b"TURN" * 2)

    with pytest.raises(Refusal) as raised:
        encoded.append(b"TURN")
    assert raised.value.reason is Reason.TOO_LARGE
    encoded.close()


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("base64", b"A" * 65536),
        ("base64", b" " * 65535 + b"A"),
        ("base64", b"!" * 65536),
        ("quoted-printable", b"=41" * 21845),
        ("quoted-printable", b"=" * 65536),
        ("quoted-printable", b"=\r" * 32768),
        ("quoted-printable", b"=\r\n" * 21845),
        ("quoted-printable", b"=Z" * 32768),
    ],
)
def test_time_is_linear_in_the_size(tmp_path: Path, encoding: str, data: bytes) -> None:
    encoded = EncodedContent(DECODERS[encoding](), make_room(64 * MIB, tmp_path), max_size=100 * MIB)
    begun = time.thread_time()
    for _ in range(160):  # 10 MiB
        encoded.append(data)
    encoded.finish()

    assert time.thread_time() - begun < 0.5
    encoded.close()
