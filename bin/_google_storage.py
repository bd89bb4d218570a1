# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Google's client for Cloud Storage, with the application default credentials, or for its emulator."""

import os
from typing import Any

from bin import _google  # isort: split

import google.auth
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

#: Options of calls. Since a person waits, they limit the retries. By default, the client retries for minutes.
OPTIONS: dict[str, Any] = {"timeout": 60.0, "retry": DEFAULT_RETRY.with_timeout(5.0)}


def client(project: str | None = None) -> storage.Client:
    """Return a client for Cloud Storage. Raises ``GoogleAuthError``.

    The client asks for a project, but an object belongs to a bucket, not to a project.
    """
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if not emulator:
        credentials, _ = google.auth.default(scopes=storage.Client.SCOPE)
        return storage.Client(project=project or "none", credentials=credentials)
    endpoint = {"api_endpoint": _google.with_scheme(emulator)}
    return storage.Client(project=project or "none", credentials=AnonymousCredentials(), client_options=endpoint)
