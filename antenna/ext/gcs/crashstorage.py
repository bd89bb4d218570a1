# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A storage that saves crashes in a bucket of Google Cloud Storage."""

import logging
import uuid
from collections.abc import Iterator
from functools import cached_property
from typing import Any
from urllib.parse import quote

import google.auth.exceptions

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError, CrashRefused, Deadline
from antenna.config import ConfigManager, Option
from antenna.ext.crashstorage_base import BINARY, CrashStorageBase, StoredObject
from antenna.ext.gcs.upload import Upload
from antenna.ext.google.credentials import credentials_for
from antenna.ext.google.http import Forbidden, GoogleHttp, PreconditionFailed, TooManyRequests, emulator_endpoint

logger = logging.getLogger(__name__)

_ENDPOINT = "https://storage.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
# Seconds that a start, a health check, and one call that reads or deletes may take.
_START_TIMEOUT = 10.0
_HEALTH_TIMEOUT = 5.0
_READ_TIMEOUT = 60.0
# Seconds for which calls that read are retried. People wait for these, and by default Google's client retries for 120
# s.
_READ_RETRY_SECONDS = 15.0

# The permission to write, and the kind of the answer to the question which permissions there are:
# https://cloud.google.com/storage/docs/json_api/v1/buckets/testIamPermissions
_WRITE = "storage.objects.create"
_PERMISSIONS_ANSWER = "storage#testIamPermissionsResponse"

#: Prefix of the names of the objects that starts write, to check that the bucket can be written.
TEST_PREFIX = "test/"

# Texts in Google's answer if an object exists and must not be replaced. Either the bucket has a retention policy, or
# somebody has put a hold on the object, or the collector lacks the permission to delete, which replacing takes.
_IS_THERE = ("retentionPolicyNotMet", "objectUnderActiveHold", "storage.objects.delete")
# Number of uploads that are remembered. If there are more, the oldest is forgotten. A crash that is saved again soon
# still finds its uploads.
_MAX_REMEMBERED = 1000


