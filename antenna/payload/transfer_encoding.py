# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Content-Transfer-Encoding of parts (RFC 2045 section 6), which mail libraries use.

The content of such a part is decoded while it arrives, and kept as it came as well, until it has ended: only then is it
known whether all of it could be decoded.
"""

import binascii
from collections.abc import Callable
from typing import Protocol

from antenna.crash import Buffer, Room
from antenna.limits import MAX_BARE_EQUALS_SIGNS
from antenna.refusal import Reason, Refusal

#: Encodings that change nothing.
IDENTITY = frozenset({"", "7bit", "8bit", "binary"})

_WHITE_SPACE = b" \t\r\n"
# Base64 has three bytes in four characters, and ends in the second character of this kind at the latest.
_GROUP = 4
_PADDING = b"="


class Damaged(Exception):
    """The content is not encoded as its header says."""


class Decoder(Protocol):
    """Decodes content while it arrives."""

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes add to the decoded content. Raises ``Damaged``."""

    def close(self) -> bytes:
        """Return what is missing at the end of the content. Raises ``Damaged``."""


class Base64:
    """Base64 (RFC 2045 section 6.8).

    Only white space may stand between its characters, and the padding has to be there: anything else tells that the
    content was damaged, or cut off.
    """

    def __init__(self) -> None:
        """Begin before the first character."""
        self._rest = b""
        self._has_ended = False

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes add to the decoded content. Raises ``Damaged``."""
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
        """Return nothing more. Raises ``Damaged``."""
        if self._rest:
            raise Damaged
        return b""


class QuotedPrintable:
    """Quoted-printable (RFC 2045 section 6.7). What is no escape stays as it is, as the RFC proposes.

    Content that is full of equals signs that begin no escape is no quoted-printable at all.
    """

    def __init__(self) -> None:
        """Begin before the first character."""
        self._rest = b""
        self._bare = 0

    def feed(self, data: bytes) -> bytes:
        """Return what the next bytes add to the decoded content. Raises ``Damaged``."""
        text = self._rest + data
        self._bare += text.count(b"==") + text.count(b"=\r") - text.count(b"=\r\n")
        if self._bare > MAX_BARE_EQUALS_SIGNS:
            raise Damaged
        # What Python's decoder would drop is no escape. Twice, for three equals signs in a row. All this takes little
        # time whatever the content is; a regular expression would take seconds for one that is full of escapes.
        text = text.replace(b"==", b"=3D=").replace(b"==", b"=3D=")
        escape = text.find(b"=", max(0, len(text) - len(b"=X")))  # one that may not be complete yet
        text, self._rest = (text[:escape], text[escape:]) if escape >= 0 else (text, b"")
        return _decode_quoted_printable(text)

    def close(self) -> bytes:
        """Return what is missing at the end of the content."""
        return _decode_quoted_printable(self._rest)


def _decode_quoted_printable(text: bytes) -> bytes:
    # For Python's decoder, a line that ends in an equals sign and a carriage return goes on to the next line feed.
    return binascii.a2b_qp(text.replace(b"=\r\n", b"=\n").replace(b"=\r", b"=3D\r"))


#: The encodings that are decoded.
DECODERS: dict[str, Callable[[], Decoder]] = {"base64": Base64, "quoted-printable": QuotedPrintable}


class EncodedContent:
    """The content of a part while it arrives: as it comes, and decoded as far as that works."""

    def __init__(self, decoder: Decoder, room: Room, max_size: int) -> None:
        """Both take some of ``room``. ``max_size`` bounds what comes, and what is decoded, which is never more."""
        self._decoder = decoder
        self._max_size = max_size
        self._wire = Buffer(room)
        self._decoded = Buffer(room)
        self._is_damaged = False

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self._wire.size

    def append(self, piece: bytes) -> None:
        """Take the next bytes. Raises ``Refusal`` (``TOO_LARGE``), and as ``Buffer``."""
        if self._wire.size + len(piece) > self._max_size:
            raise Refusal(Reason.TOO_LARGE, "encoded content")
        self._wire.append(piece)
        self._decode(lambda: self._decoder.feed(piece))

    def finish(self) -> tuple[Buffer, bool]:
        """End the content; return it, and whether it is decoded: if it is damaged, it is as it came.

        The caller closes what is returned. Raises as ``Buffer``.
        """
        self._decode(self._decoder.close)
        if self._is_damaged:
            return self._wire, False
        self._wire.close()
        return self._decoded, True

    def close(self) -> None:
        """Give memory and temporary files back, where ``finish()`` was not reached."""
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
