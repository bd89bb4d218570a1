#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""List the crashes in the storage.

On a terminal it prints a table, the newest crash first. Into a pipe it prints only the ids, one a line, in the order of
the ids.

The storage is the one that the environment variables CRASHMOVER_CRASHSTORAGE_... configure, as for the collector.
If they are not set, it is that of 'make run', in .local. The exit code is 1 if a stored crash could not be read.

Examples:
  bin/list_crashes.py                                       # the crashes of today (UTC)
  bin/list_crashes.py --since 2h --product fenix            # the crashes of the last two hours
  bin/list_crashes.py --date 2026-11-01..2026-11-22 --product Fenix --version 153.0 --num 100
  bin/list_crashes.py --signature                           # with a column for signatures
  bin/list_crashes.py --date yesterday --json | jq -r .throttle_rule | sort | uniq -c
  bin/list_crashes.py --product=Firefox --num=10 | bin/fetch_crashes.py --raw --dumps --no-processed crashdata

"""

import argparse
import contextlib
import heapq
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _backends, _common, _crashes, _signatures, _symbols  # isort: split

from antenna.symbols import Signature

# Annotations in the output of --json, if the crash has them.
FIELDS = ("ProductName", "Version", "BuildID", "ReleaseChannel", "ProcessType", "submitted_timestamp")

# The columns of the table: the heading, and the largest width.
COLUMNS = (("time (UTC)", 19), ("product", 20), ("version", 16), ("channel", 10), ("process", 12), ("crash id", 36))
SIGNATURE_COLUMN = ("signature", 80)

# Units of --since, in seconds.
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
# The first year that a crash id can have.
_FIRST_YEAR = 2000


def parse_since(text: str) -> datetime:
    """Return the time that ``text`` means: an age such as ``2h``, or a day or time in UTC. This is for ``argparse``."""
    moment = None
    with contextlib.suppress(ValueError, OverflowError):
        moment = _read_since(text)
    if moment is None or moment.year < _FIRST_YEAR:
        raise argparse.ArgumentTypeError(
            f"expected a time such as 90m, 2h, 7d, 2026-11-27 or 2026-11-27T10:00, not {text!r}"
        )
    return moment


def _read_since(text: str) -> datetime:
    number, unit = text[:-1], text[-1:]
    if number.isdecimal() and unit in _UNITS:
        return datetime.now(UTC) - timedelta(seconds=int(number) * _UNITS[unit])
    if text in {"today", "yesterday"}:
        return datetime.combine(_backends.parse_day(text), datetime.min.time(), UTC)
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def describe(crash: _crashes.ListedCrash) -> dict[str, Any]:
    """Return the object that --json prints for a crash."""
    return {
        "crash_id": crash.crash_id,
        **{name: crash.raw_crash[name] for name in FIELDS if name in crash.raw_crash},
        "throttle_rule": crash.metadata.get("throttle_rule"),
        "dumps": crash.dump_names,
    }


def row(crash: _crashes.ListedCrash) -> list[str]:
    """Return the cells of the table for a crash."""
    cells = [f"{crash.submitted:%Y-%m-%d %H:%M:%S}"]
    cells += [crash.says(what) for what in ("product", "version", "channel", "process_type")]
    return [*cells, crash.crash_id]


def print_table(columns: Sequence[tuple[str, int]], rows: list[list[str]]) -> None:
    """Print a table. Each column is as wide as it needs, up to its largest width."""
    headings = [heading for heading, _ in columns]
    cells = [[_shorten(cell, most) for cell, (_, most) in zip(cells, columns, strict=True)] for cells in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    for line in (headings, *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _shorten(text: str, most: int) -> str:
    line = _common.printable(text).replace("\n", " ")
    return line if len(line) <= most else f"{line[: most - 1]}…"


def table(
    search: "Search", args: argparse.Namespace, crashes: list[_crashes.ListedCrash]
) -> tuple[list[tuple[str, int]], list[list[str]]]:
    """Return the columns and the rows of the table of crashes."""
    rows = [row(crash) for crash in crashes]
    if not args.signature:
        return list(COLUMNS), rows
    signatures = _common.Progress("signed", len(crashes)).watch(map(search.sign, crashes))
    return [*COLUMNS, SIGNATURE_COLUMN], [[*cells, one.text] for cells, one in zip(rows, signatures, strict=True)]


class Search:
    """The crashes that the arguments ask for."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self.storage = _backends.storage()
        self.reader = _crashes.Reader(self.storage)
        self._symbols = _symbols.store(args.symbols)
        self.dates: list[str] = args.date
        if args.since is not None:
            today = datetime.now(UTC).date()
            self.dates = _backends.parse_dates(f"{min(args.since.date(), today):%Y%m%d}-{today:%Y%m%d}")

    def ids(self) -> Iterator[str]:
        """Yield the ids of the crashes, in order. Raw crashes are read only if that is necessary."""
        if self._args.product or self._args.version or self._args.since:
            return (crash.crash_id for crash in self.crashes())
        return _backends.stored_ids(self.storage, self.dates)

    def crashes(self) -> Iterator[_crashes.ListedCrash]:
        """Yield the crashes, in the order of their ids."""
        ids = _backends.stored_ids(self.storage, self.dates)
        return filter(self._matches, _common.Progress("read").watch(self.reader.read(ids)))

    def sign(self, crash: _crashes.ListedCrash) -> Signature:
        """Return the signature of a crash. Its minidump is read from the storage."""
        return _signatures.sign_stored(self.storage, self._symbols, crash)

    def _matches(self, crash: _crashes.ListedCrash) -> bool:
        args = self._args
        return (
            (args.product is None or crash.says("product").casefold() == args.product.casefold())
            and (args.version is None or crash.says("version") == args.version)
            and (args.since is None or crash.submitted >= args.since)
        )

    def __str__(self) -> str:
        """Describe the search for a person."""
        args = self._args
        first, last = (f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in (self.dates[0], self.dates[-1]))
        asked = [f"{name} {value}" for name in ("product", "version") if (value := getattr(args, name)) is not None]
        if args.since is not None:
            asked.append(f"since {args.since:%Y-%m-%d %H:%M}")
        days = first if first == last else f"{first} to {last}"
        return ", ".join([self.storage.place, f"{days} (UTC)", *asked])


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = _common.make_parser(__doc__)
    when = parser.add_mutually_exclusive_group()
    when.add_argument(
        "--date",
        type=_backends.parse_dates,
        default="today",
        help="day of the crash ids, or days: 2026-11-27, 20261127, 2026-11-01..2026-11-27, today, yesterday "
        "(default: today, in UTC)",
    )
    when.add_argument(
        "--since",
        type=parse_since,
        help="only crashes since this time or age: 90m, 2h, 7d, 2026-11-27, 2026-11-27T10:00",
    )
    parser.add_argument(
        "--product", help="only crashes of this product, in any letter case; this reads every raw crash"
    )
    parser.add_argument("--version", help="only crashes of this version; this reads every raw crash")
    parser.add_argument(
        "--num",
        "--limit",
        dest="num",
        type=_common.positive_int,
        help="stop after this many crashes; a table has the newest ones",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line: id, main annotations, dumps")
    parser.add_argument(
        "--signature",
        action="store_true",
        help="show signatures, in the table and in --json; this reads the minidumps",
    )
    _symbols.add_argument(parser)
    parser.add_argument("--table", action="store_true", help="print the table also into a pipe")
    return parser.parse_args()


def print_crashes(search: Search, args: argparse.Namespace) -> int:
    """Print the crashes that were found. Returns how many there are."""
    if args.table or (sys.stdout.isatty() and not args.json):
        crashes = search.crashes()
        newest = (
            sorted(crashes, key=_age, reverse=True) if args.num is None else heapq.nlargest(args.num, crashes, key=_age)
        )
        if newest:
            print_table(*table(search, args, newest))
        return len(newest)
    count = 0
    if args.json:
        for crash in islice(search.crashes(), args.num):
            found = describe(crash)
            if args.signature:
                found["signature"] = search.sign(crash).text
            _common.print_json(found)
            count += 1
    else:
        for crash_id in islice(search.ids(), args.num):
            print(crash_id)
            count += 1
    return count


def _age(crash: _crashes.ListedCrash) -> datetime:
    return crash.submitted


def main() -> int:
    """Print the list. Returns the exit code."""
    args = parse_arguments()
    search = Search(args)
    if not print_crashes(search, args):
        _common.note(f"no such crash in {search}")
    return 1 if search.reader.damaged else 0


if __name__ == "__main__":
    _common.run(main, *_backends.ERRORS)
