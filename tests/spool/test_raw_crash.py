# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A raw crash is what the collector has written for this crash. Otherwise its entry counts as damaged."""

import json
from typing import Any

import gevent
import pytest

from antenna.hub import run_blocking
from antenna.spool import EntryDamaged
from antenna.spool.raw_crash import dump_checksums
from tests.support.crashes import OLD_ID, make_report
from tests.support.spools import REPORTS

OTHER_ID = f"0{OLD_ID[1:]}"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def make(**changes: Any) -> bytes:
    raw_crash = {"uuid": OLD_ID, "metadata": {"dump_checksums": {"upload_file_minidump": MD5}}} | changes
    return json.dumps(raw_crash, sort_keys=True).encode()


# A member that makes a raw crash too large to be decoded in one go.
LARGE = {"Notes": "x" * 500_000}
SIZES = pytest.mark.parametrize("more", [{}, LARGE, {"Zzz": LARGE}], ids=["small", "large", "large at its end"])


@SIZES
def test_checksums_are_those_of_the_dumps(more: dict[str, Any]) -> None:
    assert dump_checksums(make(**more), OLD_ID) == {"upload_file_minidump": MD5}
    assert dump_checksums(make(metadata={"dump_checksums": {}}, **more), OLD_ID) == {}


@pytest.mark.parametrize("dumps", REPORTS.values(), ids=REPORTS)
@pytest.mark.parametrize("size", [10, 200_000])
def test_what_the_collector_writes_is_read(dumps: dict[str, bytes], size: int) -> None:
    with make_report(dumps) as report:
        report.annotations |= {"TelemetryEnvironment": '"\\\n{[' * size, "Nested": {"a": [1, 2.5, None, {}, []]}}
        report.annotations_size = 5 * size

        checksums = dump_checksums(report.encoded_raw_crash(), report.crash_id)

        assert checksums == {name: dump.checksum for name, dump in report.dumps.items()}


@pytest.mark.parametrize("space", ["", " ", "\n\t\r "])
def test_space_is_no_matter(space: str) -> None:
    members = [
        f'"uuid":{space}"{OLD_ID}"',
        f'"metadata"{space}:{{"dump_checksums": {{}}}}',
        f'"Notes": "{"x" * 300_000}"',
    ]
    text = space + "{" + space + f"{space},{space}".join(members) + space + "}" + space

    assert dump_checksums(text.encode(), OLD_ID) == {}


@SIZES
@pytest.mark.parametrize(
    "changes",
    [
        {"uuid": OTHER_ID},
        {"uuid": OLD_ID.upper()},
        {"uuid": None},
        {"metadata": None},
        {"metadata": []},
        {"metadata": {}},
        {"metadata": {"dump_checksums": []}},
        {"metadata": {"dump_checksums": {"upload_file_minidump": None}}},
        {"metadata": {"dump_checksums": {"../../escape": MD5}}},
        {"metadata": {"dump_checksums": {"": MD5}}},
        {"metadata": {"dump_checksums": {"raw_crash": MD5}}},
        {"metadata": {"dump_checksums": {"x" * 31: MD5}}},
        {"metadata": {"dump_checksums": {"\udcff": MD5}}},
    ],
    ids=repr,
)
def test_members_of_another_shape_are_damage(changes: dict[str, Any], more: dict[str, Any]) -> None:
    with pytest.raises(EntryDamaged, match=r"^raw_crash: "):
        dump_checksums(make(**(more | changes)), OLD_ID)


WHOLE = make(**LARGE)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b'"uuid"',
        b"\xff",
        b"\0" * 1000,
        b"\xef\xbb\xbf" + make(),
        make() + b"x",
        make()[:-1],
        make(Notes=float("nan")),
        b'{"Notes":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"Notes":' * 100_000,
        b" " * 300_000,
        b"{" + b" " * 300_000,
        b"{}" + b" " * 300_000 + b"x",
        b"[" * 300_000,
        WHOLE[:-1],
        WHOLE[:-2],
        WHOLE[:300_000],
        WHOLE + b"}",
        WHOLE.replace(b", ", b"; ", 1),
        WHOLE.replace(b": ", b"= ", 1),
        WHOLE.replace(b'{"', b'{1: 2, "', 1),
        WHOLE.replace(b"xxx", b"x\nx", 1),
        WHOLE.replace(b"xxx", b"x\xffx", 1),
    ],
    ids=lambda content: f"{content[:20]!r}-{len(content)}",
)
def test_what_is_no_such_json_is_damage(content: bytes) -> None:
    with pytest.raises(EntryDamaged, match=r"^raw_crash: "):
        dump_checksums(content, OLD_ID)


def test_others_go_on_while_a_large_one_is_decoded() -> None:
    content = make(**{f"Name{number}": "\n" * 100_000 for number in range(100)})
    decoding = gevent.spawn(run_blocking, dump_checksums, content, OLD_ID)
    turns = 0
    while not decoding.ready():
        gevent.sleep(0.001)
        turns += 1

    assert turns > 3
    assert decoding.get() == {"upload_file_minidump": MD5}
