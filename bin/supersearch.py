#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Search the crashes that the viewer knows, as with Crash Stats' Super Search.

Prints crash ids, one a line, the newest first. They are those of the last seven days, unless --date says otherwise.
Each parameter of Super Search is an option: fields such as --product, --version, --signature, and --_columns, --_sort,
--_facets, --_aggs.product, --_histogram.date and so on. With facets, tables of counts are printed.

The viewer is the one at --host, or else the one at the URL in the environment variable VIEWER_URL. The token is in
VIEWER_TOKEN. Without --host and VIEWER_URL, the index in VIEWER_DATA_DIR is searched, which 'make viewer' keeps in
.local.

Examples:
  bin/supersearch.py --product=Firefox --num=10
  bin/supersearch.py --product=Firefox --num=10 | bin/fetch_crashes.py --raw --dumps --no-processed crashdata
  bin/supersearch.py --signature='~Foo' --version='>=1.2' --date='>=2026-11-01' --num=all
  bin/supersearch.py --_columns=uuid --_columns=version --_columns=reason --format=csv --headers
  bin/supersearch.py --product=MyApp --_facets=signature --relative-range=2w
  bin/supersearch.py --_facets=version --period=daily --format=markdown
  bin/supersearch.py --_aggs.product.version=_cardinality.build_id --format=json
  VIEWER_TOKEN=... bin/supersearch.py --host=https://crashes.example.com --modules_in_stack='^libxul.so'

"""

import argparse
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _common, _tables, _viewer  # isort: split

from antenna.backend import BackendError
from antenna.config import ConfigurationError, build_config
from antenna.viewer.index import schema
from antenna.viewer.options import INDEX_FILE, ViewerConfig
from antenna.viewer.rows import HARMLESS
from antenna.viewer.supersearch.conditions import QueryError
from antenna.viewer.supersearch.fields import FieldList
from antenna.viewer.supersearch.query import MAX_RESULTS, parse_query
from antenna.viewer.supersearch.search import Search, SearchTimeoutError

Params = dict[str, list[str]]

_FACETS = ("_facets", "_aggs.", "_histogram.", "_cardinality")
_PERIODS = {"hourly": "1h", "daily": "1d", "weekly": "1w"}
_RANGE = re.compile(r"(\d{1,6})([hdw])", re.IGNORECASE | re.ASCII)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
# The exceptions that are printed as one line on stderr.
ERRORS = (BackendError, ConfigurationError, QueryError, sqlite3.Error, OSError)

# Seconds that a search of the index may take. They are more than in the viewer, where other searches wait.
_TIMEOUT = 300.0


def parse_range(text: str) -> timedelta:
    """Return the duration of a range such as 12h, 7d or 2w. For ``argparse``."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected a time such as 12h, 7d or 2w, not {text!r}")
    return int(match[1]) * _UNITS[match[2].lower()]


def parse_num(text: str) -> int | None:
    """Return the number of crashes to print, or None for all. For ``argparse``."""
    return None if text == "all" else _common.positive_int(text)


def parse_moment(text: str) -> tuple[datetime, bool]:
    """Return a moment in UTC, and whether the text means the whole day. For ``argparse``."""
    try:
        if text in {"today", "yesterday"} or len(text) == len("2026-11-27"):
            today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            days = {"today": today, "yesterday": today - timedelta(days=1)}
            return days.get(text) or datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC), True
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC), False
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"expected 2026-11-27 or '2026-11-27 10:00:00', not {text!r}") from error


def parse_arguments() -> tuple[argparse.Namespace, Params]:
    """Return the arguments, and the parameters of the search."""
    parser = _common.make_parser(__doc__)
    parser.usage = "%(prog)s [options] [--FIELD=VALUE ...]"
    # An abbreviation could be a field.
    parser.allow_abbrev = False
    parser.add_argument("--host", default="", help="URL of a viewer (default: that of VIEWER_URL)")
    parser.add_argument("--index", type=Path, help="index file (default: that in VIEWER_DATA_DIR)")
    parser.add_argument("--supersearch-url", default="", help="URL of a search, here or at Crash Stats, to begin with")
    parser.add_argument("--num", type=parse_num, default=100, help="how many crashes, or all (default: %(default)s)")
    parser.add_argument(
        "--format", choices=(*_tables.FORMATS, "raw"), help="default: tab for crashes, table for facets"
    )
    switch = argparse.BooleanOptionalAction
    parser.add_argument("--headers", action=switch, help="print headings (default: for facets only)")
    parser.add_argument("--start-date", type=parse_moment, help="first day, or moment, of UTC")
    parser.add_argument("--end-date", type=parse_moment, help="last day, or moment, of UTC (default: now)")
    parser.add_argument("--relative-range", type=parse_range, help="how long before --end-date: 12h, 7d, 2w")
    parser.add_argument("--period", choices=("none", *_PERIODS), default="none", help="count by day and so on, too")
    parser.add_argument("--verbose", action=switch, help="tell on stderr what is asked")
    for name in ("--color", "--dotenv"):
        parser.add_argument(name, action=switch, help=argparse.SUPPRESS)
    args, rest = parser.parse_known_args()
    try:
        return args, search_parameters(args, rest)
    except ValueError as error:
        parser.error(str(error))


