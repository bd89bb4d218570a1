# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Requests whose query string is no URI: some clients put the product and its version there as they are."""

import re
from typing import Any

from gunicorn.http.message import Request

# From the first question mark to the version. Nobody looks at what is in between.
_QUERY = re.compile(rb"(?<=\?).*(?= )", re.DOTALL)
_NOT_IN_A_URI = re.compile(rb"[^\x21-\x7e]")


class AntennaRequest(Request):  # type: ignore[misc] # gunicorn comes without types
    """A request as gunicorn parses it, but for a query string with characters that RFC 3986 does not allow.

    Gunicorn refuses those, and the crash with them.
    """

    def parse_request_line(self, line_bytes: Any) -> None:
        """Parse ``line_bytes``, as gunicorn calls it."""
        line = bytes(line_bytes)
        super().parse_request_line(_QUERY.sub(_quote, line, count=1))


def _quote(query: "re.Match[bytes]") -> bytes:
    """Percent-encode what may not stand in a query string (RFC 3986 section 2.1)."""
    return _NOT_IN_A_URI.sub(lambda byte: b"%%%02X" % byte[0][0], query[0])
