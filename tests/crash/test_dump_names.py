# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Each dump has a key of its own, even if clients give several dumps the same name."""

import pytest

from antenna.crash.dump_names import MINIDUMP, RESERVED, assign, object_key, sanitize
from antenna.refusal import Reason, Refusal


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("upload_file_minidump", "upload_file_minidump"),
        ("upload_file_minidump_browser", "upload_file_minidump_browser"),
        ("memory_report", "memory_report"),
        ("Memory-Report.json", "MemoryReportjson"),
        ("../../v1/raw_crash/x", "v1raw_crashx"),
        ("a b\tc\0d\r\n", "abcd"),
        ("dump%2F", "dump2F"),
        ("dümp", "dmp"),
        ("d\N{FULLWIDTH LATIN SMALL LETTER U}mp", "dmp"),
        ("\N{ARABIC-INDIC DIGIT ONE}1", "1"),
        ("x" * 31, "x" * 30),
        ("-" * 100 + "x", "x"),
        ("x" * 100_000, "x" * 30),
        ("", ""),
        ("\0/..", ""),
    ],
)
def test_sanitize(name: str, safe: str) -> None:
    assert sanitize(name) == safe


@pytest.mark.parametrize(
    "name", [*sorted(RESERVED), "raw-_crash", "/dump_names", "processed_crash\0", "räw_crash"[:1] + "aw_crash"]
)
def test_names_of_other_objects_are_refused(name: str) -> None:
    with pytest.raises(Refusal) as raised:
        sanitize(name)
    assert raised.value.reason is Reason.INVALID_DUMP_NAME


@pytest.mark.parametrize(
    ("names", "assigned"),
    [
        ([], []),
        ([MINIDUMP], [MINIDUMP]),
        (["a", MINIDUMP, "b"], ["a", MINIDUMP, "b"]),
        (["dump"], ["dump"]),
        (["dump", MINIDUMP], ["dump_1", MINIDUMP]),
        ([MINIDUMP, "dump"], [MINIDUMP, "dump_1"]),
        ([MINIDUMP, MINIDUMP], [MINIDUMP, "upload_file_minidump_1"]),
        (["dump", "dump"], ["dump", "dump_1"]),
        (["a", "a", "a"], ["a", "a_1", "a_2"]),
        (["a_1", "a", "a"], ["a_1", "a", "a_2"]),
        (["a", "a", "a_1"], ["a", "a_2", "a_1"]),
        ([""], ["unnamed_1"]),
        (["", "", "unnamed_1"], ["unnamed_2", "unnamed_3", "unnamed_1"]),
        (["x" * 30, "x" * 30], ["x" * 30, "x" * 27 + "_1"]),
        (["A", "a"], ["A", "a"]),
    ],
)
def test_assign(names: list[str], assigned: list[str]) -> None:
    assert assign(names) == assigned


@pytest.mark.parametrize("name", ["", "dump", MINIDUMP, "x" * 30, "raw_crash_1"])
def test_no_two_dumps_have_one_key(name: str) -> None:
    assigned = assign([name, MINIDUMP, "dump", ""] * 8)

    keys = [object_key(each) for each in assigned]
    assert len(set(keys)) == len(keys) == 32
    assert not RESERVED & set(keys)
    assert all(0 < len(each) <= 30 for each in assigned)
    assert MINIDUMP in assigned


def test_a_thousand_dumps_have_names_as_long_as_others() -> None:
    assigned = assign(["x" * 30] * 1005)

    assert len({object_key(each) for each in assigned}) == 1005
    assert all(0 < len(each) <= 30 for each in assigned)
