# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Text annotations are decoded in the charset that they declare, in all its spellings."""

import encodings
import sys
from encodings.aliases import aliases

import pytest

from antenna.payload.charsets import codec_of, decode_text

# Spellings from IANA's list, https://www.iana.org/assignments/character-sets, and from Python's documentation.
SPELLINGS = {
    "ascii": """us-ascii iso-ir-6 ANSI_X3.4-1968 ANSI_X3.4-1986 ISO_646.irv:1991 ISO646-US us IBM367 cp367 csASCII
        ascii 646 US_ASCII""",
    "latin_1": """ISO_8859-1:1987 iso-ir-100 ISO_8859-1 ISO-8859-1 latin1 l1 IBM819 CP819 csISOLatin1
        latin-1 Latin_1 iso8859-1 iso8859_1 iso8859 8859 cp819 latin L1""",
    "cp1252": "windows-1252 csWindows1252 cp1252 CP1252 1252 Windows_1252",
    "utf-8": "UTF-8 csUTF8 utf8 U8 UTF utf_8",
}


@pytest.mark.parametrize(
    ("spelling", "codec"), [(spelling, codec) for codec, listed in SPELLINGS.items() for spelling in listed.split()]
)
def test_spellings(spelling: str, codec: str) -> None:
    assert codec_of(spelling) == codec


@pytest.mark.parametrize("codec", ["ascii", "latin_1", "cp1252"])
def test_all_of_pythons_spellings(codec: str) -> None:
    spellings = [alias for alias, name in aliases.items() if name == codec]
    assert {codec_of(spelling) for spelling in spellings} == {codec}


def test_unknown_charsets_are_not_remembered() -> None:
    """Python's own look-up remembers every name for ever."""
    known = dict(encodings._cache)  # noqa: SLF001 - what would grow
    for number in range(100):
        decode_text(b"x", f"made-up-{number}")

    assert encodings._cache == known  # noqa: SLF001 - see above
    assert not any("made_up" in name for name in sys.modules)


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"plain", "utf-8", "plain"),
        ("ä\N{PILE OF POO}".encode(), "utf-8", "ä\N{PILE OF POO}"),
        ("ä".encode(), "UTF-8", "ä"),
        (b"plain", "us-ascii", "plain"),
        (b"\xe4\x80", "iso-8859-1", "ä\x80"),
        (b"\xe4\x80", "ISO-8859-1", "ä€"[:1] + "\x80"),
        (b"\xe4\x80", "windows-1252", "ä€"),
        (b"\0\x1b\r\n", "utf-8", "\0\x1b\r\n"),
        (b"", "utf-8", ""),
    ],
)
def test_in_its_charset(data: bytes, charset: str, text: str) -> None:
    assert decode_text(data, charset) == text


@pytest.mark.parametrize(
    "charset", ["utf-16", "utf-7", "rot13", "hex", "zip", "idna", "unknown", "", "x" * 10_000, "utf-8\0", "../etc"]
)
def test_any_other_charset_is_read_as_utf_8(charset: str) -> None:
    assert decode_text("ä".encode(), charset) == "ä"


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        (b"\xe4", "utf-8"),
        (b"\xed\xa0\x80", "utf-8"),
        (b"\xc0\x80", "utf-8"),
        (b"\xf4\x90\x80\x80", "utf-8"),
        (b"\x80", "us-ascii"),
        (b"\x81", "windows-1252"),
    ],
)
def test_not_valid_in_its_charset(data: bytes, charset: str) -> None:
    assert decode_text(data, charset) is None
