# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The id of the request that a greenlet serves. Its log records have this id."""

import re
import secrets
from contextvars import ContextVar

# The form of the ids of gateways and load balancers. A client could send any text, which must not get into the log.
_WELL_FORMED = re.compile(r"[0-9A-Za-z-]{1,64}")

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def begin_request(given: str | None) -> None:
    """Record that this greenlet begins to serve a request. ``given`` is its ``X-Request-ID``, if it has one."""
    _current.set(given if given is not None and _WELL_FORMED.fullmatch(given) else secrets.token_hex(8))


def end_request() -> None:
    """Record that this greenlet has no request now, and waits for the next one."""
    _current.set(None)


def request_id() -> str | None:
    """Return the id of the request that this greenlet serves, or None."""
    return _current.get()
