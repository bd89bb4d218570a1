# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Takes crash ids from a Pub/Sub subscription that only the viewer reads."""

import logging
import time
from collections.abc import Callable, Iterator

import grpc.experimental.gevent as grpc_gevent
from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError
from google.cloud.pubsub_v1 import SubscriberClient

from antenna.backend import BackendError
from antenna.crash import crash_id as crash_ids
from antenna.viewer.consumer.sources import Pending

logger = logging.getLogger(__name__)

# Most messages of one request, and seconds that a request waits while there are none.
_MESSAGES = 25
_WAIT = 5.0
# Seconds for which Pub/Sub delivers a message to nobody else, and seconds after which this time is extended. Reading a
# crash takes at most a minute.
_LEASE = 180
_RENEW = 60.0


class PubSubSource:
    """Pulls ids. An id is acknowledged when its crash is in the index. If it is not, Pub/Sub delivers it again."""

    def __init__(self, subscription: str) -> None:
        """``subscription`` is ``projects/PROJECT/subscriptions/NAME``."""
        # Without this, each call of gRPC would stop all greenlets until it ends.
        grpc_gevent.init_gevent()
        self._client = SubscriberClient()
        self._subscription = subscription
        self._leased: dict[str, None] = {}
        self._leased_at = 0.0

    def pending(self) -> Iterator[Pending]:
        """Yield ids until there are none. Raises ``BackendError``."""
        try:
            while messages := self._pull():
                for ack_id, crash_id in messages:
                    self._renew()
                    yield Pending(crash_id, self._acknowledge(ack_id))
        except GoogleAPIError as error:
            raise BackendError(f"{self._subscription}: {error}") from error

    def _pull(self) -> list[tuple[str, str]]:
        request = {"subscription": self._subscription, "max_messages": _MESSAGES}
        try:
            answer = self._client.pull(request=request, timeout=_WAIT)
        except DeadlineExceeded:
            return []
        found = []
        for message in answer.received_messages:
            crash_id = message.message.data.decode("utf-8", "replace")
            if crash_ids.is_valid(crash_id):
                found.append((message.ack_id, crash_id))
            else:  # collectors publish "test" when they start
                self._acknowledge(message.ack_id)()
        self._leased |= dict.fromkeys(ack_id for ack_id, _ in found)
        self._leased_at = 0.0
        return found

    def _renew(self) -> None:
        """Extend the time for which Pub/Sub holds back the messages that are not acknowledged, if it is time to."""
        if self._leased and (not self._leased_at or time.monotonic() - self._leased_at > _RENEW):
            self._client.modify_ack_deadline(
                request={
                    "subscription": self._subscription,
                    "ack_ids": list(self._leased),
                    "ack_deadline_seconds": _LEASE,
                }
            )
            self._leased_at = time.monotonic()

    def _acknowledge(self, ack_id: str) -> Callable[[], None]:
        def acknowledge() -> None:
            self._leased.pop(ack_id, None)
            try:
                self._client.acknowledge(request={"subscription": self._subscription, "ack_ids": [ack_id]})
            except GoogleAPIError as error:
                # The id comes again, and its crash ends in the same rows.
                logger.warning("%s: %s", self._subscription, error)

        return acknowledge
