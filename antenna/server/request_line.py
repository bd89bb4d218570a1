# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Changes how gunicorn reads the head of a request, where gunicorn is stricter or laxer than crash reporters need.

* Some clients put the product and its version into the query string unescaped, which is not a valid URI.
* One limit bounds the request line and all headers together. It replaces gunicorn's limits on each header and on their
  number, because proxies add headers of many kB, such as client certificates.
* A body is sent in chunks or with a length. Gunicorn accepts other transfer codings before ``chunked``, and then does
  not decode them. They are refused here.
"""

import re
from typing import Any, NoReturn

from gunicorn.http.errors import (
    InvalidHeader,
    InvalidHeaderName,
    LimitRequestHeaders,
    ObsoleteFolding,
    ParseException,
)
from gunicorn.http.message import Request

from antenna.limits import MAX_HEAD_SIZE

_NOT_IN_A_URI = re.compile(rb"[^\x21-\x7e]")
_ENCODED = {bytes([byte]): b"%%%02X" % byte for byte in range(256)}  # RFC 3986 section 2.1
_TRANSFER_ENCODING = "TRANSFER-ENCODING"
# Bytes of a head up to which gunicorn gets each piece as it arrives. The heads of crash reporters have some 500.
_SMALL_HEAD = 2048


class UnsupportedTransferEncoding(ParseException):  # type: ignore[misc] # gunicorn comes without types
    """The request has a Transfer-Encoding that is not ``chunked``."""


class AntennaRequest(Request):  # type: ignore[misc] # gunicorn comes without types
    """Gunicorn's request, with the changes that the head of this module lists."""

    def parse(self, unreader: Any) -> Any:
        """Parse the head. Returns the bytes after it. Raises ``LimitRequestHeaders``. Gunicorn calls this."""
        return super().parse(_HeadReader(unreader))

    def parse_request_line(self, line_bytes: Any) -> None:
        """Parse the request line. Gunicorn calls this."""
        super().parse_request_line(_with_a_query(bytes(line_bytes)))

    def parse_headers(self, data: Any, from_trailer: bool = False) -> Any:  # noqa: FBT001, FBT002 - gunicorn's
        """Parse the headers. Gunicorn calls this."""
        try:
            return super().parse_headers(data, from_trailer)
        except (InvalidHeader, InvalidHeaderName, ObsoleteFolding) as error:
            if error.hdr.strip().upper() == _TRANSFER_ENCODING:
                _refuse_transfer_encoding()
            raise

    def set_body_reader(self) -> None:
        """Decide how the body is framed. Gunicorn calls this."""
        codings = [value.lower() for name, value in self.headers if name == _TRANSFER_ENCODING]
        if codings not in ([], ["chunked"]):
            _refuse_transfer_encoding()
        super().set_body_reader()


class _HeadReader:
    """Reads the head of a request, and no more bytes than a head may have.

    Gunicorn searches all of a head again with each piece that it gets. So it gets a large head in few pieces, however
    many the client sends. It gets a small head as it arrives, so that it notices at once if a client does not speak
    HTTP.
    """

    def __init__(self, unreader: Any) -> None:
        self._unreader = unreader
        self._size = 0
        self._last = b""

    def read(self) -> bytes:
        """Return the next bytes. At the end of the connection, return b"". Raises ``LimitRequestHeaders``."""
        data = self._receive()
        least = 0 if self._size < _SMALL_HEAD else self._size // 4
        while len(data) < least and not self._has_ended(data) and (more := self._receive()):
            data += more
        self._last = data[-3:]
        return data

    def _has_ended(self, data: bytes) -> bool:
        return b"\r\n\r\n" in self._last + data or self._size == MAX_HEAD_SIZE

    def _receive(self) -> bytes:
        left = MAX_HEAD_SIZE - self._size
        if not left:
            raise LimitRequestHeaders("request line and headers")
        data: bytes = self._unreader.read()
        if len(data) > left:
            self._unreader.unread(data[left:])
            data = data[:left]
        self._size += len(data)
        return data


def _refuse_transfer_encoding() -> NoReturn:
    raise UnsupportedTransferEncoding from None


def _with_a_query(line: bytes) -> bytes:
    """Escape the query string of a request line: everything from the first question mark to the version."""
    before, mark, after = line.partition(b"?")
    query, space, version = after.rpartition(b" ")
    return before + mark + _NOT_IN_A_URI.sub(lambda byte: _ENCODED[byte[0]], query) + space + version
