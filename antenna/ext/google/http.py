# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Requests to Google's JSON APIs, over urllib3 and with Google's authentication.

A call of Google's own clients costs about 1 ms of CPU, a request here a third of that. Requests are not retried here,
since callers have a deadline and a spool. There is one exception: if a kept connection turns out to be gone, the
request is repeated at once.
"""

import http.client
import json
import os
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import google.auth.exceptions
import urllib3
import urllib3.exceptions
from google.auth.credentials import Credentials

from antenna.backend import BackendDenied, BackendError, CrashRefused, Deadline, NoAnswer, TimeLimit
from antenna.config import ConfigurationError
from antenna.ext.google.connection import KeptConnectionGoneError
from antenna.ext.google.credentials import SharedToken
from antenna.ext.google.pools import Connections
from antenna.ext.google.proxies import proxy_for
from antenna.hub import Turn

# Statuses that are about the request itself. The same request would get the same answer again.
_REFUSED = frozenset({400, 411, 413, 414, 415, 422, 431})
# Statuses that say that there is no permission, or no such bucket or topic. Only an operator can mend that. Any status
# that is in neither set may come from anything on the way, such as a proxy, and may be different the next time.
_DENIED = frozenset({401, 403, 404})

_NO_RETRIES = urllib3.Retry(total=False, redirect=False)
# Bytes of an answer that are put into the message of an error.
_MAX_REASON = 300
# Bytes of an answer that an error keeps, so that the storage finds the cause in them.
_MAX_DETAILS = 16 * 1024


class StatusError(BackendError):
    """An error status whose cause the caller may know better."""

    def __init__(self, message: str, *, details: str, is_repeat: bool) -> None:
        """``details`` is the answer. ``is_repeat``: the same request had been sent before, and was not answered."""
        super().__init__(message)
        self.details = details
        self.is_repeat = is_repeat


class Forbidden(BackendDenied, StatusError):
    """403: the collector has no permission, or an existing object must not be replaced."""


class PreconditionFailed(StatusError):
    """412: the state of things forbids the request, for example because an object exists."""


class TooManyRequests(StatusError):
    """429: the request may be repeated later, or less often."""


_STATUS_ERRORS = {403: Forbidden, 412: PreconditionFailed, 429: TooManyRequests}


class _Http(Protocol):
    """A pool of urllib3, a manager of pools, or one of these that adds a token."""

    def urlopen(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """Send a request and return the answer with its body. Raises ``urllib3.exceptions.HTTPError``."""


#: The body of a request. It is a function, so that the body can be sent a second time.
Body = Callable[[], Iterable[bytes]]


class GoogleHttp:
    """Sends requests to one host, with a token, over connections that are kept."""

    def __init__(self, endpoint: str, credentials: Credentials | None) -> None:
        """``endpoint`` is ``https://host`` or ``http://host:port``. ``credentials`` are refreshed when they expire.

        For an emulator ``credentials`` is None. Raises ``BackendConfigurationError`` if the environment names a proxy
        that cannot be used.
        """
        self._endpoint = endpoint
        self._connections = Connections()
        self._token = None if credentials is None else _shared_token(credentials, self._connections)
        self._open()

    @property
    def place(self) -> str:
        """The host that requests go to, and the proxy, for the log."""
        proxy = proxy_for(self._endpoint)
        return self._endpoint if proxy is None else f"{self._endpoint} through the proxy {proxy.url}"

    def get(self, path: str, deadline: Deadline) -> dict[str, Any]:
        """Send a GET request. Returns the JSON object of the answer. Raises what ``post`` raises."""
        return self._answer("GET", path, None, {}, deadline)

    def post(self, path: str, body: Body, headers: dict[str, str], deadline: Deadline) -> dict[str, Any]:
        """Send a POST request. Returns the JSON object of the answer. ``headers`` must have the Content-Length.

        Raises ``BackendError`` if it failed or the time is over, and ``CrashRefused`` if the same request will always
        fail.
        """
        return self._answer("POST", path, _Pieces(body), headers, deadline)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._connections.clear()
        self._open()

    def _open(self) -> None:
        manager = self._connections.manager(self._endpoint)
        # A proxy that forwards plain HTTP needs the whole URL. Otherwise the pool of the host is used directly, with
        # the path: to look the pool up for each request would take half as long as everything else that urllib3 does.
        self._is_forwarded = manager.proxy is not None and self._endpoint.startswith("http:")
        pool: _Http = manager if self._is_forwarded else manager.connection_from_url(self._endpoint)
        self._http: _Http = pool if self._token is None else _authorized(self._token, pool)

    def _answer(
        self, method: str, path: str, body: Iterable[bytes] | None, headers: dict[str, str], deadline: Deadline
    ) -> dict[str, Any]:
        url = self._endpoint + path if self._is_forwarded else path
        try:
            with TimeLimit(deadline.left()):
                answer, is_repeat = self._send(method, url, body, headers)
        except (
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            google.auth.exceptions.GoogleAuthError,
            OSError,
            ValueError,  # a header is not valid
        ) as error:
            raise _as_backend_error(error) from error
        if answer.status != HTTPStatus.OK:
            raise _error(answer.status, answer.data, is_repeat=is_repeat)
        return _decode(answer.data)

    def _send(
        self, method: str, url: str, body: Iterable[bytes] | None, headers: dict[str, str]
    ) -> tuple[urllib3.BaseHTTPResponse, bool]:
        """Send a request. If a kept connection was gone, send it again.

        Returns the answer, and whether it was sent again.
        """
        options: dict[str, Any] = {"body": body, "redirect": False, "decode_content": False, "retries": _NO_RETRIES}
        is_repeat = False
        # The headers are copied, because some are added on the way, such as the token, and these must not be sent
        # again.
        try:
            return self._http.urlopen(method, url, headers={**headers}, **options), False
        except urllib3.exceptions.ClosedPoolError:
            pass  # while this request waited for a token, another request closed all idle connections
        except urllib3.exceptions.HTTPError as error:
            if not isinstance(_cause_of(error), KeptConnectionGoneError):
                raise
            # The event that ended this connection may have ended all idle ones.
            self.close()
            is_repeat = True
        return self._http.urlopen(method, url, headers={**headers}, **options), is_repeat


class _Pieces:
    """A body that can be iterated several times. Between two pieces, other greenlets have their turn."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        turn = Turn()
        for piece in self._body():
            turn.pass_on()
            yield piece


