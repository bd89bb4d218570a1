# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Google's JSON APIs, for looking into them: what the collector itself does not need."""

import os
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from bin import _common, _python  # isort: split

_python.require_packages()

import google.auth  # noqa: E402 - needs the packages
import requests  # noqa: E402 - needs the packages
from google.auth.exceptions import GoogleAuthError  # noqa: E402 - needs the packages
from google.auth.transport.requests import AuthorizedSession  # noqa: E402 - needs the packages
from urllib3.util import Retry  # noqa: E402 - needs the packages

# What calls raise besides ``ToolError``.
ERRORS = (GoogleAuthError, requests.RequestException, OSError)

TIMEOUT = 60.0
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_RETRY = Retry(total=3, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False)


class GoogleApi:
    """An API of Google, or an emulator of it, with the application default credentials."""

    def __init__(self, url: str, emulator: str | None) -> None:
        """``emulator``, host and port or a URL, takes the place of the host of ``url``."""
        if emulator:
            host = emulator if "://" in emulator else f"http://{emulator}"
            self._url = host.rstrip("/") + "/" + url.split("/", 3)[3]
            self._session = requests.Session()
        else:
            self._url = url
            credentials, _ = google.auth.default(scopes=SCOPES)
            self._session = AuthorizedSession(credentials)
        adapter = requests.adapters.HTTPAdapter(max_retries=_RETRY)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Return an answer of status 200 or 204. Raises ``ToolError``, a ``StatusError`` for another status."""
        try:
            answer = self._session.request(method, self._url + path, json=body, params=params, timeout=TIMEOUT)
        except requests.ConnectionError as error:
            reason = str(error).rpartition(": ")[2].strip("\"')")
            raise _common.ToolError(f"cannot reach {self._url}: {reason}") from error
        if answer.status_code not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
            raise StatusError(answer)
        return answer

    def call(self, method: str, path: str, body: object = None, **options: Any) -> dict[str, Any]:
        """Return the JSON object of the answer. Raises as ``request`` does."""
        content: dict[str, Any] = self.request(method, path, body, **options).json()
        return content

    def make(self, method: str, path: str, body: object, **options: Any) -> bool:
        """Make a thing; say whether it was not there before. Raises as ``request`` does."""
        try:
            self.request(method, path, body, **options)
        except StatusError as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    def items(self, path: str, key: str, **params: str) -> Iterator[Any]:
        """Yield the items of a list, page by page. Raises as ``request`` does."""
        while True:
            page = self.call("GET", path, params=params)
            yield from page.get(key, ())
            if not page.get("nextPageToken"):
                return
            params["pageToken"] = page["nextPageToken"]


class StatusError(_common.ToolError):
    """The API refuses."""

    def __init__(self, answer: requests.Response) -> None:
        """Take the message out of the answer, if there is one."""
        try:
            message = answer.json()["error"]["message"]
        except (ValueError, KeyError, TypeError):
            message = answer.text.strip()
        super().__init__(f"{answer.request.method} {answer.url}: status {answer.status_code}: {message}")
        self.status = answer.status_code


def pubsub() -> GoogleApi:
    """Return Cloud Pub/Sub: https://cloud.google.com/pubsub/docs/reference/rest ."""
    return GoogleApi("https://pubsub.googleapis.com/v1/", os.environ.get("PUBSUB_EMULATOR_HOST"))


def gcs() -> GoogleApi:
    """Return Cloud Storage: https://cloud.google.com/storage/docs/json_api/v1 ."""
    return GoogleApi("https://storage.googleapis.com/storage/v1/", os.environ.get("STORAGE_EMULATOR_HOST"))
