# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The id of the request that a greenlet serves, for its log records."""

import re
import secrets
from contextvars import ContextVar

# Gateways and load balancers give each request an id. Others could write anything into the log.
_WELL_FORMED = re.compile(r"[0-9A-Za-z-]{1,64}")

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def begin_request(given: str | None) -> None:
    """From now on this greenlet serves another request. ``given``: its ``X-Request-ID``, if it has one."""
    _current.set(given if given is not None and _WELL_FORMED.fullmatch(given) else secrets.token_hex(8))


def end_request() -> None:
    """This greenlet waits for another request, of which nothing is known yet."""
    _current.set(None)


def request_id() -> str | None:
    """Return the id of the request that this greenlet serves, None where there is none."""
    return _current.get()
