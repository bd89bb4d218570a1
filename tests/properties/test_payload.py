# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The report that was sent is the report that is read, for any shape of body and pieces of any size."""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from antenna.config import build_config
from antenna.crash.dump_names import object_key
from antenna.crash.report import CrashReport
from antenna.payload.body import RequestBody
from antenna.payload.gunzip import Gunzip
from antenna.payload.reader import PayloadReader
from antenna.server.framed_body import FramedBody
from tests.support.sent_reports import MINIDUMP, SentReport, sent_reports
from tests.support.wire import Wire

ADDED = {"uuid", "version", "submitted_timestamp", "metadata"}
_CONFIG = Config()


def growing(sizes: list[int]) -> Iterator[int]:
    """Yield the sizes over and over. Large reports do not come byte by byte, because that would take too long."""
    return (max(size, read // 3) for read, size in enumerate(cycle(sizes)))


@pytest.fixture(scope="session")
def readers(tmp_path_factory: pytest.TempPathFactory) -> list[PayloadReader]:
    """Readers that keep reports in memory, in files, or both."""
    directory = str(tmp_path_factory.mktemp("temporary"))
    return [
        PayloadReader(
            build_config({"BREAKPAD_TEMP_DIR": directory, "BREAKPAD_MEMORY_PER_REPORT": memory}).with_namespace(
                "breakpad"
            )
        )
        for memory in ("768KiB", "0", "100")
    ]


def read_one(reader: PayloadReader, parser: RequestParser) -> CrashReport:
    request = next(parser)
    request.body = FramedBody(request)
    headers = dict(request.headers)
    environ: dict[str, Any] = {"CONTENT_TYPE": headers["CONTENT-TYPE"]}
    if "CONTENT-ENCODING" in headers:
        environ["HTTP_CONTENT_ENCODING"] = headers["CONTENT-ENCODING"]
    environ["HTTP_USER_AGENT"] = headers["USER-AGENT"]
    return reader.read(environ, RequestBody(request.body, int(headers.get("CONTENT-LENGTH", 0)), reader.limits))


@given(
    sent=st.lists(sent_reports(), min_size=1, max_size=2),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=3),
    which=st.integers(0, 2),
)
def test_reports_on_a_connection(
    readers: list[PayloadReader], sent: list[SentReport], sizes: list[int], which: int
) -> None:
    wire = Wire(b"".join(report.request for report in sent), growing(sizes))
    parser = RequestParser(_CONFIG, wire, ("127.0.0.1", 1))
    for each in sent:
        with read_one(readers[which], parser) as report:
            assert_is(report, each)


def assert_is(report: CrashReport, sent: SentReport) -> None:
    expected = sent.expected
    assert report.annotations == expected.annotations
    assert report.payload == expected.payload
    assert report.payload_compressed == sent.is_gzipped
    assert report.payload_size == len(sent.body)
    assert report.user_agent == sent.user_agent
    assert [b"".join(dump.pieces()) for dump in report.dumps.values()] == [content for _, content in expected.dumps]
    assert_dump_names(report, [name for name, _ in expected.dumps])
    assert sorted(note for note in report.notes if not note.startswith("Dump ")) == sorted(expected.notes)

    report.crash_id = "de1bb258-cbbf-4589-a673-34f800160918"
    raw_crash = json.loads(report.encoded_raw_crash())
    assert {name: value for name, value in raw_crash.items() if name not in ADDED} == {
        name: value for name, value in expected.annotations.items() if name not in ADDED
    }
    assert raw_crash["metadata"]["dump_checksums"] == {
        name: hashlib.md5(content).hexdigest()  # noqa: S324 - the default
        for name, (_, content) in zip(report.dumps, expected.dumps, strict=True)
    }


def assert_dump_names(report: CrashReport, sent: list[str]) -> None:
    """Check that each dump has its own key, and that a note names each dump whose key is not its own name."""
    safe = [re.sub(r"[^A-Za-z0-9_]", "", name)[:30] for name in sent]
    assigned = list(report.dumps)
    assert len({object_key(name) for name in assigned}) == len(sent)
    assert (MINIDUMP in safe) == (MINIDUMP in assigned)
    for was, now in zip(safe, assigned, strict=True):
        assert was == now or any(note.endswith(f" is stored as {now}.") for note in report.notes)
    for name in set(safe) - {""}:
        if [object_key(each) for each in safe].count(object_key(name)) == 1:
            assert name in assigned


@given(
    members=st.lists(st.tuples(st.binary(max_size=300), st.integers(1, 3000), st.integers(0, 9)), max_size=6),
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=4),
    junk=st.sampled_from([b"", b"junk", b"\0" * 100, b"\x1f"]),
)
def test_gunzip_is_the_inverse_of_gzip(members: list[tuple[bytes, int, int]], sizes: list[int], junk: bytes) -> None:
    members = members or [(b"", 1, 9)]
    zipped = b"".join(gzip.compress(content * times, level) for content, times, level in members) + junk
    wire = Wire(zipped, growing(sizes))

    unzipped = b"".join(Gunzip(iter(lambda: wire.recv(65536), b""), max_size=10_000_000))

    assert unzipped == b"".join(content * times for content, times, _ in members)
