# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A queue of published ids, and a message in it. ``bin._queues`` opens queues."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Message:
    """A published id. If it is received again, ``key`` is the same."""

    key: str
    data: str
    published: str


class Queue(Protocol):
    """A queue of published ids."""

    def receive(self, limit: int) -> Sequence[Message]:
        """Return up to ``limit`` of the next messages. At the end of the queue, the list is empty.

        A message may come again.
        """

    def acknowledge(self) -> None:
        """Remove the messages that were received from the queue."""

    def release(self) -> None:
        """Let other programs receive the messages that were received but not removed."""
