# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Requests to Google's JSON APIs: with Google's authentication, at a fraction of the CPU of Google's clients.

The convenience calls of the clients cost about 1 ms of CPU each, urllib3 a third of that. Retries are not made here:
who calls has a deadline and a spool.
"""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import gevent
import google.auth
import google.auth.exceptions
from google.auth.credentials import Credentials

from antenna.backend import (
    BackendConfigurationError,
    BackendDenied,
    BackendError,
    CrashRefused,
    Deadline,
    NoAnswer,
    TimeLimit,
)
from antenna.ext.google.http_answer import Answer, read_answer
from antenna.hub import Turn, unread_bytes

# Answers that are about the request itself: the same one will get the same again. Others may come of anything on the
# way, such as a proxy; of these an operator has to mend the second kind: no permission, no such bucket or topic.
_REFUSED = frozenset({400, 411, 413, 414, 415, 422, 431})
_NOT_OURS = frozenset({401, 403, 404})

# A connection that has been idle for longer, in seconds, may have been closed at the other end.
_MAX_IDLE = 60.0
# Idle connections that are kept; more are made when needed, and closed after use.
_MAX_KEPT = 128
# A connection that was idle for longer than the first, in seconds, may be dead without a sign, as when a router has
# forgotten it. A request that can be repeated gives it half of the time there is, and no less than the second.
_FRESH = 1.0
_DEAD_AFTER = 2.5

# What a connection raises that was closed at the other end while it was idle; the last two over TLS.
_CLOSED_MEANWHILE = (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError, ssl.SSLZeroReturnError)

# Pieces that are together no larger are sent together.
_SMALL = 64 * 1024

#: The body of a request. A function makes it anew if the request has to be sent a second time.
Body = Callable[[], Iterable[bytes]]


class GoogleHttp:
    """Sends requests to one host with a credential's token, over connections that are kept."""

    def __init__(self, endpoint: str, credentials: Credentials | None, *, repeatable: bool = False) -> None:
        """``endpoint`` is ``https://host`` or ``http://host:port``; ``credentials`` are refreshed as they expire.

        Emulators want none. With ``repeatable``, requests that have been sent and not answered may be sent again.
        """
        url = urlsplit(endpoint)
        self._netloc = url.netloc
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._endpoint = endpoint
        self._credentials = credentials
        self._repeatable = repeatable
        self._refresh = None if credentials is None else _refresh_request()
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []

    def get(self, path: str, deadline: Deadline) -> dict[str, Any]:
        """GET and return the JSON object of the answer. Raises as ``post`` does."""
        return self._answer("GET", path, None, {}, deadline)

    def post(self, path: str, body: Body, headers: dict[str, str], deadline: Deadline) -> dict[str, Any]:
        """POST and return the JSON object of the answer. ``headers`` have the Content-Length.

        Raises ``BackendError`` if it did not work, also when it is too late; ``CrashRefused`` if it never will.
        """
        return self._answer("POST", path, body, headers, deadline)

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop()[0].close()

    def _answer(
        self, method: str, path: str, body: Body | None, headers: dict[str, str], deadline: Deadline
    ) -> dict[str, Any]:
        try:
            with TimeLimit(deadline.left()):
                if self._credentials is not None:
                    self._credentials.before_request(self._refresh, method, self._endpoint + path, headers)
                answer = self._send(method, path, body, headers, deadline)
        except TimeoutError as error:  # of the socket, in the same moment as that of the block
            raise NoAnswer(f"{type(error).__name__}: {error}") from error
        except (http.client.HTTPException, google.auth.exceptions.GoogleAuthError, OSError) as error:
            raise BackendError(f"{type(error).__name__}: {error}") from error
        if answer.status == HTTPStatus.UNAUTHORIZED and self._credentials is not None:
            # Revoked, or the clocks differ: the next attempt gets a new token, however long this one would have lasted.
            self._credentials.token = None
        if answer.status != HTTPStatus.OK:
            raise _error(answer.status, answer.data)
        return _decode(answer.data)

    def _send(self, method: str, path: str, body: Body | None, headers: dict[str, str], deadline: Deadline) -> Answer:
        connection, idle = self._idle_connection()
        if connection is not None:
            left = deadline.left()
            may_be_dead = self._repeatable and idle > _FRESH
            try:
                # Its time-out is still that of an earlier request.
                connection.sock.settimeout(min(left, max(left / 2, _DEAD_AFTER)) if may_be_dead else left)
                return self._exchange(connection, method, path, body, headers)
            except _CLOSED_MEANWHILE:
                pass  # all our requests can be sent twice, but no time is to be lost
            except TimeoutError:
                self.close()  # what has killed one connection may have killed all that were idle
                if not self._repeatable or not deadline.left():
                    raise
            except gevent.Timeout:
                self.close()
                raise
        connection = self._new_connection(deadline)
        return self._exchange(connection, method, path, body, headers)

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Body | None,
        headers: dict[str, str],
    ) -> Answer:
        try:
            if connection.sock is None:
                connection.connect()
            fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            head = f"{method} {path} HTTP/1.1\r\nHost: {self._netloc}\r\n{fields}\r\n".encode("latin-1")
            _send_pieces(connection.sock, head, body() if body else ())
            answer = read_answer(connection.sock)
        except BaseException:
            connection.close()
            raise
        if answer.is_last or len(self._idle) >= _MAX_KEPT:
            connection.close()
        else:
            self._idle.append((connection, time.monotonic()))
        return answer

    def _idle_connection(self) -> tuple[http.client.HTTPConnection | None, float]:
        """Return the connection that was used last, the likeliest to be still open, and for how long it was idle."""
        while self._idle:
            connection, since = self._idle.pop()
            idle = time.monotonic() - since
            if idle > _MAX_IDLE:
                self._idle.append((connection, since))
                self.close()  # the others have been idle for even longer
            elif unread_bytes(connection.sock):
                connection.close()  # what nobody has asked for would be taken for the answer to what is asked next
            else:
                return connection, idle
        return None, 0.0

    def _new_connection(self, deadline: Deadline) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._netloc, timeout=deadline.left())
        return http.client.HTTPSConnection(self._netloc, timeout=deadline.left(), context=self._tls)


