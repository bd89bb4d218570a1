# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Google's credentials. They are found without waiting for a network, and asked for one token at a time."""

import logging
import os
import time
from collections.abc import Sequence
from typing import Any

import gevent
import google.auth
import google.auth.exceptions
from gevent.event import AsyncResult
from gevent.local import local
from google.auth.credentials import Credentials, TokenState, with_scopes_if_required

from antenna.backend import BackendConfigurationError, BackendError, NoAnswer, TimeLimit

logger = logging.getLogger(__name__)

# Seconds that a request for a token may take. The requests that wait for the token have deadlines of their own.
_TOKEN_TIMEOUT = 30.0
# Seconds between a failed request for a token and the next one. If a token server is overloaded, it must not be asked
# anew for each crash.
_PAUSE = 1.0
# Seconds for which a new token is kept, even if it expires soon or a server refuses it. Otherwise a server that refuses
# every token would make each request ask for a new one.
_YOUNG = 10.0


def credentials_for(emulator: str | None, scopes: Sequence[str]) -> Credentials | None:
    """Return Google's application default credentials. For an emulator, return None.

    If ``GOOGLE_APPLICATION_CREDENTIALS`` names a file, it is read now. Raises ``BackendConfigurationError`` if the file
    does not exist or is broken. Other credentials may have to be asked for over a network that may be away, so they are
    found only when a token is needed.
    """
    if emulator:
        return None
    if not os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return FoundCredentials(scopes)
    try:
        return _find(scopes)
    except (google.auth.exceptions.GoogleAuthError, OSError, ValueError) as error:
        raise BackendConfigurationError(f"no credentials for Google Cloud: {error}") from error


def _find(scopes: Sequence[str], request: Any = None) -> Credentials:
    """Return the application default credentials. Raises ``GoogleAuthError``, and what reading a file raises."""
    # If the scopes were passed here, google-auth would ask for the project of federated credentials over the network.
    credentials, _ = google.auth.default(request=request)
    scoped: Credentials = with_scopes_if_required(credentials, scopes)
    return scoped


class FoundCredentials(Credentials):
    """Credentials that are found when the first token is needed.

    If that fails, the next request for a token tries again.
    """

    def __init__(self, scopes: Sequence[str]) -> None:
        """``scopes`` are those of the tokens."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._scopes = scopes
        self._found: Credentials | None = None

    def refresh(self, request: Any) -> None:
        """Get a token. Raises ``GoogleAuthError``."""
        if self._found is None:
            self._found = _find(self._scopes, request)
        self._found.refresh(request)
        self.token, self.expiry = self._found.token, self._found.expiry
        self._quota_project_id = self._found.quota_project_id


class SharedToken(Credentials):
    """Credentials whose token many requests share. However many need a new token, it is asked for once.

    If a token expires in a few minutes, it is replaced in the background. Requests wait only if there is no valid
    token. If asking for one fails, the requests that wait fail. Requests in the next second fail as well, without
    asking again.
    """

    def __init__(self, credentials: Credentials, request: Any) -> None:
        """``credentials`` use ``request`` to ask for tokens."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._credentials = credentials
        self._request = request
        self._asking: AsyncResult[str | None] | None = None
        self._of_this_greenlet = local()
        self._made = self._refused = -_YOUNG
        self._failed = -_PAUSE
        self._failure = ""

    def before_request(self, request: Any, method: str, url: str, headers: dict[str, str]) -> None:
        """Put a token into the headers of a request. Raises ``BackendError`` if no token can be had."""
        state = self._credentials.token_state
        if state is TokenState.INVALID:
            self._wait_for_token()
        elif state is TokenState.STALE and time.monotonic() - self._made > _YOUNG and not self._has_just_failed():
            self._ask()
        self._of_this_greenlet.token = self._credentials.token
        self._credentials.apply(headers)

    def refresh(self, request: Any) -> None:
        """Replace the token that this greenlet has sent and that was refused. Raises ``BackendError`` if that fails."""
        if self._of_this_greenlet.token != self._credentials.token:
            return
        if self._asking is None:
            if time.monotonic() - self._refused < _YOUNG:
                return
            self._refused = time.monotonic()
        self._wait_for_token()

    def _wait_for_token(self) -> None:
        if self._has_just_failed():
            raise BackendError(self._failure)
        try:
            failure = self._ask().get()
        except gevent.Timeout as error:
            raise NoAnswer("no token for Google Cloud in time") from error
        if failure is not None:
            raise BackendError(failure)

    def _has_just_failed(self) -> bool:
        return time.monotonic() - self._failed < _PAUSE

    def _ask(self) -> "AsyncResult[str | None]":
        """Ask for a token in the background, unless another request for one is under way.

        The returned result becomes the failure, or None.
        """
        if self._asking is None:
            self._asking = AsyncResult()
            gevent.spawn(self._get_token, self._asking)
        return self._asking

    def _get_token(self, failure: "AsyncResult[str | None]") -> None:
        try:
            with TimeLimit(_TOKEN_TIMEOUT):
                self._credentials.refresh(self._request)
        except Exception as error:  # noqa: BLE001 - it is told to all that wait
            self._failure = f"no token for Google Cloud: {type(error).__name__}: {error}"
            self._failed = time.monotonic()
            if self._credentials.token_state is not TokenState.INVALID:
                logger.warning("%s. The present token expires at %s UTC", self._failure, self._credentials.expiry)
            failure.set(self._failure)
        else:
            self._made = time.monotonic()
            failure.set(None)
        finally:
            self._asking = None
