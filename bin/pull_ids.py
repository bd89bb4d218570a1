#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Print published crash ids, one a line, oldest first as far as the queue knows.

The ids stay in the queue, unless --ack takes them away. The queue is the publisher of the environment variables
CRASHMOVER_CRASHPUBLISH_..., as for the collector: a subscription of the Pub/Sub topic, or the directory of
FSCrashPublish. Without them: the directory of 'make run', .local/queue.

On Pub/Sub, ids that are looked at are out of reach of the processor for that moment.

Examples:
  bin/pull_ids.py
  bin/pull_ids.py --ack --limit 100 | bin/fetch_crashes.py --raw --dumps DIR
  bin/pull_ids.py --follow --json
  bin/pull_ids.py --subscription processor --wait 10

"""

import base64
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common, _google  # isort: split

from antenna.crash_id import is_valid
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.ext.fs.crashpublish import FSCrashPublish
from antenna.ext.pubsub.crashpublish import PubSubCrashPublish

# Messages of one request.
BATCH = 100
PAUSE = 0.5


@dataclass(frozen=True)
class Message:
    """A published id. ``key`` is the same when it comes again; ``handle`` is what acknowledges it."""

    key: str
    data: str
    published: str
    handle: str


class Queue(Protocol):
    """Where ids were published."""

    def receive(self, limit: int) -> Sequence[Message]:
        """Return at least those of the next messages that were not received before; none at its end."""

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Take messages away."""

    def give_back(self, messages: Sequence[Message]) -> None:
        """Let others receive messages."""


class DirectoryQueue:
    """The directory of ``FSCrashPublish``: a file an id, named ``<nanoseconds since 1970>-<crash id>``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def receive(self, limit: int) -> list[Message]:
        """Return all that are there."""
        if not self._root.is_dir():
            raise _common.ToolError(f"{self._root} is not a directory")
        files = sorted(file for file in self._root.iterdir() if not file.name.startswith("."))
        return [self._message(file) for file in files]

    @staticmethod
    def _message(file: Path) -> Message:
        time_part, _, crash_id = file.name.partition("-")
        seconds = int(time_part) / 1e9 if time_part.isdecimal() else file.stat().st_mtime
        return Message(file.name, crash_id, datetime.fromtimestamp(seconds, UTC).isoformat(), str(file))

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Remove the files."""
        for message in messages:
            Path(message.handle).unlink(missing_ok=True)

    def give_back(self, messages: Sequence[Message]) -> None:
        """Nothing was taken."""


class Subscription:
    """A subscription of Pub/Sub."""

    def __init__(self, path: str, wait: float) -> None:
        """``path`` is its full name; ``wait`` is how long, in seconds, a message may take to come."""
        self._path = path
        self._wait = wait
        self._api = _google.pubsub()

    def receive(self, limit: int) -> list[Message]:
        """Return up to ``limit`` messages, none if none came in time."""
        deadline = time.monotonic() + self._wait
        while not (messages := self._pull(min(limit, BATCH))) and time.monotonic() < deadline:
            time.sleep(PAUSE)
        return messages

    def _pull(self, limit: int) -> list[Message]:
        # A request that waits at the server would go on receiving after the program has ended.
        answer = self._call("pull", {"maxMessages": limit, "returnImmediately": True})
        return [
            Message(
                key=item["message"]["messageId"],
                data=base64.b64decode(item["message"].get("data", "")).decode("utf-8", "replace"),
                published=item["message"]["publishTime"],
                handle=item["ackId"],
            )
            for item in answer.get("receivedMessages", ())
        ]

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Acknowledge."""
        self._call("acknowledge", {"ackIds": [message.handle for message in messages]})

    def give_back(self, messages: Sequence[Message]) -> None:
        """Let the messages be delivered again at once."""
        for start in range(0, len(messages), BATCH):
            handles = [message.handle for message in messages[start : start + BATCH]]
            self._call("modifyAckDeadline", {"ackIds": handles, "ackDeadlineSeconds": 0})

    def _call(self, verb: str, body: object) -> dict[str, Any]:
        return self._api.call("POST", f"{self._path}:{verb}", body)


def open_queue(publisher: CrashPublishBase, subscription: str | None, wait: float) -> Queue:
    """Return the queue that ``publisher`` fills. Raises ``ToolError``."""
    if isinstance(publisher, FSCrashPublish):
        return DirectoryQueue(publisher.root)
    if isinstance(publisher, PubSubCrashPublish):
        project = f"projects/{publisher.config('project_id')}"
        if subscription is None:
            topic = f"{project}/topics/{publisher.config('topic_name')}"
            return Subscription(only_subscription(topic), wait)
        return Subscription(f"{project}/subscriptions/{subscription}", wait)
    raise _common.ToolError(f"{type(publisher).__name__} has no queue that this program knows")


def only_subscription(topic: str) -> str:
    """Return the full name of the topic's subscription. Raises ``ToolError`` if it has none or several."""
    names: list[str] = list(_google.pubsub().items(f"{topic}/subscriptions", "subscriptions"))
    if len(names) == 1:
        return names[0]
    if names:
        choices = ", ".join(sorted(name.rpartition("/")[2] for name in names))
        raise _common.ToolError(f"{topic} has several subscriptions: name one with --subscription: {choices}")
    raise _common.ToolError(f"{topic} has no subscription: bin/pubsub.py create-subscription makes one")


def pull(queue: Queue, *, limit: int, follow: bool) -> Iterator[list[Message]]:
    """Yield messages as they come, each once, until ``limit`` ids or, unless ``follow``, the end of the queue."""
    seen: set[str] = set()
    while limit > 0:
        received = queue.receive(limit)
        news = [message for message in received if message.key not in seen][:limit]
        if news:
            seen.update(message.key for message in news)
            limit -= sum(is_valid(message.data) for message in news)
            yield news
        elif follow:
            time.sleep(PAUSE)
        else:
            return


def show(messages: Sequence[Message], *, as_json: bool) -> None:
    """Print crash ids; what else was published, such as the test message, is named on stderr."""
    for message in messages:
        if not is_valid(message.data):
            _common.note(f"not a crash id: {message.data!r}")
        elif as_json:
            _common.print_json({"crash_id": message.data, "published": message.published, "key": message.key})
        else:
            print(message.data)
    sys.stdout.flush()


def main() -> int:
    """Print ids; return the exit code."""
    parser = _common.make_parser(__doc__)
    parser.add_argument("--ack", action="store_true", help="take the ids away, once they are printed")
    parser.add_argument("--limit", type=_common.positive_int, default=sys.maxsize, help="stop after that many")
    parser.add_argument("--follow", action="store_true", help="go on printing ids as they come, until Ctrl-C")
    parser.add_argument("--subscription", help="name of the Pub/Sub subscription (default: the topic's only one)")
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_common.positive_float,
        default=3.0,
        help="on Pub/Sub: the queue is at its end when nothing came for that long (default: 3)",
    )
    parser.add_argument("--json", action="store_true", help="print an object a line: id, time of publishing, key")
    args = parser.parse_args()

    queue = open_queue(_backends.publisher(), args.subscription, args.wait)
    lent: list[Message] = []
    try:
        for messages in pull(queue, limit=args.limit, follow=args.follow):
            show(messages, as_json=args.json)
            # Not before they are printed: a kill in between may print ids again, but loses none.
            if args.ack:
                queue.acknowledge(messages)
            else:
                lent += messages
    finally:
        queue.give_back(lent)
    return 0


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS, *_google.ERRORS)
