# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""Bodies that can be read in two ways are read as their clients mean them, and no part is lost."""

import base64
from dataclasses import dataclass, field

import pytest

from tests.support.collector import Collector
from tests.support.reports import BOUNDARY, MINIDUMP, post

DELIMITER = f"--{BOUNDARY}\r\n"
PRODUCT = f'{DELIMITER}Content-Disposition: form-data; name="ProductName"\r\n\r\nMyGame\r\n'
END = f"--{BOUNDARY}--\r\n"
ANNOTATION = f'{DELIMITER}Content-Disposition: form-data; name="Comments"'
DUMP = f'{DELIMITER}Content-Disposition: form-data; name="{MINIDUMP}"; filename="x.dmp"'
NEXT = f'{DELIMITER}Content-Disposition: form-data; name="CrashType"\r\n\r\nx\r\n'


@dataclass(frozen=True)
class Read:
    """The annotations and dumps that were read, without ``ProductName``."""

    annotations: dict[str, str] = field(default_factory=dict)
    dumps: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


CRASH_TYPE = {"CrashType": "x"}
MDMP = {MINIDUMP: b"MDMP"}
CASES = {
    "empty annotation": (PRODUCT + ANNOTATION + "\r\n\r\n" + NEXT, Read({"Comments": ""} | CRASH_TYPE)),
    "empty annotation, no empty line": (PRODUCT + ANNOTATION + "\r\n" + NEXT, Read({"Comments": ""} | CRASH_TYPE)),
    "empty annotation at the end": (PRODUCT + ANNOTATION + "\r\n\r\n", Read({"Comments": ""})),
    "empty dump": (PRODUCT + DUMP + "\r\n\r\n" + NEXT, Read(CRASH_TYPE, {MINIDUMP: b""})),
    "empty dump at the end": (PRODUCT + DUMP + "\r\n\r\n", Read({}, {MINIDUMP: b""})),
    "byte order mark": ("\ufeff" + PRODUCT + DUMP + "\r\n\r\nMDMP\r\n", Read({}, MDMP)),
    "blank": (" " + PRODUCT + NEXT, Read(CRASH_TYPE)),
    "base64": (
        PRODUCT + DUMP + "\r\nContent-Transfer-Encoding: Base64\r\n\r\nTURN\r\nUA==\r\n" + NEXT,
        Read(CRASH_TYPE, MDMP, [f"Decoded {MINIDUMP} from base64."]),
    ),
    "damaged base64": (
        PRODUCT + DUMP + "\r\nContent-Transfer-Encoding: base64\r\n\r\nMDMP!\r\n",
        Read({}, {MINIDUMP: b"MDMP!"}, [f"Kept {MINIDUMP} as it came: damaged base64."]),
    ),
    "quoted-printable": (
        PRODUCT + ANNOTATION + "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9 50=25\r\n",
        Read({"Comments": "café 50%"}, {}, ["Decoded Comments from quoted-printable."]),
    ),
    "extended names": (
        PRODUCT
        + f"{DELIMITER}Content-Disposition: form-data; name*=utf-8''caf%C3%A9\r\n\r\nv\r\n"
        + f"{DELIMITER}Content-Disposition: form-data; name*=utf-8''anh%C3%A4nge; filename*=utf-8''x\r\n\r\nd\r\n",
        Read({"café": "v"}, {"anhnge": b"d"}, ["Dump anhänge is stored as anhnge."]),
    ),
    "names that end in a backslash": (
        PRODUCT
        + f'{DELIMITER}Content-Disposition: form-data; name="path\\"\r\n\r\nv\r\n'
        + f'{DELIMITER}Content-Disposition: form-data; filename="C:\\d\\"; name="att\\"\r\n\r\nd\r\n',
        Read({"path\\": "v"}, {"att": b"d"}, ["Dump att\\ is stored as att."]),
    ),
    "empty file name": (
        PRODUCT + ANNOTATION + '; filename=""\r\nContent-Type: text/plain\r\n\r\nv\r\n',
        Read({"Comments": "v"}),
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_is_read_as_it_is_meant(collector: Collector, case: str) -> None:
    body, read = CASES[case]

    crash = collector.assert_saved(collector.submit(post((body + END).encode())))

    assert read.annotations | {"ProductName": "MyGame"} == {
        name: value
        for name, value in crash.raw_crash.items()
        if name not in {"uuid", "version", "metadata", "submitted_timestamp"}
    }
    assert crash.dumps == read.dumps
    assert crash.notes == read.notes


def test_large_dump_in_base64(collector: Collector) -> None:
    content = bytes(range(256)) * 20_000
    body = (PRODUCT + DUMP + "\r\nContent-Transfer-Encoding: base64\r\n\r\n").encode()

    answer = collector.submit(post(body + base64.encodebytes(content) + b"\r\n" + END.encode()))

    assert collector.assert_saved(answer).dumps == {MINIDUMP: content}


def test_empty_user_agent(collector: Collector) -> None:
    answer = collector.submit(post((PRODUCT + END).encode(), {"User-Agent": ""}))

    assert collector.assert_saved(answer).raw_crash["metadata"]["user_agent"] == "None"
