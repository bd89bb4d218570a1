#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Publish ids of stored crashes again, for a processor that lost them, and print those that were published.

Ids are given as arguments or on stdin, or --date takes them from the storage. Ids of deferred crashes are skipped,
because they were never published. The storage and the publisher are those that the environment variables
CRASHMOVER_CRASHSTORAGE_... and CRASHMOVER_CRASHPUBLISH_... configure, as for the collector. If they are not set, they
are those of 'make run', in .local. At the first id that cannot be published, the program ends with exit code 1.
Publishing an id twice does no harm.

Examples:
  bin/republish.py --date 20261121-20261122 --dry-run | wc -l
  bin/republish.py --date 20261121-20261122 --rate 50
  bin/list_crashes.py --date 20261122 --product Fenix | bin/republish.py
  bin/republish.py de1bb258-cbbf-4589-a673-34f800261122

"""

import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common  # isort: split

import gevent

from antenna.backend import BackendDenied, BackendError, Deadline
from antenna.crash.crash_id import result_of
from antenna.ext.crashpublish_base import CrashPublishBase
from antenna.throttler import DEFER

# Ids that are published at the same time. Pub/Sub takes many in one request.
CONCURRENCY = 100

ATTEMPTS = 3
ATTEMPT_SECONDS = 10


def publish(publisher: CrashPublishBase, crash_id: str) -> str:
    """Publish an id, and return it. Raises ``BackendError`` if several attempts fail."""
    for attempt in range(ATTEMPTS - 1):
        try:
            publisher.publish_crash(crash_id, Deadline(ATTEMPT_SECONDS))
            return crash_id
        except BackendDenied:
            raise
        except BackendError:
            gevent.sleep(2**attempt)
    publisher.publish_crash(crash_id, Deadline(ATTEMPT_SECONDS))
    return crash_id


def paced(crash_ids: Iterable[str], rate: float | None) -> Iterator[str]:
    """Yield the ids, at most ``rate`` of them a second."""
    start = time.monotonic()
    for number, crash_id in enumerate(crash_ids):
        if rate is not None:
            gevent.sleep(max(0, start + number / rate - time.monotonic()))
        yield crash_id


def publish_all(crash_ids: list[str], rate: float | None) -> None:
    """Publish ids and print them."""
    publisher = _backends.publisher()
    published = _backends.side_by_side(partial(publish, publisher), paced(crash_ids, rate), CONCURRENCY)
    done = 0
    try:
        for crash_id in _common.Progress("published", len(crash_ids)).watch(published):
            print(crash_id, flush=True)
            done += 1
    finally:
        _common.note(f"{done} of {len(crash_ids)} published")


def main() -> int:
    """Publish ids again. Returns the exit code."""
    parser = _common.make_parser(__doc__)
    parser.add_argument(
        "--date",
        type=_backends.parse_dates,
        help="publish all crashes of a day or of days: YYYYMMDD, YYYYMMDD-YYYYMMDD, today, yesterday (UTC)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the ids that would be published, and publish none"
    )
    parser.add_argument("--include-deferred", action="store_true", help="publish the ids of deferred crashes as well")
    parser.add_argument(
        "--rate", type=_common.positive_float, help="most ids to publish in a second (default: no limit)"
    )
    parser.add_argument(
        "crash_ids", metavar="ID", nargs="*", type=_backends.parse_id, help="crash ids (default: read from stdin)"
    )
    args = parser.parse_args()
    if args.date and args.crash_ids:
        parser.error("either --date or ids, not both")

    if args.date:
        found = list(_common.Progress("found").watch(_backends.stored_ids(_backends.storage(), args.date)))
    else:
        found = _backends.read_ids(args.crash_ids)
    crash_ids = [crash_id for crash_id in found if args.include_deferred or result_of(crash_id) != DEFER]
    if len(crash_ids) < len(found):
        _common.note(f"{len(found) - len(crash_ids)} deferred crashes skipped")
    if args.dry_run:
        print("".join(f"{crash_id}\n" for crash_id in crash_ids), end="")
        return 0
    publish_all(crash_ids, args.rate)
    return 0


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS)