def search_parameters(args: argparse.Namespace, rest: Sequence[str]) -> Params:
    """Return the parameters of the search. Raises ``ValueError`` if an argument is not a parameter."""
    given: Params = {}
    waiting = list(rest)
    while waiting:
        name, equals, value = waiting.pop(0).partition("=")
        if not name.startswith("--") or len(name) < 3:  # noqa: PLR2004 - a letter behind the dashes
            raise ValueError(f"unrecognized argument: {name}")
        if not equals:
            if not waiting:
                raise ValueError(f"{name} needs a value: {name}=VALUE")
            value = waiting.pop(0)
        given.setdefault(name[2:], []).append(value)
    has_facets = any(name.startswith(_FACETS) for name in given) or args.period != "none"
    params = url_parameters(args.supersearch_url, has_facets=has_facets) | given
    if args.period != "none":
        params = with_period(params, _PERIODS[args.period])
    if has_facets:
        params |= {"_results_number": ["0"]}
        params.setdefault("_facets", [])
    else:
        params.setdefault("_columns", ["uuid"])
    return params | dates(args, params)


def url_parameters(url: str, *, has_facets: bool) -> Params:
    """Return the parameters in the URL of a search, without those that only concern a page."""
    params = parse_qs(urlsplit(url).query)
    unwanted = ("page", "_results_", *(("_columns",) if has_facets else _FACETS))
    return {name: values for name, values in params.items() if not name.startswith(unwanted)}


def with_period(params: Params, interval: str) -> Params:
    """Return parameters that count the facets in each period."""
    rest = {name: values for name, values in params.items() if name != "_facets"}
    facets = params.get("_facets") or ["signature"]
    return rest | {"_histogram.date": facets, "_histogram_interval.date": [interval], "_facets": []}


def dates(args: argparse.Namespace, params: Params) -> Params:
    """Return the parameter ``date`` for the options of time, or nothing if there are none of these options."""
    if args.start_date is None and args.end_date is None and args.relative_range is None:
        return {}
    if "date" in params:
        raise ValueError("--date does not go with --start-date, --end-date and --relative-range")
    end, is_day = args.end_date or (datetime.now(UTC), False)
    # A day as the end counts as a whole.
    end += timedelta(days=is_day)
    start = args.start_date[0] if args.start_date else end - (args.relative_range or timedelta(days=7))
    return {"date": [f">={start.isoformat()}", f"<{end.isoformat()}"]}


def searcher(args: argparse.Namespace) -> Callable[[Params], dict[str, Any]]:
    """Return the object that answers searches: a viewer, or the index of a viewer."""
    base = args.host.rstrip("/") or ("" if args.index else _viewer.url())
    if base:
        viewer = _viewer.Viewer(base)
        return lambda params: _ask(viewer, params)
    path = args.index or _common.ROOT / ViewerConfig(build_config(os.environ)).data_dir / INDEX_FILE
    if not path.exists():
        raise _common.ToolError(f"{path} is not there: start the viewer, or say --host=URL or set {_viewer.URL}")
    search = Search(path, timeout=_TIMEOUT)
    if search.version != schema.VERSION:
        raise _common.ToolError(f"{path} is of another version: start the viewer, which makes it anew")
    fields = FieldList(HARMLESS | search.annotations())
    return lambda params: search.answer(parse_query(params, fields, time.time()))


def _ask(viewer: _viewer.Viewer, params: Params) -> dict[str, Any]:
    found = viewer.json("/api/search", [(name, value) for name, values in params.items() for value in values or [""]])
    if not isinstance(found, dict) or "hits" not in found:
        raise _common.ToolError(f"{viewer.place} is no viewer")
    return found


def print_hits(search: Callable[[Params], dict[str, Any]], params: Params, args: argparse.Namespace) -> int:
    """Print crashes. Returns how many."""
    columns = list(dict.fromkeys(params["_columns"]))
    rows: list[list[Any]] = []
    while args.num is None or len(rows) < args.num:
        wanted = MAX_RESULTS if args.num is None else min(MAX_RESULTS, args.num - len(rows))
        page = {
            "_results_number": [str(wanted)],
            "_results_offset": [str(len(rows))],
            "_facets": ["_cardinality.product"],
        }
        hits = search(params | page)["hits"]
        rows += [[hit[column] for column in columns] for hit in hits]
        if len(hits) < wanted:
            break
    for line in _tables.lines(args.format or "tab", columns, rows, with_headings=bool(args.headers)):
        print(line)
    return len(rows)


def wanted_facets(params: Params) -> set[str]:
    """Return the names of the facets in the answer that were asked for."""
    names = {name.removeprefix("_aggs.").partition(".")[0] for name in params if name.startswith("_aggs.")}
    specials = [*params["_facets"], *(name for name in params if name.startswith("_histogram."))]
    return names | {re.sub(r"^_(cardinality|histogram)\.", r"\1_", name) for name in specials}


def print_facets(search: Callable[[Params], dict[str, Any]], params: Params, args: argparse.Namespace) -> int:
    """Print tables of counts. Returns how many crashes were counted."""
    answer = search(params)
    # An answer has the signatures even if nobody asked for them.
    facets = {name: facet for name, facet in answer["facets"].items() if name in wanted_facets(params)}
    if args.format == "raw":
        _common.print_json(answer)
        return int(answer["total"])
    for number, (name, headings, rows) in enumerate(_tables.facet_tables(facets, answer["total"])):
        if args.format != "json":
            print(*([""] if number else []), name, sep="\n")
        with_headings = args.headers is not False
        for line in _tables.lines(args.format or "table", headings, rows, with_headings=with_headings):
            print(line)
    return int(answer["total"])


def main() -> int:
    """Search. Returns the exit code."""
    args, params = parse_arguments()
    if args.verbose:
        _common.note(f"parameters: {params}")
    search = searcher(args)
    try:
        found = print_facets(search, params, args) if "_facets" in params else print_hits(search, params, args)
    except SearchTimeoutError as error:
        raise _common.ToolError("the search took too long: ask for fewer days") from error
    if not found:
        when = "" if "date" in params else " in the last seven days; --date='>=2026-01-01' looks further back"
        _common.note(f"no such crash{when}")
    return 0


if __name__ == "__main__":
    _common.run(main, *ERRORS)
