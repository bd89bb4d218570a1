# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""A request's body becomes a crash report, within the limits, and nothing is left of one that is refused."""

import contextlib
import errno
import gzip
import hashlib
import io
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import psutil
import pytest

import antenna.files
import antenna.payload.memory
from antenna.config import ConfigurationError, build_config
from antenna.crash.report import CrashReport
from antenna.limits import MAX_PART_HEADER_SIZE
from antenna.payload.body import RequestBody
from antenna.payload.reader import PayloadReader
from antenna.refusal import Reason, Refusal
from antenna.server.framed_body import UnframedBody
from tests.support.reports import BOUNDARY, MINIDUMP, annotation, dump, extra, multipart

PRODUCT = annotation("ProductName", "Firefox")
BODY = multipart(PRODUCT, dump(b"MDMP"))
FORM_DATA = f"multipart/form-data; boundary={BOUNDARY}"
MIB = 1024 * 1024


def payload_reader(directory: Path, **options: str) -> PayloadReader:
    environ = {f"BREAKPAD_{name}": value for name, value in options.items()}
    config = build_config({"BREAKPAD_TEMP_DIR": str(directory), **environ})
    return PayloadReader(config.with_namespace("breakpad"))


def read(reader: PayloadReader, body: bytes, content_type: str = FORM_DATA, **headers: str) -> CrashReport:
    environ: dict[str, Any] = {"CONTENT_TYPE": content_type, **headers}
    return reader.read(environ, RequestBody(UnframedBody(io.BytesIO(body)), 0, reader.limits))


@pytest.fixture
def reader(tmp_path: Path) -> PayloadReader:
    return payload_reader(tmp_path)


def assert_refused(reason: Reason, action: Callable[[], CrashReport]) -> None:
    with pytest.raises(Refusal) as raised:
        action()
    assert raised.value.reason is reason


def open_files() -> int:
    return psutil.Process().num_fds()


class TestContentType:
    @pytest.mark.parametrize(
        "content_type",
        [
            FORM_DATA,
            FORM_DATA.upper().replace(BOUNDARY.upper(), BOUNDARY),
            f"multipart/mixed;boundary={BOUNDARY}",
            f'multipart/form-data; boundary="{BOUNDARY}"',
            f"multipart/form-data; charset=utf-8; Boundary={BOUNDARY}; x=y",
            f" multipart/form-data ; boundary = {BOUNDARY} ",
        ],
    )
    def test_multipart(self, reader: PayloadReader, content_type: str) -> None:
        with read(reader, BODY, content_type) as report:
            assert report.annotations == {"ProductName": "Firefox"}
            assert list(report.dumps) == [MINIDUMP]

    @pytest.mark.parametrize(
        ("content_type", "reason"),
        [
            ("", Reason.NO_CONTENT_TYPE),
            (" ", Reason.NO_CONTENT_TYPE),
            ("multipart", Reason.WRONG_CONTENT_TYPE),
            (f"multipart/related; boundary={BOUNDARY}", Reason.WRONG_CONTENT_TYPE),
            (f"multipart/form-data2; boundary={BOUNDARY}", Reason.WRONG_CONTENT_TYPE),
            (f"application/x-www-form-urlencoded; boundary={BOUNDARY}", Reason.WRONG_CONTENT_TYPE),
            (f"boundary={BOUNDARY}", Reason.WRONG_CONTENT_TYPE),
            ("multipart/form-data", Reason.NO_BOUNDARY),
            ("multipart/form-data; boundary", Reason.NO_BOUNDARY),
            ("multipart/form-data; boundary=", Reason.NO_BOUNDARY),
            ('multipart/form-data; boundary=""', Reason.NO_BOUNDARY),
            ("multipart/form-data; boundary=" + "x" * 257, Reason.NO_BOUNDARY),
            ("multipart/form-data; boundary=" + "x" * 5000, Reason.NO_BOUNDARY),
        ],
    )
    def test_anything_else(self, reader: PayloadReader, content_type: str, reason: Reason) -> None:
        assert_refused(reason, lambda: read(reader, BODY, content_type))

    @pytest.mark.parametrize(
        ("boundary", "parameter"),
        [
            (b"\xe9\xff\x80", "boundary=\xe9\xff\x80"),
            (b"\xe9", "boundary*=iso-8859-1''%E9"),
            ("\N{EURO SIGN}".encode(), "boundary*=utf-8''%E2%82%AC"),
        ],
    )
    def test_boundary_of_any_bytes(self, reader: PayloadReader, boundary: bytes, parameter: str) -> None:
        body = BODY.replace(BOUNDARY.encode(), boundary)

        with read(reader, body, f"multipart/form-data; {parameter}") as report:
            assert report.annotations == {"ProductName": "Firefox"}


