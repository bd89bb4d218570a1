# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads the headers of a part, and the parameters of MIME headers.

Clients write names with special characters in three ways. All of them are read as they are meant:

* Browsers (WHATWG) write all characters as they are, a backslash too, except that a quotation mark becomes ``%22``.
  Percent-escapes are not decoded.
* Mail libraries and curl put a backslash before a quotation mark and before another backslash (RFC 2045).
* Old versions of Python's requests write ``name*=utf-8''...`` (RFC 5987). Mail libraries also cut long names into
  ``name*0=...; name*1=...`` (RFC 2231 section 3).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from typing import Self
from urllib.parse import unquote_to_bytes

from antenna.limits import MAX_PARAMETERS, MAX_PART_HEADERS
from antenna.payload.charsets import decode_text
from antenna.refusal import Reason, Refusal

# A quotation mark ends a value, even behind a backslash, if the header ends after it or the next parameter begins.
# Browsers send ``filename="C:\d\"; name="a"``.
_END_OF_VALUE = r'"[ \t]*(?:\Z|;[ \t]*(?:\Z|[^\s;="]+[ \t]*=))'
# A parameter of a MIME header. Its value is a quoted string (RFC 2045 section 5.1), whose closing quotation mark may be
# missing, or it is everything up to the next semicolon.
_PARAMETER = re.compile(
    rf';([^=;]*)=[ \t]*(?:"((?:[^"\\]++|\\(?={_END_OF_VALUE}|\Z)|\\(?!{_END_OF_VALUE}).)*+)(?:"|\Z)|([^;]*))', re.DOTALL
)
# RFC 5322 section 2.2.3: if a line begins with white space, it continues the header of the line before.
_FOLD = re.compile(rb"\r\n(?=[ \t])")
# Longest block of headers that is cached, in bytes. The blocks of real clients have some 100.
_SHORT_BLOCK = 256


@dataclass(frozen=True, slots=True)
class PartHead:
    """The facts that the headers of a part state."""

    name: str | None
    has_file_name: bool
    media_type: str
    charset: str
    transfer_encoding: str

    @classmethod
    def read(cls, block: bytes) -> Self:
        """Parse a block of headers. Raises what ``parse_headers`` raises."""
        headers = parse_headers(block)
        _, disposition = parse_parameters(headers.get("content-disposition", ""))
        media_type, type_parameters = parse_parameters(headers.get("content-type", ""))
        transfer_encoding, _ = parse_parameters(headers.get("content-transfer-encoding", ""))
        return cls(
            name=disposition.get("name"),
            # A form sends an empty file name if no file was chosen.
            has_file_name=bool(disposition.get("filename")),
            media_type=media_type,
            charset=type_parameters.get("charset", "utf-8"),
            transfer_encoding=transfer_encoding,
        )


# Clients send the same few blocks all the time, one for each annotation. Parsing one takes 20 times as long as a
# lookup.
_known_head = lru_cache(maxsize=512)(PartHead.read)


def read_head(block: bytes) -> PartHead:
    """Parse a block of headers. Raises what ``parse_headers`` raises."""
    return _known_head(block) if len(block) <= _SHORT_BLOCK else PartHead.read(block)


def parse_headers(block: bytes) -> dict[str, str]:
    """Parse the headers of a part. A line without a colon is ignored.

    Text is UTF-8, as RFC 7578 section 5.1 says. If it is not valid UTF-8, it is read as ISO 8859-1. Raises ``Refusal``
    (``TOO_LARGE``) if there are too many lines.
    """
    if block.count(b"\r\n") > MAX_PART_HEADERS:
        raise Refusal(Reason.TOO_LARGE, "part headers")
    headers: dict[str, str] = {}
    for line in _FOLD.sub(b"", block).split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            headers.setdefault(_decode(name).strip().lower(), _decode(value).strip())
    return headers


def parse_parameters(header: str) -> tuple[str, dict[str, str]]:
    """Split ``form-data; name="a"; filename=b`` into the value in lower case and its parameters.

    Parameter names are returned in lower case. Values may be quoted or not (Fenix does not quote). Parameters after the
    first ``MAX_PARAMETERS`` are ignored. ``name*=`` takes precedence over ``name*0=``, and that over ``name=``.
    """
    value, semicolon, rest = header.partition(";")
    parameters: dict[str, str] = {}
    for match in islice(_PARAMETER.finditer(semicolon + rest), MAX_PARAMETERS):
        name, quoted, plain = match.groups()
        text = plain.strip() if quoted is None else _unescape(quoted)
        parameters.setdefault(name.strip().lower(), text)
    if any("*" in name for name in parameters):
        parameters = _with_extended(parameters)
    return value.strip().lower(), parameters


def _unescape(quoted: str) -> str:
    """Remove each backslash that stands before a quotation mark or another backslash. Clients escape nothing else."""
    return "\\".join(piece.replace('\\"', '"') for piece in quoted.split("\\\\"))


def _with_extended(parameters: dict[str, str]) -> dict[str, str]:
    """Return the parameters. A parameter with an asterisk in its name is decoded, and loses the asterisk."""
    result = {name: text for name, text in parameters.items() if "*" not in name}
    for base in {name.partition("*")[0] for name in parameters if "*" in name}:
        if f"{base}*" in parameters:
            result[base] = _decode_extended([(parameters[f"{base}*"], True)])
        elif sections := _sections(parameters, base):
            result[base] = _decode_extended(sections)
    return result


def _sections(parameters: dict[str, str], base: str) -> list[tuple[str, bool]]:
    """Return the sections of a value that several parameters share, each with whether it has percent-escapes."""
    sections = []
    for number in count():
        for name, is_encoded in ((f"{base}*{number}*", True), (f"{base}*{number}", False)):
            if name in parameters:
                sections.append((parameters[name], is_encoded))
                break
        else:
            return sections
    raise AssertionError  # not reached: count() is endless, and the parameters are few


def _decode_extended(sections: list[tuple[str, bool]]) -> str:
    """Decode a value of RFC 5987 section 3.2. If it has more sections than one, it is one of RFC 2231.

    The charset is treated like that of a text annotation. Bytes that are not valid in it are read as ISO 8859-1, as in
    all headers.
    """
    charset = ""
    (first, is_encoded), *others = sections
    if is_encoded and first.count("'") >= len("''"):
        charset, _language, first = first.split("'", 2)
    data = b"".join(
        unquote_to_bytes(text) if is_encoded else text.encode("utf-8")
        for text, is_encoded in [(first, is_encoded), *others]
    )
    text = decode_text(data, charset)
    return data.decode("iso-8859-1") if text is None else text


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("iso-8859-1")
