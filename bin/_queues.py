# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The queues to which ids are published: the directory of ``FSCrashPublish``, or a subscription of Pub/Sub."""

from datetime import UTC, datetime
from pathlib import Path

from antenna.crash import crash_id as crash_ids
from antenna.ext import CrashPublishBase
from antenna.ext.fs.crashpublish import FSCrashPublish
from antenna.ext.pubsub.crashpublish import PubSubCrashPublish
from bin import _common
from bin._queue import Message, Queue


class DirectoryQueue:
    """The directory of ``FSCrashPublish``. Each id has a file, named ``<nanoseconds since 1970>-<crash id>``."""

    def __init__(self, root: Path) -> None:
        """``root`` is the path of the directory."""
        self._root = root
        self._received: set[str] = set()
        self._seen: set[str] = set()

    def receive(self, limit: int) -> list[Message]:
        """Return the oldest messages that were not received yet."""
        if not self._root.is_dir():
            raise _common.ToolError(f"{self._root} is not a directory")
        names = sorted(file.name for file in self._root.iterdir() if not file.name.startswith("."))
        news = [name for name in names if name not in self._seen][:limit]
        self._seen.update(news)
        messages = [self._message(name) for name in news]
        # A file that is not an id does not come from the collector, so it is not removed.
        self._received.update(message.key for message in messages if crash_ids.is_valid(message.data))
        return messages

    def _message(self, name: str) -> Message:
        """Return the id in the name of a file. If there is none, return the whole name."""
        time_part, _, crash_id = name.partition("-")
        if not crash_ids.is_valid(crash_id) or not (self._root / name).is_file():
            return Message(name, name, "")
        try:
            published = datetime.fromtimestamp(int(time_part) / 1e9, UTC).isoformat()
        except (ValueError, OverflowError, OSError):
            published = ""
        return Message(name, crash_id, published)

    def acknowledge(self) -> None:
        """Remove the files."""
        for name in self._received:
            (self._root / name).unlink(missing_ok=True)
        self._received.clear()

    def release(self) -> None:
        """Do nothing: other programs can receive the messages anyway."""


def open_queue(publisher: CrashPublishBase, subscription: str | None, wait: float) -> Queue:
    """Return the queue that ``publisher`` fills. ``wait`` is how many seconds an id may take to arrive.

    Raises ``ToolError``.
    """
    if isinstance(publisher, FSCrashPublish):
        return DirectoryQueue(publisher.root)
    if isinstance(publisher, PubSubCrashPublish):
        from bin import _subscription  # noqa: PLC0415 - Google's clients take a second to import

        project = f"projects/{publisher.config('project_id')}"
        path = f"{project}/subscriptions/{subscription}"
        if subscription is None:
            path = _subscription.only_subscription(f"{project}/topics/{publisher.config('topic_name')}")
        return _subscription.Subscription(path, wait)
    raise _common.ToolError(f"{type(publisher).__name__} has no queue that this program knows")
