# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Crashes in a bucket of Google Cloud Storage."""

import base64
import logging
import os
from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any
from urllib.parse import quote

import google.auth.exceptions
import google_crc32c

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError, CrashRefused, Deadline
from antenna.config import ConfigManager, Option
from antenna.crash.report import Dump
from antenna.ext.crashstorage_base import BINARY, CrashStorageBase, StoredObject
from antenna.ext.google.credentials import credentials_for
from antenna.ext.google.http import GoogleHttp
from antenna.files import PIECE_SIZE
from antenna.hub import Turn, pread

logger = logging.getLogger(__name__)

_ENDPOINT = "https://storage.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
_START_TIMEOUT = 10.0
_HEALTH_TIMEOUT = 5.0
_READ_TIMEOUT = 60.0
# A person waits for what reads: the client would try for 120 s.
_READ_RETRY_SECONDS = 15.0

# Written at start to prove that the bucket can be written to.
TEST_OBJECT = "test/testwrite.txt"


class GcsCrashStorage(CrashStorageBase):
    """Stores objects through the JSON API, each in one request, and compares the checksum in the answer.

    An upload replaces an object of the same name, so a retry is safe. ``STORAGE_EMULATOR_HOST`` selects an emulator.
    """

    class Config:
        """Options. Credentials are Google's application default credentials."""

        bucket_name = Option(doc="Name of the bucket.")

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHSTORAGE``. Raises ``BackendConfigurationError``."""
        self.config = config.with_options(self)
        self.bucket_name: str = self.config("bucket_name")
        emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
        self._endpoint = _with_scheme(emulator).rstrip("/") if emulator else _ENDPOINT
        self._credentials = credentials_for(emulator, _SCOPES)
        self._verified = False
        self._http = GoogleHttp(self._endpoint, self._credentials)
        bucket = quote(self.bucket_name, safe="")
        self._upload_path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&fields=crc32c&name="
        self._list_path = f"/storage/v1/b/{bucket}/o?maxResults=1&fields=items(name)"

    @property
    def place(self) -> str:
        """The bucket."""
        return f"bucket {self.bucket_name} at {self._http.place}"

    @cached_property
    def client(self) -> Any:
        """Google's client, for tools that read. Serving does without: it takes 16 MiB and 0.3 s of the start."""
        from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415 - see above
        from google.cloud import storage  # noqa: PLC0415 - see above

        # Objects belong to a bucket, not to a project, but the client wants to hear of one.
        return storage.Client(
            project="none",
            credentials=self._credentials or AnonymousCredentials(),
            client_options={"api_endpoint": self._endpoint},
        )

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        """Upload an object. Raises ``BackendError``, also if what arrived there is not what was sent."""
        headers = {"Content-Type": item.content_type, "Content-Length": str(item.size)}
        answer = self._http.post(self._upload_path + quote(item.path, safe=""), partial(_body, item), headers, deadline)
        if answer.get("crc32c") != base64.b64encode(_crc32c(item)).decode("ascii"):
            raise BackendError("the bucket reports another checksum")

    def list_paths(self, prefix: str) -> Iterator[str]:
        """Yield the names of objects that begin with ``prefix``. Raises ``BackendError``."""
        fields = "items(name),nextPageToken"
        try:
            for blob in self.client.list_blobs(self.bucket_name, prefix=prefix, fields=fields, **_read_options()):
                yield blob.name
        except _client_errors() as error:
            raise BackendError(f"bucket {self.bucket_name}: {error}") from error

    def load(self, path: str) -> bytes | None:
        """Download an object, None if there is none. Raises ``BackendError``, also for a wrong checksum."""
        from google.api_core.exceptions import NotFound  # noqa: PLC0415 - see ``client``

        blob = self.client.bucket(self.bucket_name).blob(path)
        try:
            content: bytes = blob.download_as_bytes(**_read_options())
        except NotFound:
            return None
        except _client_errors() as error:
            raise BackendError(f"{path}: {error}") from error
        return content

    def delete(self, path: str) -> None:
        """Delete an object. Raises ``BackendError``, also if the bucket keeps objects for a time."""
        from google.api_core.exceptions import NotFound  # noqa: PLC0415 - see ``client``

        try:
            self.client.bucket(self.bucket_name).blob(path).delete(**_read_options())
        except NotFound:
            return
        except _client_errors() as error:
            raise BackendError(f"{path}: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        if "client" in vars(self):
            self.client.close()

    def check_health(self) -> None:
        """Raise an exception if the bucket does not answer."""
        self._http.get(self._list_path, Deadline(_HEALTH_TIMEOUT))

    def verify(self) -> None:
        """Write a small object. Raises ``BackendConfigurationError`` for a bucket that is not there or not ours."""
        if self._endpoint != _ENDPOINT and not self._verified:
            logger.warning("crashes go to the emulator at %s: STORAGE_EMULATOR_HOST is set", self._endpoint)
        self._verified = True
        try:
            self.save_object(StoredObject(TEST_OBJECT, BINARY, b"test"), Deadline(_START_TIMEOUT))
        except (BackendDenied, CrashRefused) as error:
            raise BackendConfigurationError(f"cannot write to bucket {self.bucket_name}: {error}") from error


def _with_scheme(emulator: str) -> str:
    return emulator if "://" in emulator else f"http://{emulator}"


def _read_options() -> dict[str, Any]:
    """Return the options of calls of Google's client that read."""
    from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: PLC0415 - see ``client``

    return {"timeout": _READ_TIMEOUT, "retry": DEFAULT_RETRY.with_timeout(_READ_RETRY_SECONDS)}


def _client_errors() -> tuple[type[Exception], ...]:
    """Return what Google's client raises when the bucket is away or refuses."""
    import requests  # noqa: PLC0415 - see ``client``
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415 - see ``client``
    from google.cloud.storage.exceptions import DataCorruption  # noqa: PLC0415 - see ``client``

    return (GoogleAPIError, google.auth.exceptions.GoogleAuthError, requests.RequestException, DataCorruption, OSError)


def _body(item: StoredObject) -> Iterator[bytes]:
    return item.pieces(pread)


def _crc32c(item: StoredObject) -> bytes:
    if isinstance(item.content, Dump):
        return item.content.crc32c
    checksum = google_crc32c.Checksum()
    turn = Turn()
    for start in range(0, len(item.content), PIECE_SIZE):
        checksum.update(item.content[start : start + PIECE_SIZE])
        turn.pass_on()
    digest: bytes = checksum.digest()
    return digest