def emulator_endpoint(variable: str) -> str | None:
    """Return the URL of the emulator that an environment variable names, or None.

    It may name a host and port, or a URL. Raises ``ConfigurationError``.
    """
    emulator = os.environ.get(variable, "").strip()
    if not emulator:
        return None
    url = emulator if "://" in emulator else f"http://{emulator}"
    if not _is_address(url):
        raise ConfigurationError(
            f"{variable} has a bad value {emulator!r}: expected a host and a port, such as 127.0.0.1:8085, or a URL."
        )
    return url.rstrip("/")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an IPv6 address that is none, or a port that is no number
        return False


def _shared_token(credentials: Credentials, connections: Connections) -> SharedToken:
    # This import takes 9 MiB of memory, most of it for cryptography.
    from google.auth.transport.urllib3 import Request  # noqa: PLC0415 - see above

    return SharedToken(credentials, Request(connections))


def _authorized(token: SharedToken, pool: _Http) -> _Http:
    """Return ``pool`` with a token for each request.

    If a server refuses the token, it is replaced, once in a request.
    """
    from google.auth.transport.urllib3 import AuthorizedHttp  # noqa: PLC0415 - see ``_shared_token``

    http: _Http = AuthorizedHttp(token, pool, max_refresh_attempts=1)
    return http


def _as_backend_error(error: Exception) -> BackendError:
    """Turn an error of one of the libraries into one of the backend.

    The libraries wrap the cause; the message states it.
    """
    cause: BaseException = error
    while inner := _cause_of(cause):
        cause = inner
    message = f"{type(cause).__name__}: {cause}"
    return NoAnswer(message) if isinstance(cause, TimeoutError) else BackendError(message)


def _cause_of(error: BaseException) -> BaseException | None:
    if not isinstance(error, urllib3.exceptions.HTTPError):
        return None
    inner = error.args[-1] if error.args else None
    return inner if isinstance(inner, BaseException) else error.__cause__


def _error(status: int, data: bytes, *, is_repeat: bool) -> BackendError | CrashRefused:
    message = f"status {status}: {data[:_MAX_REASON].decode('ascii', 'replace')}"
    if status in _STATUS_ERRORS:
        details = data[:_MAX_DETAILS].decode("utf-8", "replace")
        return _STATUS_ERRORS[status](message, details=details, is_repeat=is_repeat)
    if status in _DENIED:
        return BackendDenied(message)
    return CrashRefused(message) if status in _REFUSED else BackendError(message)


def _decode(data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BackendError("the answer is not JSON") from error
    if not isinstance(answer, dict):
        raise BackendError("the answer is not a JSON object")
    return answer
