#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Send crash reports, as real crash reporters do, and print the ids of those that were kept, one a line.

A summary on stderr counts the answers and says how long they took. The exit code is 1 if an answer was not 200, or if
there was none.

An annotation file has a JSON object: annotations, or a set such as those in tests/data/annotations, or a raw crash from
the storage, which is sent without what the collector has added. Without an annotation file, a crash of Firefox Nightly
is sent. With --set uuid=ID the crash gets that id, if the environment variable BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN
has the token that the collector knows.

Examples:
  bin/send_crashes.py                                               # one crash, to the collector of 'make run'
  bin/send_crashes.py -n 1000 --rate 50 --concurrency 20 http://localhost:8000/submit
  bin/send_crashes.py --as fenix --annotations tests/data/annotations/07-fenix-nightly-native.json
  bin/send_crashes.py --as crashpad --set ProductName=Game --set Version=1.2 --dump upload_file_minidump=crash.dmp
  bin/send_crashes.py --annotations DIR/raw_crash/20261122/ID --dump upload_file_minidump=DIR/upload_file_minidump/ID
  bin/send_crashes.py --replay tests/data/captures/*.http           # byte for byte
  bin/send_crashes.py | xargs -n 1 bin/show_crash.py

"""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _common, _reporters, _requests, _sender  # isort: split

MINIDUMP = "upload_file_minidump"
DEFAULT_DUMP = _common.ROOT / "tests" / "data" / "minidumps" / "own-firefox153-content-linux.dmp"
URL = "http://127.0.0.1:8000/submit"
# The names that the collector adds to the annotations.
ADDED = ("uuid", "version", "submitted_timestamp", "metadata")


def default_annotations() -> dict[str, Any]:
    """Return the annotations of a crash of Firefox Nightly that happens now."""
    now = int(time.time())
    return {
        "ProductName": "Firefox",
        "ProductID": "{ec8030f7-c20a-464f-9b0e-13a3a9e97384}",
        "Vendor": "Mozilla",
        "Version": "153.0a1",
        "BuildID": time.strftime("%Y%m%d093012", time.gmtime(now)),
        "ReleaseChannel": "nightly",
        "ProcessType": "content",
        "CrashTime": str(now),
        "StartupTime": str(now - 1800),
        "InstallTime": str(now - 86400),
        "Notes": "Sent by send_crashes.py",
        "Throttleable": "1",
        "useragent_locale": "en-US",
    }


def load_annotations(path: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Return the annotations in a file, and the names of the dumps that belong to them. Raises ``ToolError``."""
    if path is None:
        return default_annotations(), [MINIDUMP]
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise _common.ToolError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise _common.ToolError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise _common.ToolError(f"{path}: not a JSON object")
    if isinstance(content.get("annotations"), dict):
        return content["annotations"], content.get("suggested_dumps", [MINIDUMP])
    if isinstance(content.get("metadata"), dict) and "uuid" in content:
        return {name: value for name, value in content.items() if name not in ADDED}, [MINIDUMP]
    return content, [MINIDUMP]


def load_dump(name: str, path: Path) -> _reporters.Dump:
    """Return the dump in a file. Raises ``ToolError``."""
    try:
        return _reporters.Dump(name, path.name, path.read_bytes())
    except OSError as error:
        raise _common.ToolError(f"{path}: {error.strerror}") from error


def load_default_dump(name: str) -> _reporters.Dump:
    """Return a minidump of Firefox. Raises ``ToolError`` if the tests are not installed."""
    if not DEFAULT_DUMP.exists():
        raise _common.ToolError("which dump? Say --dump NAME=FILE or --no-dumps: there is no tests/data here")
    return load_dump(name, DEFAULT_DUMP)


def choose_reporter(args: argparse.Namespace) -> _reporters.Reporter:
    """Return the crash reporter that --as names, changed by the other arguments."""
    reporter = _reporters.REPORTERS[args.reporter]
    changes = {name: getattr(args, name) for name in ("gzip", "chunked", "as_json")}
    return replace(reporter, **{name: value for name, value in changes.items() if value is not None})


def build_requests(args: argparse.Namespace) -> list[_requests.Request]:
    """Return the requests, which are sent in turn. Raises ``ToolError``."""
    if args.replay:
        return [load_request(Path(path)) for path in args.replay]
    reporter = choose_reporter(args)
    given = None if args.dumps is None else [load_dump(name, path) for name, path in args.dumps]
    token = os.environ.get("BREAKPAD_STAGE_SUBMITTER_BEARER_TOKEN", "")
    requests = []
    for annotations, names in map(load_annotations, args.annotations or [None]):
        dumps = [load_default_dump(name) for name in names] if given is None else given
        crash = annotations | dict(args.set)
        requests.append(_requests.build(reporter, args.url, crash, dumps, token if "uuid" in crash else ""))
    return requests


def load_request(path: Path) -> _requests.Request:
    """Return the request in a file, without any change. Raises ``ToolError``."""
    try:
        head, separator, body = path.read_bytes().partition(b"\r\n\r\n")
    except OSError as error:
        raise _common.ToolError(f"{path}: {error.strerror}") from error
    if not separator:
        raise _common.ToolError(f"{path}: not an HTTP request")
    return _requests.Request(head + separator, body)


def parse_dump(text: str) -> tuple[str, Path]:
    """Split NAME=FILE. This is for ``argparse``."""
    name, separator, path = text.partition("=")
    if not separator or not name or not path:
        raise argparse.ArgumentTypeError(f"expected NAME=FILE, not {text!r}")
    return name, Path(path)


def parse_annotation(text: str) -> tuple[str, str]:
    """Split NAME=VALUE. This is for ``argparse``."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, not {text!r}")
    return name, value


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = _common.make_parser(__doc__)
    parser.add_argument("url", metavar="URL", nargs="?", default=URL, help=f"where to send (default: {URL})")
    what = parser.add_argument_group("what to send")
    what.add_argument(
        "--annotations",
        metavar="FILE",
        type=Path,
        action="append",
        help="annotation file; if there are several, they are sent in turn",
    )
    what.add_argument(
        "--set", metavar="NAME=VALUE", type=parse_annotation, action="append", default=[], help="set an annotation"
    )
    dumps = what.add_mutually_exclusive_group()
    dumps.add_argument(
        "--dump",
        metavar="NAME=FILE",
        dest="dumps",
        type=parse_dump,
        action="append",
        help=f"a dump, any number of times (default: a minidump of Firefox as {MINIDUMP}, or as the set suggests)",
    )
    dumps.add_argument("--no-dumps", dest="dumps", action="store_const", const=[], help="send annotations only")
    what.add_argument(
        "--replay", metavar="FILE", nargs="+", help="send the HTTP requests in these files without any change"
    )
    how = parser.add_argument_group("how to send it")
    how.add_argument(
        "--as",
        dest="reporter",
        choices=sorted(_reporters.REPORTERS),
        default="firefox",
        help="crash reporter whose headers, boundary, parts and query string are sent (default: firefox); these change "
        "it:",
    )
    how.add_argument("--gzip", action=argparse.BooleanOptionalAction, help="Content-Encoding: gzip")
    how.add_argument("--chunked", action=argparse.BooleanOptionalAction, help="send chunks instead of a Content-Length")
    annotations = how.add_mutually_exclusive_group()
    annotations.add_argument(
        "--json-extra", dest="as_json", action="store_true", default=None, help="send all annotations in one JSON part"
    )
    annotations.add_argument(
        "--key-value", dest="as_json", action="store_false", help="send each annotation in a part of its own"
    )
    how.add_argument("--print", action="store_true", help="write the request to stdout, instead of sending it")
    load = parser.add_argument_group("how many")
    load.add_argument(
        "-n", "--number", type=_common.positive_int, help="crashes to send (default: 1, or each file once)"
    )
    load.add_argument(
        "--rate", type=_common.positive_float, help="most crashes to send in a second (default: no limit)"
    )
    load.add_argument(
        "--concurrency", type=_common.positive_int, default=8, help="crashes to send at the same time (default: 8)"
    )
    load.add_argument(
        "--timeout", type=_common.positive_float, default=60.0, help="seconds to wait for each step (default: 60)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object for each crash: status, answer, id, seconds"
    )
    return parser


def main() -> int:
    """Send crashes. Returns the exit code."""
    parser = make_parser()
    args = parser.parse_args()
    # If the URL comes last, as in the usage, --replay takes it for one of its files.
    if args.replay and args.replay[-1].startswith(("http://", "https://")):
        args.url = args.replay.pop()
        if not args.replay:
            parser.error("argument --replay: expected files before the URL")
    requests = build_requests(args)
    if args.print:
        for request in requests:
            sys.stdout.buffer.write(request.head + request.body)
        sys.stdout.buffer.flush()
        return 0
    number = args.number or len(requests)
    sender = _sender.Sender(args.url, args.timeout)
    summary = _sender.Summary()
    progress = _common.Progress("sent", number)
    try:
        for answer in progress.watch(sender.send_all(requests, number, args.rate, args.concurrency)):
            summary.add(answer)
            if args.json:
                _common.print_json(answer.as_json())
            elif answer.crash_id:
                print(answer.crash_id, flush=True)
    finally:
        for line in summary.lines():
            _common.note(line)
    return 0 if summary.all_answered else 1


if __name__ == "__main__":
    _common.run(main)
