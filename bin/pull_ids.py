#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Print published crash ids, one a line, the oldest first as far as the queue knows their order.

The ids stay in the queue, unless --ack removes them. The queue belongs to the publisher that the environment variables
CRASHMOVER_CRASHPUBLISH_... configure, as for the collector: a subscription of the Pub/Sub topic, or the directory of
FSCrashPublish. If they are not set, it is the directory of 'make run', .local/queue.

On Pub/Sub, the processor does not get the printed ids while the program runs.

If a message is not a crash id, it is named on stderr, and the exit code is 1. This does not apply to the test message
of a collector's start.

Examples:
  bin/pull_ids.py
  bin/pull_ids.py --ack --limit 100 | bin/fetch_crashes.py --raw --dumps DIR
  bin/pull_ids.py --follow --json
  bin/pull_ids.py --subscription processor --wait 10

"""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common  # isort: split

from antenna.crash import crash_id as crash_ids
from antenna.ext import TEST_ID
from bin._queue import Message, Queue
from bin._queues import open_queue

PAUSE = 0.5


def pull(queue: Queue, *, limit: int, follow: bool) -> Iterator[list[Message]]:
    """Yield messages as they come, each once, until there are ``limit`` ids or the queue is empty.

    With ``follow``, an empty queue is asked again and again.
    """
    seen: set[str] = set()
    while limit > 0:
        received = queue.receive(limit)
        if received:
            news = [message for message in received if message.key not in seen]
            seen.update(message.key for message in news)
            limit -= sum(crash_ids.is_valid(message.data) for message in news)
            # Messages that come again are yielded as well, in an empty list, so that the caller acknowledges them
            # again.
            yield news
        elif follow:
            time.sleep(PAUSE)
        else:
            return


def show(messages: Sequence[Message], *, as_json: bool) -> bool:
    """Print crash ids, and name other messages on stderr. Returns whether there were any.

    The test message does not count, because collectors publish it at their start.
    """
    is_damaged = False
    for message in messages:
        if not crash_ids.is_valid(message.data):
            _common.note(f"not a crash id: {message.data!a}")
            is_damaged |= message.data != TEST_ID
        elif as_json:
            _common.print_json({"crash_id": message.data, "published": message.published, "key": message.key})
        else:
            print(message.data)
    sys.stdout.flush()
    return is_damaged


def main() -> int:
    """Print ids. Returns the exit code."""
    parser = _common.make_parser(__doc__)
    parser.add_argument("--ack", action="store_true", help="remove the ids from the queue when they have been printed")
    parser.add_argument("--limit", type=_common.positive_int, default=sys.maxsize, help="stop after this many ids")
    parser.add_argument("--follow", action="store_true", help="wait for further ids and print them, until Ctrl-C")
    parser.add_argument("--subscription", help="name of the Pub/Sub subscription (default: the topic's only one)")
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_common.positive_float,
        default=3.0,
        help="on Pub/Sub, seconds without a message after which the queue counts as empty (default: 3)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line: id, time of publishing, key")
    args = parser.parse_args()

    is_damaged = False
    queue = open_queue(_backends.publisher(), args.subscription, args.wait)
    try:
        for messages in pull(queue, limit=args.limit, follow=args.follow):
            is_damaged |= show(messages, as_json=args.json)
            # The ids are printed first. If the program is killed in between, ids may be printed again, but none is
            # lost.
            if args.ack:
                queue.acknowledge()
    finally:
        queue.release()
    return int(is_damaged)


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS)
