# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Crash ids on a topic of Google Cloud Pub/Sub."""

import os

import gevent
import google.api_core.exceptions
import google.auth.exceptions
import requests
from gevent.event import AsyncResult
from google.auth.credentials import AnonymousCredentials
from google.pubsub_v1 import PublisherClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports.rest import PublisherRestTransport

from antenna.backend import BackendConfigurationError, BackendError, Deadline, TimeLimit
from antenna.config import ConfigManager, Option, bounded, parse_duration
from antenna.ext.crashpublish_base import TEST_ID, CrashPublishBase

# Crashes that come in within this time share one request: a request costs about 1 ms of CPU.
_LINGER = 0.003
# Pub/Sub takes 1,000 messages a request.
_MAX_BATCH = 500


class _Batch:
    """Ids that are published in one request, and its outcome."""

    def __init__(self) -> None:
        self.crash_ids: list[str] = []
        self.outcome: AsyncResult[None] = AsyncResult()


class PubSubCrashPublish(CrashPublishBase):
    """Publishes ids: data is the id in UTF-8, there are no attributes.

    Through Google's client on its REST transport: gRPC would stop the gevent hub while it waits.
    ``PUBSUB_EMULATOR_HOST`` selects an emulator.
    """

    class Config:
        """Options. Credentials are Google's application default credentials."""

        project_id = Option(doc="Google Cloud project of the topic.")
        topic_name = Option(doc="Name of the topic, without its project.")
        timeout = Option(
            default="5s", parser=bounded(parse_duration, "0.01s"), doc="Time one request to publish may take."
        )

    def __init__(self, config: ConfigManager) -> None:
        """``config`` has the namespace ``CRASHMOVER_CRASHPUBLISH``. Raises ``BackendConfigurationError``."""
        self.config = config.with_options(self)
        self._timeout: float = self.config("timeout")
        self._client = _make_client()
        self._topic = self._client.topic_path(self.config("project_id"), self.config("topic_name"))
        self._batch: _Batch | None = None

    def publish_crash(self, crash_id: str, deadline: Deadline) -> None:
        """Publish ``crash_id``, in one request with those of other crashes of the same moment."""
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
        try:
            with TimeLimit(self._timeout):
                response = self._client.publish(
                    topic=self._topic,
                    messages=[PubsubMessage(data=crash_id.encode("utf-8")) for crash_id in crash_ids],
                    retry=None,
                    timeout=self._timeout,
                )
        except (
            google.api_core.exceptions.GoogleAPIError,
            google.auth.exceptions.GoogleAuthError,
            requests.RequestException,
            OSError,
        ) as error:
            raise BackendError(f"{type(error).__name__}: {error}") from error
        if len(response.message_ids) != len(crash_ids):
            raise BackendError(f"{len(crash_ids)} ids sent, {len(response.message_ids)} acknowledged")

    def check_health(self) -> None:
        """Raise an exception if the topic does not answer, or is not there."""
        try:
            with TimeLimit(self._timeout):
                self._client.get_topic(topic=self._topic, retry=None, timeout=self._timeout)
        except google.api_core.exceptions.PermissionDenied:
            # roles/pubsub.publisher may publish and nothing else. Readers skip the test message.
            self._publish([TEST_ID])

    def verify(self) -> None:
        """Publish a test message. Raises ``BackendConfigurationError`` for a topic that is not there or not ours."""
        try:
            self._publish([TEST_ID])
        except BackendError as error:
            permanent = (google.api_core.exceptions.ClientError, google.auth.exceptions.DefaultCredentialsError)
            if isinstance(error.__cause__, permanent) and not isinstance(
                error.__cause__, google.api_core.exceptions.TooManyRequests
            ):
                raise BackendConfigurationError(f"cannot publish to {self._topic}: {error}") from error
            raise


def _make_client() -> PublisherClient:
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if emulator:
        transport = PublisherRestTransport(host=emulator, credentials=AnonymousCredentials(), url_scheme="http")
        return PublisherClient(transport=transport)
    try:
        return PublisherClient(transport="rest")
    except google.auth.exceptions.GoogleAuthError as error:
        raise BackendConfigurationError(f"no credentials for Google Cloud Pub/Sub: {error}") from error