class TestContentEncoding:
    @pytest.mark.parametrize("encoding", ["", "identity", "Identity", " "])
    def test_none(self, reader: PayloadReader, encoding: str) -> None:
        with read(reader, BODY, HTTP_CONTENT_ENCODING=encoding) as report:
            assert not report.payload_compressed
            assert report.payload_size == len(BODY)

    @pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", " X-Gzip "])
    def test_gzip(self, reader: PayloadReader, encoding: str) -> None:
        zipped = gzip.compress(BODY)

        with read(reader, zipped, HTTP_CONTENT_ENCODING=encoding) as report:
            assert report.payload_compressed
            assert report.payload_size == len(zipped)
            assert report.dumps[MINIDUMP].checksum == hashlib.md5(b"MDMP").hexdigest()  # noqa: S324 - the default

    def test_gzip_of_any_size(self, reader: PayloadReader) -> None:
        for size in (1000, 200_000, 300_000, 1_000_000):
            content = random.Random(1).randbytes(size)
            zipped = gzip.compress(multipart(PRODUCT, dump(content)))
            for headers in ({}, {"CONTENT_LENGTH": str(len(zipped))}):
                with read(reader, zipped, HTTP_CONTENT_ENCODING="gzip", **headers) as report:
                    assert b"".join(report.dumps[MINIDUMP].pieces()) == content

    @pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "gzip;q=1", "gzip\xe9", "x" * 8000])
    def test_unsupported(self, reader: PayloadReader, encoding: str) -> None:
        assert_refused(Reason.UNSUPPORTED_ENCODING, lambda: read(reader, BODY, HTTP_CONTENT_ENCODING=encoding))

    @pytest.mark.parametrize(
        "body", [BODY, gzip.compress(BODY)[:-1], gzip.compress(BODY)[1:], gzip.compress(BODY)[:20] + bytes(100)]
    )
    def test_damaged(self, reader: PayloadReader, body: bytes) -> None:
        assert_refused(Reason.BAD_GZIP, lambda: read(reader, body, HTTP_CONTENT_ENCODING="gzip"))

    def test_empty(self, reader: PayloadReader) -> None:
        assert_refused(Reason.NO_CONTENT_LENGTH, lambda: read(reader, b"", HTTP_CONTENT_ENCODING="gzip"))
        assert_refused(
            Reason.INVALID_PAYLOAD_STRUCTURE, lambda: read(reader, gzip.compress(b""), HTTP_CONTENT_ENCODING="gzip")
        )


class TestSizes:
    def test_on_the_wire(self, tmp_path: Path) -> None:
        reader = payload_reader(tmp_path, MAX_PAYLOAD_SIZE=str(len(BODY)))

        with read(reader, BODY):
            pass
        assert_refused(Reason.TOO_LARGE, lambda: read(reader, BODY + b"x"))

    def test_decompressed(self, tmp_path: Path) -> None:
        reader = payload_reader(tmp_path, MAX_DECOMPRESSED_SIZE=str(len(BODY)))

        with read(reader, gzip.compress(BODY), HTTP_CONTENT_ENCODING="gzip"):
            pass
        assert_refused(Reason.TOO_LARGE, lambda: read(reader, gzip.compress(BODY + b"x"), HTTP_CONTENT_ENCODING="gzip"))

    def test_headers_of_a_part(self, tmp_path: Path) -> None:
        reader = payload_reader(tmp_path)

        assert_refused(Reason.TOO_LARGE, lambda: read(reader, multipart(annotation("x" * MAX_PART_HEADER_SIZE, ""))))


