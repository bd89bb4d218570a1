# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A subscription of Pub/Sub as a queue of ids."""

import time
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice

from google.pubsub_v1 import PublisherClient, SubscriberClient

from bin import _common, _google
from bin._queue import Message

# Most messages in one request.
BATCH = 100
PAUSE = 0.5
# Seconds for which Pub/Sub gives a message to no other program. They are renewed while this program runs, so if it is
# killed, others get the messages soon.
LEASE = 60


class Subscription:
    """A subscription of Pub/Sub."""

    def __init__(self, path: str, wait: float) -> None:
        """``path`` is the full name of the subscription. ``wait`` is how many seconds a message may take to arrive."""
        self._path = path
        self._wait = wait
        self._client = _google.pubsub_client(SubscriberClient)
        # The handle with which each message is acknowledged, by its key. If a message comes again, it has a new handle.
        self._handles: dict[str, str] = {}
        self._renewed = time.monotonic()

    @_google.explained()
    def receive(self, limit: int) -> list[Message]:
        """Return messages. If no message arrives in time, the list is empty.

        Meanwhile, other programs do not get them.
        """
        deadline = time.monotonic() + self._wait
        while not (messages := self._pull(min(limit, BATCH))) and time.monotonic() < deadline:
            time.sleep(min(PAUSE, self._wait))
        return messages

    def _pull(self, limit: int) -> list[Message]:
        if time.monotonic() - self._renewed > LEASE / 2:
            self._renewed = time.monotonic()
            self._set_deadline(self._handles.values(), LEASE)
        with warnings.catch_warnings():
            # If the request waited at the server, the server would still deliver messages to it after the program has
            # ended.
            warnings.filterwarnings("ignore", "The return_immediately flag", DeprecationWarning)
            answer = self._client.pull(
                subscription=self._path, max_messages=limit, return_immediately=True, **_google.PUBSUB_OPTIONS
            )
        handles = {received.message.message_id: received.ack_id for received in answer.received_messages}
        self._handles.update(handles)
        self._set_deadline(handles.values(), LEASE)
        return [
            Message(
                key=received.message.message_id,
                data=received.message.data.decode("utf-8", "backslashreplace"),
                published=received.message.publish_time.isoformat().replace("+00:00", "Z"),
            )
            for received in answer.received_messages
        ]

    @_google.explained()
    def acknowledge(self) -> None:
        """Acknowledge the messages, which removes them from the subscription."""
        for handles in _batches(self._handles.values()):
            self._client.acknowledge(subscription=self._path, ack_ids=handles, **_google.PUBSUB_OPTIONS)
        self._handles.clear()

    @_google.explained()
    def release(self) -> None:
        """Let the messages be delivered again at once."""
        self._set_deadline(self._handles.values(), 0)

    def _set_deadline(self, handles: Iterable[str], seconds: int) -> None:
        for batch in _batches(handles):
            self._client.modify_ack_deadline(
                subscription=self._path, ack_ids=batch, ack_deadline_seconds=seconds, **_google.PUBSUB_OPTIONS
            )


def _batches(handles: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(handles)
    while batch := list(islice(rest, BATCH)):
        yield batch


@_google.explained()
def only_subscription(topic: str) -> str:
    """Return the full name of the topic's subscription. Raises ``ToolError`` if it has none, or several."""
    names: list[str] = list(
        _google.pubsub_client(PublisherClient).list_topic_subscriptions(topic=topic, **_google.PUBSUB_OPTIONS)
    )
    if len(names) == 1:
        return names[0]
    if names:
        choices = ", ".join(sorted(name.rpartition("/")[2] for name in names))
        raise _common.ToolError(f"{topic} has several subscriptions: name one with --subscription: {choices}")
    raise _common.ToolError(f"{topic} has no subscription: bin/pubsub.py create-subscription makes one")
