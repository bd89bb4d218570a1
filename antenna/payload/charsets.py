# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The charsets in which the text of annotations may be sent."""

from encodings import normalize_encoding
from encodings.aliases import aliases

DEFAULT = "utf-8"
# Characters of a charset's name. Longer names are not looked up, because no name on IANA's list is longer.
_LONGEST_NAME = 45

# The charsets that are honoured besides UTF-8, in all spellings of Python, which has those of IANA's list except one.
# codecs.lookup() is not used, because it remembers each unknown name for ever. Clients can make up any number of them.
_CODECS = {alias: codec for alias, codec in aliases.items() if codec in {"ascii", "latin_1", "cp1252"}} | {
    "ascii": "ascii",
    "latin_1": "latin_1",
    "cp1252": "cp1252",
    "cswindows1252": "cp1252",
}


def codec_of(charset: str) -> str:
    """Return the codec for text that declares this charset. Text in an unknown charset is read as UTF-8."""
    if charset == DEFAULT or len(charset) > _LONGEST_NAME:
        return DEFAULT
    return _CODECS.get(normalize_encoding(charset).lower(), DEFAULT)


def decode_text(data: bytes, charset: str) -> str | None:
    """Decode the text of an annotation. Returns ``None`` if it is not valid in its charset."""
    try:
        return data.decode(codec_of(charset))
    except UnicodeDecodeError:
        return None