class TestUserAgent:
    @pytest.mark.parametrize(
        ("header", "user_agent"),
        [
            ("curl/7.88.1", "curl/7.88.1"),
            ("Fenix ä".encode().decode("latin-1"), "Fenix ä"),
            ("Fenix \xe4\xff", "Fenix \xe4\xff"),
            ("", "None"),
            (" \t", "None"),
        ],
    )
    def test_is_kept(self, reader: PayloadReader, header: str, user_agent: str) -> None:
        with read(reader, BODY, HTTP_USER_AGENT=header) as report:
            assert report.user_agent == user_agent

    def test_absent(self, reader: PayloadReader) -> None:
        with read(reader, BODY) as report:
            assert report.user_agent == "None"


class TestNothingIsLeft:
    # The first dump is too large to be kept in memory.
    LARGE = multipart(PRODUCT, dump(bytes(MIB)), dump(bytes(200_000), "other"), annotation("a", "x" * 300_000))

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(LARGE, id="complete"),
            pytest.param(LARGE[:-10], id="cut off"),
            pytest.param(LARGE[: MIB - 1000], id="cut off in a dump"),
            pytest.param(LARGE.replace(PRODUCT, extra(b"{")), id="invalid JSON"),
            pytest.param(LARGE.replace(b'"other"', b'"raw_crash"'), id="invalid dump name"),
        ],
    )
    def test_of_a_report(self, reader: PayloadReader, body: bytes, tmp_path: Path) -> None:
        with read(reader, self.LARGE):  # makes gevent's thread pool
            pass
        before = open_files()
        for _ in range(3):
            try:
                with read(reader, body) as report:
                    assert open_files() > before
                    assert report.dumps[MINIDUMP].content.descriptor is not None
            except Refusal:
                pass

        assert open_files() == before
        assert list(tmp_path.iterdir()) == []

    def test_of_the_memory_taken(self, tmp_path: Path) -> None:
        reader = payload_reader(tmp_path, MEMORY_PER_WORKER="1MiB")
        for body in (BODY, self.LARGE, self.LARGE[:-10], multipart(extra({"a": [0] * 40_000}))) * 5:
            try:
                with read(reader, body):
                    pass
            except Refusal:
                pass

        with read(reader, BODY) as report:
            assert report.dumps[MINIDUMP].content.descriptor is None


