# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Requests whose query string is no URI: some clients put the product and its version there as they are."""

import re
from typing import Any

from gunicorn.http.message import Request

_NOT_IN_A_URI = re.compile(rb"[^\x21-\x7e]")
_ENCODED = {bytes([byte]): b"%%%02X" % byte for byte in range(256)}  # RFC 3986 section 2.1


class AntennaRequest(Request):  # type: ignore[misc] # gunicorn comes without types
    """A request as gunicorn parses it, but for a query string with characters that RFC 3986 does not allow.

    Gunicorn refuses those, and the crash with them.
    """

    def parse_request_line(self, line_bytes: Any) -> None:
        """Parse ``line_bytes``, as gunicorn calls it."""
        super().parse_request_line(_with_a_query(bytes(line_bytes)))


def _with_a_query(line: bytes) -> bytes:
    """Return a request line in which all from the first question mark to the version is a query string."""
    before, mark, after = line.partition(b"?")
    query, space, version = after.rpartition(b" ")
    return before + mark + _NOT_IN_A_URI.sub(lambda byte: _ENCODED[byte[0]], query) + space + version
