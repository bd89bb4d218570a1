# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Names of the objects of a crash in a storage. They are a contract with the readers of the bucket."""

from antenna.crash import crash_id as crash_ids
from antenna.crash.dump_names import object_key


def raw_crash_prefix(date: str) -> str:
    """Return the common prefix of the names of all raw crashes of a day. ``date`` is YYYYMMDD."""
    return f"v1/raw_crash/{date}/"


def raw_crash_path(crash_id: str) -> str:
    """Return the name of the object that holds the raw crash."""
    return raw_crash_prefix(crash_ids.date_of(crash_id)) + crash_id


def dump_names_path(crash_id: str) -> str:
    """Return the name of the object that holds the list of dump names."""
    return f"v1/dump_names/{crash_id}"


def dump_path(crash_id: str, dump_name: str) -> str:
    """Return the name of the object that holds a dump."""
    return f"v1/{object_key(dump_name)}/{crash_id}"
