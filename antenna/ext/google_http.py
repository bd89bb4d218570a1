# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Requests to Google's JSON APIs: credentials and retries as in Google's client libraries, at a fraction of the CPU.

The convenience calls of the clients cost about 1 ms of CPU each, most of it in layers that a crash does not need.
"""

import json
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import google.auth
import google.auth.exceptions
import urllib3
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.transport.urllib3 import AuthorizedHttp

from antenna.backend import (
    BackendConfigurationError,
    BackendDenied,
    BackendError,
    CrashRefused,
    Deadline,
    TimeLimit,
)

# Answers that say nothing about the request itself. With 5xx, the first are what Google's clients retry; the others
# are an operator's to mend: no permission, no such bucket or topic.
_NOT_NOW = frozenset({408, 429})
_NOT_OURS = frozenset({401, 403, 404})

# Connections kept open to a backend; more are made when needed, and closed after use.
_POOL_SIZE = 128


class GoogleHttp:
    """A pool of connections that sends requests with a credential's token."""

    def __init__(self, credentials: Credentials) -> None:
        """``credentials`` are refreshed when they have expired."""
        pool = urllib3.PoolManager(num_pools=2, maxsize=_POOL_SIZE, block=False, retries=False)
        self._http = AuthorizedHttp(credentials, http=pool)

    def get(self, url: str, deadline: Deadline) -> dict[str, Any]:
        """GET and return the JSON object of the answer. Raises as ``post`` does."""
        return self._request("GET", url, None, {}, deadline)

    def post(
        self, url: str, body: bytes | Iterable[bytes], headers: dict[str, str], deadline: Deadline
    ) -> dict[str, Any]:
        """POST ``body`` and return the JSON object of the answer.

        Raises ``BackendError`` if it did not work, also when it is too late; ``CrashRefused`` if it never will.
        """
        return self._request("POST", url, body, headers, deadline)

    def _request(
        self, method: str, url: str, body: bytes | Iterable[bytes] | None, headers: dict[str, str], deadline: Deadline
    ) -> dict[str, Any]:
        try:
            with TimeLimit(deadline.left()):
                response = self._http.urlopen(
                    method, url, body=body, headers=headers, redirect=False, timeout=deadline.left()
                )
                data: bytes = response.data
        except (urllib3.exceptions.HTTPError, google.auth.exceptions.GoogleAuthError, OSError) as error:
            raise BackendError(f"{type(error).__name__}: {error}") from error
        if response.status != HTTPStatus.OK:
            raise _error(response.status, data)
        return _decode(data)


def credentials_for(emulator: str | None, scopes: Sequence[str]) -> Credentials:
    """Return Google's application default credentials, and none for an emulator.

    Raises ``BackendConfigurationError`` if there are none.
    """
    if emulator:
        return AnonymousCredentials()
    try:
        credentials, _ = google.auth.default(scopes=scopes)
    except google.auth.exceptions.GoogleAuthError as error:
        raise BackendConfigurationError(f"no credentials for Google Cloud: {error}") from error
    return credentials


def _error(status: int, data: bytes) -> BackendError | CrashRefused:
    message = f"status {status}: {data[:300].decode('ascii', 'replace')}"
    if status in _NOT_OURS:
        return BackendDenied(message)
    is_client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if is_client_error and status not in _NOT_NOW:
        return CrashRefused(message)
    return BackendError(message)


def _decode(data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise BackendError("the answer is not JSON") from error
    if not isinstance(answer, dict):
        raise BackendError("the answer is not a JSON object")
    return answer