def _send_pieces(connection: socket.socket, head: bytes, pieces: Iterable[bytes]) -> None:
    """Send a request, in as few packets as may be: http.client would send the head alone."""
    pending = head
    turn = Turn()
    for piece in pieces:
        turn.pass_on()
        if len(pending) + len(piece) <= _SMALL:
            pending += piece
        else:
            _send_all(connection, pending)
            pending = piece
    _send_all(connection, pending)


def _send_all(connection: socket.socket, data: bytes) -> None:
    """Send all of ``data``. gevent's own ``sendall`` asks the kernel for the size of its buffer each time."""
    left = memoryview(data)
    while left:
        left = left[connection.send(left) :]


def _refresh_request() -> Any:
    """Return what credentials send their requests with."""
    # What these import takes 9 MiB of memory, cryptography most of it.
    import google.auth.transport.urllib3  # noqa: PLC0415 - see above
    import urllib3  # noqa: PLC0415 - see above

    return google.auth.transport.urllib3.Request(urllib3.PoolManager())


def credentials_for(emulator: str | None, scopes: Sequence[str]) -> Credentials | None:
    """Return Google's application default credentials, and none for an emulator.

    Raises ``BackendConfigurationError`` if there are none.
    """
    if emulator:
        return None
    try:
        credentials, _ = google.auth.default(scopes=scopes)
    except google.auth.exceptions.GoogleAuthError as error:
        raise BackendConfigurationError(f"no credentials for Google Cloud: {error}") from error
    return credentials


def _error(status: int, data: bytes) -> BackendError | CrashRefused:
    message = f"status {status}: {data[:300].decode('ascii', 'replace')}"
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
