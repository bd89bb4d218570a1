# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The parts of a crash: its report, its dumps and their bytes, its id, and the names under which it is stored.

``antenna.payload`` makes a ``CrashReport``. The throttler judges its annotations. Storages and the spool write its raw
crash and its dumps. A ``Dump`` is a name and a content. The content lies in memory, in a temporary file or in the spool
(``buffer``), and its checksums are computed when it is first read. ``dump_names`` gives each dump of a report a name
that no other dump has, ``crash_id`` makes and checks ids, and ``object_names`` names the stored objects.

Crash ids, names of objects and the shape of the raw crash are a contract with the readers of the bucket. Nothing in
this package knows of HTTP or of a backend. Tests are in tests/crash.
"""

from antenna.crash import crash_id, dump_names
from antenna.crash.buffer import Buffer, Content, Room, StoredFile, TemporaryFilesFailed
from antenna.crash.identity import IDENTITY, identify, product_of, to_text, version_of
from antenna.crash.object_names import dump_names_path, dump_path, raw_crash_path, raw_crash_prefix
from antenna.crash.report import CrashReport, Dump, algorithms_of

__all__ = [
    "IDENTITY",
    "Buffer",
    "Content",
    "CrashReport",
    "Dump",
    "Room",
    "StoredFile",
    "TemporaryFilesFailed",
    "algorithms_of",
    "crash_id",
    "dump_names",
    "dump_names_path",
    "dump_path",
    "identify",
    "product_of",
    "raw_crash_path",
    "raw_crash_prefix",
    "to_text",
    "version_of",
]
