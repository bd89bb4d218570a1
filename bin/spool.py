#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""List, deliver and copy the spool of a collector on this machine, and restore entries that were set aside.

The environment variable CRASHMOVER_SPOOL_DIR names the spool. The storage and the publisher are those that
CRASHMOVER_CRASHSTORAGE_... and CRASHMOVER_CRASHPUBLISH_... configure, as for the collector. If none of these is set,
all three are those of 'make run', in .local. Collectors may run at the same time, because only one program works on an
entry at a time. "bin/spool.py COMMAND --help" explains a command.

Examples:
  bin/spool.py summary
  bin/spool.py list --json | jq 'select(.failures > 0)'
  bin/spool.py show de1bb258-cbbf-4589-a673-34f800261122
  bin/spool.py deliver                         # delivers all entries now, faster than the collector does
  bin/spool.py restore --all                   # collectors deliver again what was set aside
  bin/spool.py ack de1bb258-cbbf-4589-a673-34f800261122  # the heartbeat warns of this entry no longer
  bin/spool.py export DIR                      # copies crashes, in the layout of the bucket

"""

import argparse
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common, _spool  # isort: split

from antenna.backend import Deadline
from antenna.config import build_config
from antenna.ext.fs.crashstorage import FSCrashStorage
from antenna.spool import EntryDamaged, Kind, Spool
from antenna.spool.crash_files import SpooledCrash
from antenna.spool.stock import SetAside

EXPORT_TIMEOUT = 600.0


def list_entries(args: argparse.Namespace) -> int:
    """Print the entries."""
    spool = _backends.spool()
    problems = 0
    for item in _spool.all_items(spool):
        description = item.describe()
        if args.json:
            _common.print_json(description)
        else:
            since = "-" if item.since is None else f"{item.since:%Y-%m-%dT%H:%M:%SZ}"
            failures = f"  {description['failures']} failures" if description["failures"] else ""
            acknowledged = "  acknowledged" if item.is_acknowledged else ""
            print(f"{item.state:<17}  {since:<20}  {item.name.crash_id}  {item.name.size:>12,}{failures}{acknowledged}")
        if description["problem"]:
            problems += 1
            _common.note(f"{item.path}: {description['problem']}")
    return 1 if problems + name_foreign_things(spool) else 0


def name_foreign_things(spool: Spool) -> int:
    """Name the files among the entries that are not entries. Returns how many there are."""
    paths = list(spool.foreign_things())
    for path in paths:
        name = str(path).replace("\n", "\\n")  # a line break would make two lines of the path
        _common.note(f"{name}: not an entry of the spool, so it is left alone")
    return len(paths)


def summarize(args: argparse.Namespace) -> int:
    """Print how many entries there are of each kind, their size, and the age of the oldest."""
    spool = _backends.spool()
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    oldest: dict[str, datetime] = {}
    for item in _spool.all_items(spool):
        counts[item.state] += 1
        sizes[item.state] += item.name.size
        if item.since is not None:
            oldest[item.state] = min(item.since, oldest.get(item.state, item.since))
    for state in ("save", "publish", "set_aside/save", "set_aside/publish"):
        since = oldest.get(state)
        age = None if since is None else max(0, round((datetime.now(UTC) - since).total_seconds()))
        if args.json:
            _common.print_json({"state": state, "entries": counts[state], "size": sizes[state], "oldest_age": age})
        else:
            oldest_age = "" if age is None else f"  oldest {age:,} s"
            print(f"{state:<17}  {counts[state]:>9,} entries  {sizes[state]:>16,} bytes{oldest_age}")
    if waiting := spool.count_set_aside():
        _common.note(f"{waiting} of the entries set aside wait for somebody to restore, remove or acknowledge them")
    return 1 if name_foreign_things(spool) else 0


def describe_content(item: _spool.Item) -> dict[str, Any]:
    """Return the object that ``show --json`` prints."""
    description = item.describe() | {"failures": item.failures()}
    if item.kind is Kind.ID:
        return description
    try:
        crash = load(item)
    except (EntryDamaged, OSError) as error:
        return description | {"damaged": str(error)}
    dumps = [{"name": name, "size": dump.size} for name, dump in crash.dumps.items()]
    raw_crash = json.loads(crash.encoded_raw_crash())
    crash.close()
    return description | {"deferred": crash.deferred, "dumps": dumps, "raw_crash": raw_crash}


def load(item: _spool.Item) -> SpooledCrash:
    """Open a crash and verify it. Raises ``EntryDamaged`` and ``OSError``."""
    if problem := item.problem():
        raise EntryDamaged(problem)
    return SpooledCrash(item.name.crash_id, item.path)


def show(args: argparse.Namespace) -> int:
    """Print everything about the entries of one crash id."""
    spool = _backends.spool()
    damaged = False
    for item in _spool.chosen(_spool.all_items(spool), [args.crash_id]):
        content = describe_content(item)
        damaged |= "damaged" in content
        if args.json:
            _common.print_json(content)
        else:
            print(_common.printable(json.dumps(content, indent=2, ensure_ascii=False)))
    return 1 if damaged else 0


def deliver(args: argparse.Namespace) -> int:
    """Save and publish the entries that wait, and print the ids of those that were delivered."""
    spool = _backends.spool()
    delivered, left = deliver_all(spool, _spool.chosen(_spool.items_waiting(spool), args.crash_ids))
    if left[_spool.CLAIMED]:
        _common.note(f"{left[_spool.CLAIMED]} are claimed by collectors, or have been delivered meanwhile")
    if left[_spool.NOT_TRIED]:
        _common.note(f"{left[_spool.NOT_TRIED]} were not tried: storage or publisher is down")
    _common.note(f"{delivered} delivered, {left.total()} left")
    return 1 if left.total() > left[_spool.CLAIMED] else 0


def deliver_all(spool: Spool, items: list[_spool.Item]) -> tuple[int, Counter[str]]:
    """Deliver entries. Returns how many were delivered, and how many are left for each reason."""
    outcomes = _backends.side_by_side(_spool.Deliverer(spool).deliver, items)
    delivered, left = 0, Counter[str]()
    for item, reason in _common.Progress("delivered", len(items)).watch(outcomes):
        if not reason:
            delivered += 1
            print(item.name.crash_id, flush=True)
            continue
        left[reason if reason in {_spool.CLAIMED, _spool.NOT_TRIED} else "failed"] += 1
        if reason not in {_spool.CLAIMED, _spool.NOT_TRIED}:
            _common.note(f"{item.name.crash_id}: {reason}")
    return delivered, left


def restore(args: argparse.Namespace) -> int:
    """Put entries that were set aside back among those to deliver, and print their ids."""
    return with_each_set_aside(args, Spool.restore)


def remove(args: argparse.Namespace) -> int:
    """Delete entries that were set aside, and print their ids."""
    return with_each_set_aside(args, Spool.delete)


def acknowledge(args: argparse.Namespace) -> int:
    """Acknowledge entries that were set aside, and print their ids."""
    return with_each_set_aside(args, Spool.acknowledge)


def with_each_set_aside(args: argparse.Namespace, action: Callable[[Spool, SetAside], None]) -> int:
    """Run ``action`` for the entries that were set aside and have these ids, or for all. Prints their ids."""
    spool = _backends.spool()
    problems = 0
    for item in _spool.chosen(_spool.items_set_aside(spool), args.crash_ids):
        if item.set_aside is None:
            continue
        try:
            action(spool, item.set_aside)
        except OSError as error:
            problems += 1
            _common.note(f"{item.name.crash_id}: {error.strerror}")
        else:
            print(item.name.crash_id)
    return 1 if problems else 0


def export(args: argparse.Namespace) -> int:
    """Copy crashes, including those that were set aside, and print their ids. The spool does not change."""
    spool = _backends.spool()
    target = FSCrashStorage(build_config({"FS_ROOT": str(args.directory)}))
    items = _spool.chosen(_spool.all_items(spool), args.crash_ids)
    crashes = [item for item in items if item.kind is Kind.CRASH]
    problems = 0
    for item in _common.Progress("copied", len(crashes)).watch(crashes):
        try:
            copy(item, target)
            print(item.name.crash_id)
        except (EntryDamaged, OSError) as error:
            is_there = os.path.lexists(item.path)
            problems += is_there
            _common.note(f"{item.name.crash_id}: {error if is_there else 'delivered meanwhile'}")
    if len(items) > len(crashes):
        _common.note(f"{len(items) - len(crashes)} of the entries are ids of crashes that are in the storage already")
    return 1 if problems else 0


def copy(item: _spool.Item, target: FSCrashStorage) -> None:
    """Copy a crash. Raises ``EntryDamaged`` and ``OSError``, also if the crash is delivered meanwhile."""
    crash = load(item)
    try:
        target.save_crash(crash, Deadline(EXPORT_TIMEOUT))
    finally:
        crash.close()


def parse_arguments() -> argparse.Namespace:
    """Return the arguments; ``command`` is the function to call."""
    parser = _common.make_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(command=function)
        return command

    command = add(
        "summary", summarize, "print the number and the size of the entries of each kind, and the age of the oldest"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object a line")

    command = add(
        "list", list_entries, "print the entries: what is still to be done, since when, crash id, bytes, failures"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object a line")

    command = add("show", show, "print one entry: its failures, raw crash and dumps")
    command.add_argument("crash_id", metavar="ID", type=_backends.parse_id, help="crash id, with or without bp-")
    command.add_argument("--json", action="store_true", help="print one JSON object a line")

    command = add(
        "deliver",
        deliver,
        "save and publish the entries that wait, and print their ids; the exit code is 1 if some are left",
    )
    command.add_argument(
        "crash_ids", metavar="ID", nargs="*", type=_backends.parse_id, help="crash ids of the entries (default: all)"
    )

    for name, function, text in (
        ("restore", restore, "let collectors deliver again what was set aside, and print the ids"),
        ("retry", restore, "the same as restore"),
        ("remove", remove, "delete entries that were set aside, and print their ids; they cannot be restored"),
        (
            "ack",
            acknowledge,
            "acknowledge entries that were set aside, so that the heartbeat warns no longer; print their ids",
        ),
    ):
        command = add(name, function, text)
        command.add_argument(
            "crash_ids", metavar="ID", nargs="*", type=_backends.parse_id, help="crash ids of the entries"
        )
        command.add_argument("--all", action="store_true", help="all entries that were set aside")

    command = add(
        "export", export, "copy crashes, including those set aside, in the layout of the bucket, and print their ids"
    )
    command.add_argument(
        "directory", metavar="DIR", type=Path, help="directory to copy to; it is made if it is not there"
    )
    command.add_argument(
        "crash_ids", metavar="ID", nargs="*", type=_backends.parse_id, help="crash ids of the entries (default: all)"
    )

    args = parser.parse_args()
    if "all" in args and bool(args.crash_ids) == args.all:
        parser.error("give ids, or --all")
    return args


def main() -> int:
    """Run the command. Returns the exit code."""
    # The commands print the results of entries themselves, so the log lines are not needed.
    logging.getLogger("antenna").addHandler(logging.NullHandler())
    args = parse_arguments()
    code: int = args.command(args)
    return code


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS)
