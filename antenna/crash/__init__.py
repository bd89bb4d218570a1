# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""What a crash is: its report, its dumps and their bytes, its id, and the names it is stored under."""

from antenna.crash.buffer import Buffer
from antenna.crash.crash_id import mint
from antenna.crash.object_names import dump_names_path, dump_path, raw_crash_path, raw_crash_prefix
from antenna.crash.report import CrashReport, Dump

__all__ = [
    "Buffer",
    "CrashReport",
    "Dump",
    "dump_names_path",
    "dump_path",
    "mint",
    "raw_crash_path",
    "raw_crash_prefix",
]
