# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A publisher that sends crash ids to a topic of Google Cloud Pub/Sub."""

import base64
import json
import logging
from urllib.parse import quote

import gevent
from gevent.event import AsyncResult

from antenna.backend import BackendConfigurationError, BackendDenied, BackendError, CrashRefused, Deadline, TimeLimit
from antenna.config import ConfigManager, Option, bounded, parse_duration
from antenna.ext.crashpublish_base import TEST_ID, CrashPublishBase
from antenna.ext.google.credentials import credentials_for
from antenna.ext.google.http import GoogleHttp, emulator_endpoint

logger = logging.getLogger(__name__)

_ENDPOINT = "https://pubsub.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/pubsub",)

# Seconds. Ids that are published within this time share one request, because a request costs about 1 ms of CPU.
_LINGER = 0.003
# Most ids in one request. Pub/Sub takes 1,000.
_MAX_BATCH = 500


class _Batch:
    """Ids that are published in one request, and its result."""

    def __init__(self) -> None:
        self.crash_ids: list[str] = []
        self.outcome: AsyncResult[None] = AsyncResult()


class PubSubCrashPublish(CrashPublishBase):
    """Publishes ids. The data of a message is the id in UTF-8, and it has no attributes.

    It uses REST with Google's authentication. gRPC would stop the gevent hub while it waits, and Google's client costs
    several times the CPU and 25 MiB of memory. ``PUBSUB_EMULATOR_HOST`` selects an emulator.
    """

    class Config:
        """Options. Credentials are Google's application default credentials."""

        project_id = Option(doc="Google Cloud project that the topic belongs to.")
        topic_name = Option(doc="Name of the topic, without its project.")
        timeout = Option(
            default="5s", parser=bounded(parse_duration, "0.01s"), doc="Time that one request to publish may take."
        )

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHPUBLISH``.

        Raises ``ConfigurationError`` and ``BackendConfigurationError``.
        """
        self.config = config.with_options(self)
        self._timeout: float = self.config("timeout")
        emulator = emulator_endpoint("PUBSUB_EMULATOR_HOST")
        self._endpoint = emulator or _ENDPOINT
        self._topic = f"projects/{self.config('project_id')}/topics/{self.config('topic_name')}"
        # The name of a topic may have a %, which has to be escaped.
        self._path = f"/v1/{quote(self._topic)}"
        self._http = GoogleHttp(self._endpoint, credentials_for(emulator, _SCOPES))
        self._batch: _Batch | None = None

    @property
    def place(self) -> str:
        """The name and the host of the topic."""
        return f"{self._topic} at {self._http.place}"

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        """Publish ``crash_id``, in one request together with other ids of the same moment."""
        batch = self._batch
        if batch is None:
            self._batch = batch = _Batch()
            gevent.spawn_later(_LINGER, self._send, batch)
        batch.crash_ids.append(crash_id)
        if len(batch.crash_ids) >= _MAX_BATCH:
            self._batch = None
        with TimeLimit(deadline.left()):
            batch.outcome.get()

    def _send(self, batch: _Batch) -> None:
        if self._batch is batch:
            self._batch = None
        try:
            self._publish(batch.crash_ids)
        except Exception as error:  # noqa: BLE001 - raised again in every crash that waits
            batch.outcome.set_exception(error)
        else:
            batch.outcome.set(None)

    def _publish(self, crash_ids: list[str]) -> None:
        """Publish several ids in one request. Raises ``BackendError`` and ``CrashRefused``."""
        messages = [{"data": base64.b64encode(crash_id.encode("utf-8")).decode("ascii")} for crash_id in crash_ids]
        body = json.dumps({"messages": messages}).encode("ascii")
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        answer = self._http.post(f"{self._path}:publish", lambda: [body], headers, Deadline(self._timeout))
        acknowledged = answer.get("messageIds")
        if not isinstance(acknowledged, list) or len(acknowledged) != len(crash_ids):
            raise BackendError("not every id was acknowledged")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def check_health(self) -> None:
        """Raise an exception if the topic does not answer or does not exist."""
        try:
            self._http.get(self._path, Deadline(self._timeout))
        except BackendDenied:
            # The role pubsub.publisher may publish, but not read the topic. Readers skip the test message.
            self._publish([TEST_ID])

    def verify(self) -> None:
        """Publish a test message.

        Raises ``BackendConfigurationError`` if the topic does not exist or must not be used.
        """
        if self._endpoint != _ENDPOINT:
            logger.warning("ids go to the emulator at %s: PUBSUB_EMULATOR_HOST is set", self._endpoint)
        try:
            self._publish([TEST_ID])
        except (BackendDenied, CrashRefused) as error:
            raise BackendConfigurationError(f"cannot publish to {self._topic}: {error}") from error
