# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Requests to Google's JSON APIs, with Google's authentication over urllib3.

The convenience calls of Google's clients cost about 1 ms of CPU each, these a third of that. Retries are not made here:
callers have a deadline and a spool. But a request whose connection has ended while it was idle is sent again at once.
"""

import http.client
import json
import os
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, Protocol

import google.auth.exceptions
import urllib3
import urllib3.exceptions
from google.auth.credentials import Credentials

from antenna.backend import BackendDenied, BackendError, CrashRefused, Deadline, NoAnswer, TimeLimit
from antenna.ext.google.connection import KeptConnectionGoneError
from antenna.ext.google.credentials import SharedToken
from antenna.ext.google.pools import Connections
from antenna.ext.google.proxies import proxy_for
from antenna.hub import Turn

# Answers that are about the request itself: the same one will get the same again. Others may come of anything on the
# way, such as a proxy; of these an operator has to mend the second kind: no permission, no such bucket or topic.
_REFUSED = frozenset({400, 411, 413, 414, 415, 422, 431})
_NOT_OURS = frozenset({401, 403, 404})

_NO_RETRIES = urllib3.Retry(total=False, redirect=False)
# Of an answer, what goes into the message of an error.
_MAX_REASON = 300
_MAX_DETAILS = 16 * 1024


class StatusError(BackendError):
    """A status that callers may know more about than that it is an error."""

    def __init__(self, message: str, *, details: str, is_repeat: bool) -> None:
        """``details`` are the answer; ``is_repeat``: the same request had been sent before, and got no answer."""
        super().__init__(message)
        self.details = details
        self.is_repeat = is_repeat


class Forbidden(BackendDenied, StatusError):
    """403: we may not, or nobody may do it to an object that is there."""


class PreconditionFailed(StatusError):
    """412: not while things are as they are, for example an object that is there."""


class TooManyRequests(StatusError):
    """429: later, or less often."""


_STATUS_ERRORS = {403: Forbidden, 412: PreconditionFailed, 429: TooManyRequests}


class _Http(Protocol):
    """A pool of urllib3, a manager of pools, or either with a token."""

    def urlopen(self, method: str, url: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """Send a request and return the answer with its body. Raises ``urllib3.exceptions.HTTPError``."""


#: The body of a request. A function makes it anew if the request has to be sent a second time.
Body = Callable[[], Iterable[bytes]]


class GoogleHttp:
    """Sends requests to one host with a credential's token, over connections that are kept."""

    def __init__(self, endpoint: str, credentials: Credentials | None) -> None:
        """``endpoint`` is ``https://host`` or ``http://host:port``; ``credentials`` are refreshed as they expire.

        Emulators want none. Raises ``BackendConfigurationError`` for a proxy in the environment that cannot be used.
        """
        self._endpoint = endpoint
        self._connections = Connections()
        self._token = None if credentials is None else _shared_token(credentials, self._connections)
        self._open()

    @property
    def place(self) -> str:
        """Where requests go, for the log."""
        proxy = proxy_for(self._endpoint)
        return self._endpoint if proxy is None else f"{self._endpoint} through the proxy {proxy.url}"

    def get(self, path: str, deadline: Deadline) -> dict[str, Any]:
        """GET and return the JSON object of the answer. Raises as ``post`` does."""
        return self._answer("GET", path, None, {}, deadline)

    def post(self, path: str, body: Body, headers: dict[str, str], deadline: Deadline) -> dict[str, Any]:
        """POST and return the JSON object of the answer. ``headers`` have the Content-Length.

        Raises ``BackendError`` if it did not work, also when it is too late; ``CrashRefused`` if it never will.
        """
        return self._answer("POST", path, _Pieces(body), headers, deadline)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._connections.clear()
        self._open()

    def _open(self) -> None:
        manager = self._connections.manager(self._endpoint)
        # A proxy that passes plain requests on is told the whole URL. Elsewhere the path is enough, for the pool of the
        # host: looking it up for each request would take half as long as the rest of what urllib3 does.
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
            ValueError,  # of headers that are none
        ) as error:
            raise _as_backend_error(error) from error
        if answer.status != HTTPStatus.OK:
            raise _error(answer.status, answer.data, is_repeat=is_repeat)
        return _decode(answer.data)

    def _send(
        self, method: str, url: str, body: Iterable[bytes] | None, headers: dict[str, str]
    ) -> tuple[urllib3.BaseHTTPResponse, bool]:
        """Send a request, and again if a connection was gone that had been idle; return the answer, and if it was."""
        options: dict[str, Any] = {"body": body, "redirect": False, "decode_content": False, "retries": _NO_RETRIES}
        is_repeat = False
        # What is added on the way, such as the token, is not for the second time.
        try:
            return self._http.urlopen(method, url, headers={**headers}, **options), False
        except urllib3.exceptions.ClosedPoolError:
            pass  # while this request waited for a token, another one has found its connection gone
        except urllib3.exceptions.HTTPError as error:
            if not isinstance(_cause_of(error), KeptConnectionGoneError):
                raise
            # What has ended one connection may have ended all that were idle.
            self.close()
            is_repeat = True
        return self._http.urlopen(method, url, headers={**headers}, **options), is_repeat


class _Pieces:
    """A body that can be iterated again. Others have their turn between two pieces of it."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        turn = Turn()
        for piece in self._body():
            turn.pass_on()
            yield piece


def emulator_endpoint(variable: str) -> str | None:
    """Return the endpoint of the emulator that an environment variable names, as host and port or as a URL, if any."""
    emulator = os.environ.get(variable, "").rstrip("/")
    if not emulator:
        return None
    return emulator if "://" in emulator else f"http://{emulator}"


def _shared_token(credentials: Credentials, connections: Connections) -> SharedToken:
    # What this imports takes 9 MiB of memory, cryptography most of it.
    from google.auth.transport.urllib3 import Request  # noqa: PLC0415 - see above

    return SharedToken(credentials, Request(connections))


def _authorized(token: SharedToken, pool: _Http) -> _Http:
    """Return ``pool`` with a token for each request. A token that a server refuses is replaced, once a request."""
    from google.auth.transport.urllib3 import AuthorizedHttp  # noqa: PLC0415 - see ``_shared_token``

    http: _Http = AuthorizedHttp(token, pool, max_refresh_attempts=1)
    return http


def _as_backend_error(error: Exception) -> BackendError:
    """Return the error of a backend for one of the libraries: with its cause, which they wrap in words of their own."""
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
    if status in _NOT_OURS:
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
