# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Crashes in a bucket of Google Cloud Storage."""

import base64
import os
from collections.abc import Iterator
from urllib.parse import quote

import google.api_core.exceptions
import google.auth
import google.auth.exceptions
import google_crc32c
import requests
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY

from antenna.backend import BackendConfigurationError, BackendError, Deadline, TimeLimit
from antenna.blocking import iterate_blocking
from antenna.config import ConfigManager, Option
from antenna.crash_report import Dump
from antenna.ext.crashstorage_base import BINARY, CrashStorageBase, StoredObject
from antenna.ext.google_http import GoogleHttp

_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
_START_TIMEOUT = 10.0
_HEALTH_TIMEOUT = 5.0
_READ_TIMEOUT = 60.0
# For tools: a person waits for them.
_READ_RETRY = DEFAULT_RETRY.with_timeout(20.0)

# What Google's client raises when the bucket is away or refuses.
_ERRORS = (
    google.api_core.exceptions.GoogleAPIError,
    google.auth.exceptions.GoogleAuthError,
    requests.RequestException,
    OSError,
)

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
        credentials = _credentials()
        # Objects belong to a bucket, not to a project, but the client wants to hear of one.
        self.client = storage.Client(project="none", credentials=credentials)
        self._http = GoogleHttp(credentials)
        endpoint = self.client.api_endpoint.rstrip("/")
        bucket = quote(self.bucket_name, safe="")
        self._upload_url = f"{endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=media&name="

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        """Upload an object. Raises ``BackendError``, also if what arrived there is not what was sent."""
        headers = {"Content-Type": item.content_type, "Content-Length": str(item.size)}
        body = b"".join(item.pieces()) if item.in_memory else iterate_blocking(item.pieces())
        answer = self._http.post(self._upload_url + quote(item.path, safe=""), body, headers, deadline)
        if answer.get("crc32c") != base64.b64encode(_crc32c(item)).decode("ascii"):
            raise BackendError("the bucket reports another checksum")

    def list_paths(self, prefix: str) -> Iterator[str]:
        """Yield the names of objects that begin with ``prefix``. Raises ``BackendError``."""
        fields = "items(name),nextPageToken"
        try:
            for blob in self.client.list_blobs(
                self.bucket_name, prefix=prefix, fields=fields, timeout=_READ_TIMEOUT, retry=_READ_RETRY
            ):
                yield blob.name
        except _ERRORS as error:
            raise BackendError(f"bucket {self.bucket_name}: {error}") from error

    def load(self, path: str) -> bytes | None:
        """Download an object, None if there is none. Raises ``BackendError``, also for a wrong checksum."""
        blob = self.client.bucket(self.bucket_name).blob(path)
        try:
            content: bytes = blob.download_as_bytes(timeout=_READ_TIMEOUT, retry=_READ_RETRY)
        except google.api_core.exceptions.NotFound:
            return None
        except (*_ERRORS, DataCorruption) as error:
            raise BackendError(f"{path}: {error}") from error
        return content

    def check_health(self) -> None:
        """Raise an exception if the bucket does not answer."""
        with TimeLimit(_HEALTH_TIMEOUT):
            list(self.client.list_blobs(self.bucket_name, max_results=1, timeout=_HEALTH_TIMEOUT, retry=None))

    def verify(self) -> None:
        """Write a small object. Raises ``BackendConfigurationError`` for a bucket that is not there or not ours."""
        item = StoredObject(TEST_OBJECT, BINARY, b"test")
        try:
            blob = self.client.bucket(self.bucket_name).blob(item.path)
            with TimeLimit(_START_TIMEOUT):
                blob.upload_from_string(b"test", timeout=_START_TIMEOUT, retry=None)
        except (google.api_core.exceptions.ClientError, ValueError) as error:
            if isinstance(error, google.api_core.exceptions.TooManyRequests):
                raise BackendError(str(error)) from error
            raise BackendConfigurationError(f"cannot write to bucket {self.bucket_name}: {error}") from error
        except _ERRORS as error:
            raise BackendError(f"bucket {self.bucket_name} is away: {error}") from error


def _credentials() -> Credentials:
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return AnonymousCredentials()
    try:
        credentials, _ = google.auth.default(scopes=_SCOPES)
    except google.auth.exceptions.GoogleAuthError as error:
        raise BackendConfigurationError(f"no credentials for Google Cloud Storage: {error}") from error
    return credentials


def _crc32c(item: StoredObject) -> bytes:
    if isinstance(item.content, Dump):
        return item.content.crc32c
    checksum: bytes = google_crc32c.value(item.content).to_bytes(4, "big")
    return checksum