class TestAnnotationsWaitForMemory:
    def test_until_others_are_done(self, tmp_path: Path) -> None:
        reader = payload_reader(tmp_path, MEMORY_PER_WORKER="1MiB")
        large = multipart(annotation("a", "x" * 300_000))
        first = read(reader, large)
        second = gevent.spawn(read, reader, large)
        gevent.sleep(0.05)
        assert not second.ready()

        with first:
            pass
        with second.get(timeout=5) as report:
            assert len(report.annotations["a"]) == 300_000

    def test_not_for_ever(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(antenna.payload.memory, "MEMORY_TIMEOUT", 0.05)
        reader = payload_reader(tmp_path, MEMORY_PER_WORKER="1MiB")
        large = multipart(annotation("a", "x" * 300_000))
        with read(reader, large):
            assert_refused(Reason.UNAVAILABLE, lambda: read(reader, large))

        with read(reader, large):
            pass

    @pytest.mark.parametrize(
        ("memory", "waits", "goes_on"),
        [
            pytest.param("1MiB", 300_000, 60_000, id="small ones"),
            pytest.param("16MiB", 5 * MIB, 150_000, id="all but the largest, when those wait"),
        ],
    )
    def test_but_not(self, tmp_path: Path, memory: str, waits: int, goes_on: int) -> None:
        reader = payload_reader(tmp_path, MEMORY_PER_WORKER=memory)
        large = multipart(annotation("a", "x" * waits))
        with read(reader, large):
            waiting = gevent.spawn(read, reader, large)
            gevent.sleep(0.05)

            with gevent.Timeout(5), read(reader, multipart(annotation("a", "x" * goes_on))) as report:
                assert len(report.annotations["a"]) == goes_on
                assert not waiting.ready()

        with waiting.get(timeout=5):
            pass

    def test_nor_do_small_ones_keep_large_ones_waiting(self, tmp_path: Path) -> None:
        reader = payload_reader(tmp_path, MEMORY_PER_WORKER="1MiB")
        small = multipart(extra({"a": [0] * 7_000}))
        with contextlib.ExitStack() as reports:
            for _ in range(10):
                reports.enter_context(read(reader, small))

            with gevent.Timeout(5), read(reader, multipart(annotation("a", "x" * 300_000))) as report:
                assert len(report.annotations["a"]) == 300_000

    def test_values_in_json_count(self, tmp_path: Path) -> None:
        reader = payload_reader(tmp_path, MEMORY_PER_WORKER="32MiB")
        many_values = multipart(extra({"a": [0] * 40_000}))
        with read(reader, many_values), read(reader, many_values):
            waiting = gevent.spawn(read, reader, many_values)
            gevent.sleep(0.05)
            assert not waiting.ready()

        with waiting.get(timeout=5):
            pass

    def test_more_than_there_ever_is(self, tmp_path: Path) -> None:
        reader = payload_reader(tmp_path, MEMORY_PER_WORKER="1MiB")

        with read(reader, multipart(annotation("a", "x" * 5 * MIB))) as report:
            assert len(report.annotations["a"]) == 5 * MIB


def test_others_have_their_turn_while_a_large_report_is_read(reader: PayloadReader) -> None:
    body = gzip.compress(multipart(PRODUCT, dump(bytes(30 * MIB))), 1)
    reading = gevent.spawn(read, reader, body, HTTP_CONTENT_ENCODING="gzip")
    turns = 0
    while not reading.ready():
        gevent.sleep(0.001)
        turns += 1

    with reading.get():
        assert turns > 5


class TestStart:
    @pytest.mark.parametrize("algorithm", ["md5", "SHA256", "blake2b"])
    def test_checksum_algorithm(self, tmp_path: Path, algorithm: str) -> None:
        with read(payload_reader(tmp_path, DUMP_CHECKSUM_ALGORITHM=algorithm), BODY) as report:
            assert report.dumps[MINIDUMP].checksum == hashlib.new(algorithm, b"MDMP").hexdigest()

    @pytest.mark.parametrize("algorithm", ["md6", "shake_128", "crc32"])
    def test_unknown_checksum_algorithm(self, tmp_path: Path, algorithm: str) -> None:
        with pytest.raises(ConfigurationError, match=f"BREAKPAD_DUMP_CHECKSUM_ALGORITHM.*{algorithm}"):
            payload_reader(tmp_path, DUMP_CHECKSUM_ALGORITHM=algorithm)

    def test_temporary_directory_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"BREAKPAD_TEMP_DIR.*missing.*No such file"):
            payload_reader(tmp_path / "missing")

    def test_temporary_directory_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ConfigurationError, match=r"BREAKPAD_TEMP_DIR.*file.*Not a directory"):
            payload_reader(tmp_path / "file")

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
    def test_temporary_directory_whose_disk_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
    ) -> None:
        def fail(*_: object, **__: object) -> int:
            raise OSError(code, os.strerror(code), str(tmp_path))

        monkeypatch.setattr(antenna.files, "open_temporary_file", fail)
        reader = payload_reader(tmp_path)

        assert os.strerror(code) in caplog.text
        with read(reader, BODY) as report:
            assert list(report.dumps) == [MINIDUMP]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such directory")
def test_large_content_is_where_the_option_says(reader: PayloadReader, tmp_path: Path) -> None:
    with read(reader, multipart(PRODUCT, dump(bytes(3 * MIB)))) as report:
        descriptor = report.dumps[MINIDUMP].content.descriptor

        assert Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(tmp_path)
