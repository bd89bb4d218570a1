#!/usr/bin/env python3
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""List, read and remove objects in a bucket of Google Cloud Storage. STORAGE_EMULATOR_HOST selects an emulator.

Credentials are Google's application default credentials; an emulator needs none. The bucket is the collector's,
CRASHMOVER_CRASHSTORAGE_BUCKET_NAME, unless --bucket names another. "bin/gcs.py COMMAND --help" explains a command.

Examples:
  bin/gcs.py create-bucket                     # does nothing if it is there
  bin/gcs.py list-objects v1/raw_crash/20261122/
  bin/gcs.py get-object v1/dump_names/de1bb258-cbbf-4589-a673-34f800261122
  bin/gcs.py get-object v1/dump/de1bb258-cbbf-4589-a673-34f800261122 --output crash.dmp
  bin/gcs.py --bucket other list-objects --json | jq -s 'map(.size) | add'

"""

import argparse
import os
import sys
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bin import _common, _google, _google_storage  # isort: split

from google.api_core.exceptions import Conflict


def list_buckets(args: argparse.Namespace) -> None:
    """Print the buckets of the project."""
    for bucket in _google_storage.client(args.project).list_buckets(**_google_storage.OPTIONS):
        if args.json:
            _common.print_json({"name": bucket.name, "created": _time(bucket.time_created)})
        else:
            print(_common.printable(bucket.name))


def create_bucket(args: argparse.Namespace) -> None:
    """Make the bucket."""
    outcome = "created"
    try:
        _google_storage.client(args.project).create_bucket(
            args.bucket, location=args.location, **_google_storage.OPTIONS
        )
    except Conflict:
        outcome = "is there already"
    _common.note(f"bucket {args.bucket} {outcome}")


def list_objects(args: argparse.Namespace) -> None:
    """Print the objects whose names begin with the prefix."""
    client = _google_storage.client()
    fields = "items(name,size,contentType,updated),nextPageToken"
    for blob in client.list_blobs(args.bucket, prefix=args.prefix, fields=fields, **_google_storage.OPTIONS):
        if args.json:
            description = {"name": blob.name, "size": blob.size}
            _common.print_json(description | {"content_type": blob.content_type, "updated": _time(blob.updated)})
        else:
            print(_common.printable(blob.name))


def get_object(args: argparse.Namespace) -> None:
    """Write the bytes of an object to a file, or to stdout."""
    blob = _google_storage.client().bucket(args.bucket).blob(args.object)
    content: bytes = blob.download_as_bytes(**_google_storage.OPTIONS)
    if args.output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        args.output.write_bytes(content)
        _common.note(f"{args.output}: {len(content):,} bytes")


def remove_objects(args: argparse.Namespace) -> None:
    """Remove objects."""
    bucket = _google_storage.client().bucket(args.bucket)
    for name in args.objects:
        bucket.blob(name).delete(**_google_storage.OPTIONS)
        _common.note(f"{name} removed")


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_arguments() -> argparse.Namespace:
    """Return the arguments; ``command`` is the function to call."""
    parser = _common.make_parser(__doc__)
    parser.add_argument("--bucket", default=os.environ.get("CRASHMOVER_CRASHSTORAGE_BUCKET_NAME"), help="bucket name")
    parser.add_argument(
        "--project",
        default=os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("CRASHMOVER_CRASHPUBLISH_PROJECT_ID"),
        help="project that buckets belong to (default: GOOGLE_CLOUD_PROJECT or CRASHMOVER_CRASHPUBLISH_PROJECT_ID)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list-buckets", help="print the names of the project's buckets")
    command.add_argument("--json", action="store_true", help="print one JSON object a line")
    command.set_defaults(command=list_buckets, needs=["project"])

    command = commands.add_parser("create-bucket", help="make the bucket, if it does not exist")
    command.add_argument("--location", default="US", help="region in which its objects are stored (default: US)")
    command.set_defaults(command=create_bucket, needs=["project", "bucket"])

    command = commands.add_parser("list-objects", help="print the names of objects")
    command.add_argument(
        "prefix", metavar="PREFIX", nargs="?", default="", help="prefix of the names (default: all objects)"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object a line: name, size, type, time")
    command.set_defaults(command=list_objects, needs=["bucket"])

    command = commands.add_parser("get-object", help="write the bytes of an object to stdout or to a file")
    command.add_argument("object", metavar="OBJECT", help="name of the object")
    command.add_argument("--output", metavar="FILE", type=Path, help="file to write (default: stdout)")
    command.set_defaults(command=get_object, needs=["bucket"])

    command = commands.add_parser("remove-object", help="remove objects")
    command.add_argument("objects", metavar="OBJECT", nargs="+", help="name of an object")
    command.set_defaults(command=remove_objects, needs=["bucket"])

    args = parser.parse_args()
    for name in args.needs:
        if not getattr(args, name):
            parser.error(f"which {name}? Say --{name}, or set the environment variable: see --help")
    return args


@_google.explained()
def main() -> int:
    """Run the command. Returns the exit code."""
    args = parse_arguments()
    args.command(args)
    return 0


if __name__ == "__main__":
    _common.run(main)