class GcsCrashStorage(CrashStorageBase):
    """Stores each object with one request to the JSON API, and compares the checksum in the answer.

    An upload replaces an object of the same name, so it may be repeated. But some buckets let no object be replaced.
    There, if the answer to an upload was lost, the second upload is refused. Then the checksum of the object in the
    bucket shows whether the first one arrived. ``STORAGE_EMULATOR_HOST`` selects an emulator.
    """

    class Config:
        """Options. Credentials are Google's application default credentials."""

        bucket_name = Option(doc="Name of the bucket that crashes are saved in.")

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHSTORAGE``.

        Raises ``ConfigurationError`` and ``BackendConfigurationError``.
        """
        self.config = config.with_options(self)
        self.bucket_name: str = self.config("bucket_name")
        emulator = emulator_endpoint("STORAGE_EMULATOR_HOST")
        self._endpoint = emulator or _ENDPOINT
        self._credentials = credentials_for(emulator, _SCOPES)
        self._http = GoogleHttp(self._endpoint, self._credentials)
        bucket = quote(self.bucket_name, safe="")
        self._upload_path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&fields=crc32c&name="
        self._objects_path = f"/storage/v1/b/{bucket}/o/"
        self._list_path = f"/storage/v1/b/{bucket}/o?maxResults=1&fields=items(name)"
        self._permission_path = f"/storage/v1/b/{bucket}/iam/testPermissions?permissions={_WRITE}"
        # The checksums of uploads that have arrived, or may have arrived, by the names of their objects. If a crash is
        # saved again, all its objects are sent again.
        self._sent: dict[str, str] = {}

    @property
    def place(self) -> str:
        """The name and the host of the bucket."""
        return f"bucket {self.bucket_name} at {self._http.place}"

    @cached_property
    def client(self) -> Any:
        """Google's client, for tools that read. The server does not need it; it takes 16 MiB and 0.3 s of the start."""
        from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415 - see above
        from google.cloud import storage  # noqa: PLC0415 - see above

        # The client asks for a project, but an object belongs to a bucket, not to a project.
        return storage.Client(
            project="none",
            credentials=self._credentials or AnonymousCredentials(),
            client_options={"api_endpoint": self._endpoint},
        )

    def save_object(self, item: StoredObject, deadline: Deadline) -> None:
        """Upload an object.

        Raises ``BackendError``, also if the bucket reports another checksum than that of the content.
        """
        headers = {"Content-Type": item.content_type, "Content-Length": str(item.size)}
        upload = Upload(item)
        try:
            answer = self._http.post(self._upload_path + quote(item.path, safe=""), upload.pieces, headers, deadline)
        except (Forbidden, PreconditionFailed) as error:
            if not self._is_stored(item.path, upload, error, deadline):
                raise
        except BackendError:
            if upload.is_read:
                self._remember(item.path, upload)
            raise
        else:
            if answer.get("crc32c") != upload.checksum():
                raise BackendError("the bucket reports another checksum")
        self._remember(item.path, upload)

    def _remember(self, path: str, upload: Upload) -> None:
        self._sent[path] = upload.checksum()
        while len(self._sent) > _MAX_REMEMBERED:
            del self._sent[next(iter(self._sent))]

    def _is_stored(
        self, path: str, upload: Upload, refusal: Forbidden | PreconditionFailed, deadline: Deadline
    ) -> bool:
        """Whether an upload was refused because the same object, with the same content, exists already.

        Raises ``CrashRefused`` if an object with other content exists and must not be replaced.
        """
        try:
            found = self._http.get(f"{self._objects_path}{quote(path, safe='')}?fields=crc32c", deadline)
        except Forbidden:  # the collector may be allowed to write but not to read
            found = {}
        except (BackendError, CrashRefused):
            return False
        if "crc32c" in found:
            if found["crc32c"] == upload.checksum():
                return True
            if _names_an_object(refusal):
                raise CrashRefused(f"{path}: another object is there, and must not be replaced") from refusal
            return False
        # The checksum in the bucket is not known. But this process may have sent the same bytes before.
        was_sent = refusal.is_repeat or self._sent.get(path) == upload.checksum()
        return was_sent and _names_an_object(refusal)

    def list_paths(self, prefix: str) -> Iterator[str]:
        """Yield the names of objects that begin with ``prefix``. Raises ``BackendError``."""
        fields = "items(name),nextPageToken"
        try:
            for blob in self.client.list_blobs(self.bucket_name, prefix=prefix, fields=fields, **_read_options()):
                yield blob.name
        except _client_errors() as error:
            raise BackendError(f"bucket {self.bucket_name}: {error}") from error

    def load(self, path: str) -> bytes | None:
        """Download an object. Returns None if it does not exist. Raises ``BackendError``, also for a wrong checksum."""
        from google.api_core.exceptions import NotFound  # noqa: PLC0415 - see ``client``

        blob = self.client.bucket(self.bucket_name).blob(path)
        try:
            content: bytes = blob.download_as_bytes(**_read_options())
        except (NotFound, UnicodeEncodeError):  # no object has a name with half of a surrogate pair
            return None
        except _client_errors() as error:
            raise BackendError(f"{path}: {error}") from error
        return content

    def delete(self, path: str) -> None:
        """Delete an object. Raises ``BackendError``, also if the bucket's retention policy forbids it."""
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
        """Raise an exception if the bucket does not answer, or says that the collector may not write to it."""
        deadline = Deadline(_HEALTH_TIMEOUT)
        self._http.get(self._list_path, deadline)
        # This question needs no permission. Emulators, and stores of others with the same API, may not answer it.
        try:
            answer = self._http.get(self._permission_path, deadline)
        except (BackendError, CrashRefused):
            return
        if answer.get("kind") == _PERMISSIONS_ANSWER and _WRITE not in answer.get("permissions", ()):
            raise BackendDenied(f"no permission {_WRITE} for bucket {self.bucket_name}")

    def verify(self) -> None:
        """Write a small object.

        Raises ``BackendConfigurationError`` if the bucket does not exist or must not be written. The object has a new
        name each time, because Google allows one write of a name per second, and a bucket with a retention policy
        allows only one at all.
        """
        if self._endpoint != _ENDPOINT:
            logger.warning("crashes go to the emulator at %s: STORAGE_EMULATOR_HOST is set", self._endpoint)
        item = StoredObject(f"{TEST_PREFIX}{uuid.uuid4().hex}.txt", BINARY, b"test")
        try:
            self.save_object(item, Deadline(_START_TIMEOUT))
        except (TooManyRequests, PreconditionFailed) as error:
            logger.warning("bucket %s takes no test object now: %s", self.bucket_name, error)
        except (BackendDenied, CrashRefused) as error:
            if isinstance(error, Forbidden) and _names_an_object(error):
                return
            raise BackendConfigurationError(f"cannot write to bucket {self.bucket_name}: {error}") from error


def _names_an_object(error: Forbidden | PreconditionFailed) -> bool:
    """Whether Google has refused an upload because of an object that exists already."""
    return isinstance(error, PreconditionFailed) or any(reason in error.details for reason in _IS_THERE)


def _read_options() -> dict[str, Any]:
    """Return the options for calls of Google's client that read or delete."""
    from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: PLC0415 - see ``client``

    return {"timeout": _READ_TIMEOUT, "retry": DEFAULT_RETRY.with_timeout(_READ_RETRY_SECONDS)}


def _client_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that Google's client raises if the bucket is away or refuses."""
    import requests  # noqa: PLC0415 - see ``client``
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415 - see ``client``
    from google.cloud.storage.exceptions import DataCorruption  # noqa: PLC0415 - see ``client``

    return (GoogleAPIError, google.auth.exceptions.GoogleAuthError, requests.RequestException, DataCorruption, OSError)
