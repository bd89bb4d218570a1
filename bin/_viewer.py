# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Reads crashes from a viewer on another machine."""

import json
import os
from typing import Any
from urllib.parse import quote

from bin import _common, _python  # isort: split

_python.require_packages()

import requests  # noqa: E402 - needs the packages

from antenna.backend import BackendError  # noqa: E402 - needs the packages

#: The environment variables with the URL of the viewer and with its token. Crash Stats' tools use the last name.
URL, TOKENS = "VIEWER_URL", ("VIEWER_PROTECTED_TOKEN", "VIEWER_TOKEN", "CRASHSTATS_API_TOKEN")

# Seconds to connect, and between two pieces of an answer.
_TIMEOUTS = (10, 60)


def url() -> str:
    """Return the URL of the viewer that the environment names, or "" if it names none."""
    return os.environ.get(URL, "").strip().rstrip("/")


class Viewer:
    """Asks a viewer for crashes. If it does not answer as expected, this raises ``BackendError``."""

    def __init__(self, base: str) -> None:
        """``base`` is the viewer's URL. The token comes from the environment."""
        if not base.startswith(("http://", "https://")):
            raise _common.ToolError(f"{base!r} is no URL of a viewer: it begins with http:// or https://")
        self.place = base
        self._session = requests.Session()
        # Without this, requests would replace the token by credentials in a .netrc.
        self._session.auth = lambda request: request
        token = next((os.environ[name].strip() for name in TOKENS if os.environ.get(name)), "")
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def json(self, path: str, params: list[tuple[str, str]] | None = None) -> Any:
        """Return the JSON at a path."""
        content = self.get(path, params)
        try:
            return None if content is None else json.loads(content)
        except ValueError as error:
            raise BackendError(f"{self.place}{path}: the answer is not JSON; is this a viewer?") from error

    def get(self, path: str, params: list[tuple[str, str]] | None = None) -> bytes | None:
        """Return the content at a path, or None if there is nothing."""
        try:
            answer = self._session.get(self.place + path, params=params, timeout=_TIMEOUTS, allow_redirects=False)
        except requests.RequestException as error:
            raise BackendError(f"{self.place} cannot be reached: {error}") from error
        if answer.status_code == requests.codes.not_found:
            return None
        if answer.status_code in {301, 302, 303, 307, 308, 401, 403}:
            raise BackendError(f"{self.place}{path} needs a token ({_reason(answer)}): set {' or '.join(TOKENS[:2])}")
        if answer.status_code != requests.codes.ok:
            raise BackendError(f"{self.place}: {_reason(answer)}")
        return answer.content


class ViewerStorage:
    """The objects of the crashes that a viewer shows, under the names that they have in a storage."""

    def __init__(self, viewer: Viewer) -> None:
        """The viewer's token must be the one for protected data."""
        self._viewer = viewer
        self.place = viewer.place

    def load(self, path: str) -> bytes | None:
        """Return an object, or None if it does not exist. Raises ``BackendError``."""
        kind, *_, crash_id = path.removeprefix("v1/").split("/")
        if kind == "raw_crash":
            return self._viewer.get(f"/report/{crash_id}/raw")
        if kind == "dump_names":
            raw_crash = self._viewer.json(f"/report/{crash_id}/raw")
            return None if raw_crash is None else json.dumps(sorted(_dump_names(raw_crash))).encode()
        name = "upload_file_minidump" if kind == "dump" else kind
        return self._viewer.get(f"/report/{crash_id}/dump/{quote(name, safe='')}")


def _dump_names(raw_crash: Any) -> list[str]:
    try:
        return list(raw_crash["metadata"]["dump_checksums"])
    except (KeyError, TypeError) as error:
        raise BackendError("the raw crash does not name its dumps") from error


def _reason(answer: requests.Response) -> str:
    try:
        found = answer.json()
        return str(found.get("error") or found.get("title") or answer.reason)
    except (ValueError, AttributeError):
        return f"{answer.status_code} {answer.reason}"
