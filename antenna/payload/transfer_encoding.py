# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Decodes parts that have a Content-Transfer-Encoding (RFC 2045 section 6), which mail libraries send.

The content of such a part is decoded while it arrives. It is also kept as it came until the part ends, because only
then it is certain that all of it could be decoded.
"""

import binascii
from collections.abc import Callable
from typing import Protocol

from antenna.crash import Buffer, Room
from antenna.limits import MAX_BARE_EQUALS_SIGNS
from antenna.refusal import Reason, Refusal

#: Encodings that do not change the content.
IDENTITY = frozenset({"", "7bit", "8bit", "binary"})

_WHITE_SPACE = b" \t\r\n"
# Base64 encodes three bytes in four characters. At most two padding characters end it.
_GROUP = 4
_PADDING = b"="


class Damaged(Exception):
    """Raised if content is not encoded as its header says."""


class Decoder(Protocol):
    """Decodes content while it arrives."""

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes. Returns the decoded bytes that are complete. Raises ``Damaged``."""

    def close(self) -> bytes:
        """Return the decoded bytes that are left at the end of the content. Raises ``Damaged``."""


class Base64:
    """Base64 (RFC 2045 section 6.8).

    Only white space may stand between its characters, and the padding must be there. Otherwise the content was damaged
    or cut off.
    """

    def __init__(self) -> None:
        """Begin before the first character."""
        self._rest = b""
        self._has_ended = False

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes. Returns the decoded bytes that are complete. Raises ``Damaged``."""
        characters = self._rest + data.translate(None, _WHITE_SPACE)
        if characters and self._has_ended:
            raise Damaged
        size = len(characters) // _GROUP * _GROUP
        groups, self._rest = characters[:size], characters[size:]
        self._has_ended = groups.endswith(_PADDING)
        try:
            return binascii.a2b_base64(groups, strict_mode=True)
        except binascii.Error as error:
            raise Damaged from error

    def close(self) -> bytes:
        """Check that the content is complete. Raises ``Damaged`` if it is not. Returns no bytes."""
        if self._rest:
            raise Damaged
        return b""


class QuotedPrintable:
    """Quoted-printable (RFC 2045 section 6.7). As the RFC proposes, an equals sign that begins no escape is kept.

    If there are very many of these, the content is not quoted-printable, and counts as damaged.
    """

    def __init__(self) -> None:
        """Begin before the first character."""
        self._rest = b""
        self._bare = 0

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes. Returns the decoded bytes that are complete. Raises ``Damaged``."""
        text = self._rest + data
        self._bare += text.count(b"==") + text.count(b"=\r") - text.count(b"=\r\n")
        if self._bare > MAX_BARE_EQUALS_SIGNS:
            raise Damaged
        # Equals signs that begin no escape are escaped here, because Python's decoder would drop them. The first pass
        # misses the second of three in a row, so there are two passes. They take little time for any content. A regular
        # expression would take seconds for content that is full of escapes.
        text = text.replace(b"==", b"=3D=").replace(b"==", b"=3D=")
        escape = text.find(b"=", max(0, len(text) - len(b"=X")))  # an escape that may be incomplete
        text, self._rest = (text[:escape], text[escape:]) if escape >= 0 else (text, b"")
        return _decode_quoted_printable(text)

    def close(self) -> bytes:
        """Return the decoded bytes that are left at the end of the content."""
        return _decode_quoted_printable(self._rest)


def _decode_quoted_printable(text: bytes) -> bytes:
    # If a line ends in an equals sign and a carriage return, Python's decoder continues it to the next line feed.
    return binascii.a2b_qp(text.replace(b"=\r\n", b"=\n").replace(b"=\r", b"=3D\r"))


#: The encodings that are decoded.
DECODERS: dict[str, Callable[[], Decoder]] = {"base64": Base64, "quoted-printable": QuotedPrintable}


class EncodedContent:
    """The content of one part while it arrives, both as it comes and decoded."""

    def __init__(self, decoder: Decoder, room: Room, max_size: int) -> None:
        """Both forms of the content take some of ``room``.

        Each form may have ``max_size`` bytes. Decoding never makes content larger.
        """
        self._decoder = decoder
        self._max_size = max_size
        self._wire = Buffer(room)
        self._decoded = Buffer(room)
        self._is_damaged = False

    @property
    def size(self) -> int:
        """Bytes of the content that the client has sent so far, not decoded."""
        return self._wire.size

    def append(self, piece: bytes) -> None:
        """Take the next bytes. Raises ``Refusal`` (``TOO_LARGE``), and what ``Buffer`` raises."""
        if self._wire.size + len(piece) > self._max_size:
            raise Refusal(Reason.TOO_LARGE, "encoded content")
        self._wire.append(piece)
        self._decode(lambda: self._decoder.feed(piece))

    def finish(self) -> tuple[Buffer, bool]:
        """End the content. Returns the content, and whether it is decoded. Damaged content is returned as it came.

        The caller has to close the buffer. Raises what ``Buffer`` raises.
        """
        self._decode(self._decoder.close)
        if self._is_damaged:
            return self._wire, False
        self._wire.close()
        return self._decoded, True

    def close(self) -> None:
        """Release memory and temporary files. This is for the case that ``finish()`` was not called."""
        self._wire.close()
        self._decoded.close()

    def _decode(self, action: Callable[[], bytes]) -> None:
        if self._is_damaged:
            return
        try:
            if data := action():
                self._decoded.append(data)
        except Damaged:
            self._is_damaged = True
            self._decoded.close()
