# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Objects have the names that readers of the bucket look for."""

from antenna.crash.object_names import dump_names_path, dump_path, raw_crash_path, raw_crash_prefix

CRASH_ID = "de1bb258-cbbf-4589-a673-34f800160918"


def test_names() -> None:
    assert raw_crash_path(CRASH_ID) == f"v1/raw_crash/20160918/{CRASH_ID}"
    assert dump_names_path(CRASH_ID) == f"v1/dump_names/{CRASH_ID}"
    assert dump_path(CRASH_ID, "upload_file_minidump") == f"v1/dump/{CRASH_ID}"
    assert dump_path(CRASH_ID, "memory_report") == f"v1/memory_report/{CRASH_ID}"


def test_raw_crashes_of_a_day_begin_the_same() -> None:
    assert raw_crash_path(CRASH_ID).startswith(raw_crash_prefix("20160918"))
