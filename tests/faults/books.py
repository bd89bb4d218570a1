# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Checks the books of a schedule: compares the crashes in the bucket and on the topic with those that were promised."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.faults.crashes import Crash
from tests.support.google_cloud import GcsBucket
from tests.support.reports import MINIDUMP


@dataclass(slots=True)
class Books:
    """The state of the crashes after a schedule: saved, published, spooled."""

    problems: list[str] = field(default_factory=list)
    saved: int = 0
    """Raw crashes in the bucket."""
    unpromised: int = 0
    """Those of them whose client got no id, because a process was killed or the client was told to try again."""
    published_twice: int = 0


def check_books(promised: Mapping[str, Crash], bucket: GcsBucket, published: Counter[str]) -> Books:
    """Check every promise, and check that everything that a processor can see is complete."""
    books = Books()
    names = frozenset(bucket.object_names())
    saved = {name.rpartition("/")[2] for name in names if name.startswith("v1/raw_crash/")}
    books.saved = len(saved)
    books.unpromised = len(saved - promised.keys())
    books.published_twice = sum(count > 1 for count in published.values())
    books.problems += unfinished_crashes(bucket, names)
    books.problems += [f"{crash_id}: published and not saved" for crash_id in published.keys() - saved]
    for crash_id, crash in promised.items():
        books.problems += [f"{crash_id}: {problem}" for problem in _broken_promises(crash_id, crash, bucket, names)]
        if crash.is_deferred and published[crash_id]:
            books.problems.append(f"{crash_id}: deferred and published")
        if not crash.is_deferred and not published[crash_id]:
            books.problems.append(f"{crash_id}: never published")
    return books


def unfinished_crashes(bucket: GcsBucket, names: Iterable[str]) -> list[str]:
    """Return what is missing of crashes that a processor can see, which are those that have a raw crash."""
    names = frozenset(names)
    problems = []
    for name in names:
        crash_id = name.rpartition("/")[2]
        if not name.startswith("v1/raw_crash/"):
            continue
        if f"v1/dump_names/{crash_id}" not in names:
            problems.append(f"{crash_id}: a raw crash without its dump names")
            continue
        dump_names = bucket.read_json(f"v1/dump_names/{crash_id}")
        problems += [f"{crash_id}: without {dump}" for dump in dump_names if _path(dump, crash_id) not in names]
    return problems


def _broken_promises(crash_id: str, crash: Crash, bucket: GcsBucket, names: frozenset[str]) -> list[str]:
    raw_crash_name = f"v1/raw_crash/20{crash_id[-6:]}/{crash_id}"
    if raw_crash_name not in names:
        return [f"lost, promised for {crash.serial}"]
    raw_crash = bucket.read_json(raw_crash_name)
    checksums = {name: hashlib.md5(content).hexdigest() for name, content in crash.dumps.items()}  # noqa: S324
    problems = []
    if (raw_crash["uuid"], raw_crash["Serial"]) != (crash_id, crash.serial):
        problems.append(f"another raw crash: {raw_crash}")
    if raw_crash["metadata"]["dump_checksums"] != checksums:
        problems.append("other checksums in the raw crash")
    if bucket.read(f"v1/dump_names/{crash_id}") != json.dumps(sorted(crash.dumps)).encode():
        problems.append("other dump names")
    for name, content in crash.dumps.items():
        path = _path(name, crash_id)
        if path in names and bucket.read(path) != content:
            problems.append(f"other bytes in {name}")
    return problems


def _path(dump_name: str, crash_id: str) -> str:
    return f"v1/{'dump' if dump_name == MINIDUMP else dump_name}/{crash_id}"
