#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Print published crash ids, one a line, oldest first as far as the queue knows.

The ids stay in the queue, unless --ack takes them away. The queue is the publisher of the environment variables
CRASHMOVER_CRASHPUBLISH_..., as for the collector: a subscription of the Pub/Sub topic, or the directory of
FSCrashPublish. Without them: the directory of 'make run', .local/queue.

On Pub/Sub, ids that are looked at are out of reach of the processor while the program runs.

Examples:
  bin/pull_ids.py
  bin/pull_ids.py --ack --limit 100 | bin/fetch_crashes.py --raw --dumps DIR
  bin/pull_ids.py --follow --json
  bin/pull_ids.py --subscription processor --wait 10

"""

import base64
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common, _google  # isort: split

from antenna.crash.crash_id import is_valid
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.ext.fs.crashpublish import FSCrashPublish
from antenna.ext.pubsub.crashpublish import PubSubCrashPublish

# Messages of one request.
BATCH = 100
PAUSE = 0.5
# How long Pub/Sub keeps a message from others after it was last asked to, in seconds: a program that is killed keeps
# nothing longer.
LEASE = 60


@dataclass(frozen=True)
class Message:
    """A published id. ``key`` is the same when it comes again."""

    key: str
    data: str
    published: str


class Queue(Protocol):
    """Where ids were published."""

    def receive(self, limit: int) -> Sequence[Message]:
        """Return up to ``limit`` of the next messages, none at the end of the queue. One may come again."""

    def acknowledge(self) -> None:
        """Take away what was received."""

    def give_back(self) -> None:
        """Let others receive what was received and not taken away."""


class DirectoryQueue:
    """The directory of ``FSCrashPublish``: a file an id, named ``<nanoseconds since 1970>-<crash id>``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._received: set[str] = set()

    def receive(self, limit: int) -> list[Message]:
        """Return the oldest of those that were not received yet."""
        if not self._root.is_dir():
            raise _common.ToolError(f"{self._root} is not a directory")
        files = sorted(file for file in self._root.iterdir() if not file.name.startswith("."))
        news = [file for file in files if file.name not in self._received][:limit]
        self._received.update(file.name for file in news)
        return [self._message(file) for file in news]

    @staticmethod
    def _message(file: Path) -> Message:
        time_part, _, crash_id = file.name.partition("-")
        seconds = int(time_part) / 1e9 if time_part.isdecimal() else file.stat().st_mtime
        return Message(file.name, crash_id, datetime.fromtimestamp(seconds, UTC).isoformat())

    def acknowledge(self) -> None:
        """Remove the files."""
        for name in self._received:
            (self._root / name).unlink(missing_ok=True)
        self._received.clear()

    def give_back(self) -> None:
        """Nothing was taken."""


class Subscription:
    """A subscription of Pub/Sub."""

    def __init__(self, path: str, wait: float) -> None:
        """``path`` is its full name; ``wait`` is how long, in seconds, a message may take to come."""
        self._path = path
        self._wait = wait
        self._api = _google.pubsub()
        # Of each message, by its key, what acknowledges it: another when it comes again.
        self._handles: dict[str, str] = {}
        self._renewed = time.monotonic()

    def receive(self, limit: int) -> list[Message]:
        """Return messages, none if none came in time. Others do not receive them meanwhile."""
        deadline = time.monotonic() + self._wait
        while not (messages := self._pull(min(limit, BATCH))) and time.monotonic() < deadline:
            time.sleep(PAUSE)
        return messages

    def _pull(self, limit: int) -> list[Message]:
        if time.monotonic() - self._renewed > LEASE / 2:
            self._renewed = time.monotonic()
            self._set_deadline(self._handles.values(), LEASE)
        # A request that waits at the server would go on receiving after the program has ended.
        answer = self._call("pull", {"maxMessages": limit, "returnImmediately": True})
        received = answer.get("receivedMessages", ())
        handles = {item["message"]["messageId"]: item["ackId"] for item in received}
        self._handles.update(handles)
        self._set_deadline(handles.values(), LEASE)
        return [
            Message(
                key=item["message"]["messageId"],
                data=base64.b64decode(item["message"].get("data", "")).decode("utf-8", "replace"),
                published=item["message"]["publishTime"],
            )
            for item in received
        ]

    def acknowledge(self) -> None:
        """Acknowledge."""
        for handles in _batches(self._handles.values()):
            self._call("acknowledge", {"ackIds": handles})
        self._handles.clear()

    def give_back(self) -> None:
        """Let the messages be delivered again at once."""
        self._set_deadline(self._handles.values(), 0)

    def _set_deadline(self, handles: Iterable[str], seconds: int) -> None:
        for batch in _batches(handles):
            self._call("modifyAckDeadline", {"ackIds": batch, "ackDeadlineSeconds": seconds})

    def _call(self, verb: str, body: object) -> dict[str, Any]:
        return self._api.call("POST", f"{self._path}:{verb}", body)


def _batches(handles: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(handles)
    while batch := list(islice(rest, BATCH)):
        yield batch


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
        if received:
            news = [message for message in received if message.key not in seen]
            seen.update(message.key for message in news)
            limit -= sum(is_valid(message.data) for message in news)
            # Also if none is new: what comes again has to be acknowledged again.
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
    try:
        for messages in pull(queue, limit=args.limit, follow=args.follow):
            show(messages, as_json=args.json)
            # Not before they are printed: a kill in between may print ids again, but loses none.
            if args.ack:
                queue.acknowledge()
    finally:
        queue.give_back()
    return 0


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS, *_google.ERRORS)
