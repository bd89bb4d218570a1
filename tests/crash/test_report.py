# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The raw crash of a report, and the checksums of its dumps."""

import hashlib
import json
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent
import pytest

from antenna.crash.report import CrashReport, Dump
from antenna.hub import put_together, run_blocking
from tests.support.crashes import make_buffer, make_report

# Checksums from https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4, and that of no bytes.
CRC32C = {b"": "00000000", bytes(32): "8a9136aa", b"\xff" * 32: "62a8ab43", bytes(range(32)): "46dd794e"}


@pytest.mark.parametrize("content", CRC32C)
def test_checksums(content: bytes) -> None:
    dump = Dump("upload_file_minidump", make_buffer(content), "md5")

    assert dump.size == len(content)
    assert dump.checksum == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert dump.crc32c.hex() == CRC32C[content]


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512", "blake2b"])
def test_checksum_algorithms(algorithm: str) -> None:
    assert Dump("dump", make_buffer(b"MDMP"), algorithm).checksum == hashlib.new(algorithm, b"MDMP").hexdigest()


@pytest.mark.parametrize("in_file", [False, True])
def test_bytes_can_be_read_again_and_again(tmp_path: Path, in_file: bool) -> None:
    content = bytes(range(256)) * 4000
    with make_report({"a": content}, directory=tmp_path if in_file else None) as report:
        dump = report.dumps["a"]
        # A reader that stops half-way, as an upload that fails does.
        next(dump.pieces())

        for _ in range(3):
            assert b"".join(dump.pieces()) == content
            assert dump.checksum == hashlib.sha256(content).hexdigest()


def test_temporary_files_are_gone_after_the_report(tmp_path: Path) -> None:
    with make_report({"a": b"content"}, directory=tmp_path) as report:
        descriptor = report.dumps["a"].content.descriptor
        assert descriptor is not None
        assert Path(f"/proc/self/fd/{descriptor}").exists()

    assert not Path(f"/proc/self/fd/{descriptor}").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("submitted", "timestamp"),
    [
        (datetime(2026, 11, 22, 4, 27, 3, 120_000, UTC), "2026-11-22T04:27:03.120000+00:00"),
        (datetime(2026, 11, 22, 4, 27, 3, 0, UTC), "2026-11-22T04:27:03.000000+00:00"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00.000000+00:00"),
    ],
)
def test_timestamp_has_six_digits_and_the_offset(submitted: datetime, timestamp: str) -> None:
    assert CrashReport(submitted=submitted).raw_crash()["submitted_timestamp"] == timestamp


def test_collectors_keys_win_over_annotations() -> None:
    names = ("uuid", "version", "submitted_timestamp", "metadata")
    report = CrashReport(annotations=dict.fromkeys(names, "forged"), crash_id="the id")

    assert "forged" not in report.raw_crash().values()
    assert report.raw_crash()["uuid"] == "the id"
    assert report.raw_crash()["version"] == 2


@pytest.mark.parametrize(("compressed", "text"), [(True, "1"), (False, "0")])
def test_compressed_is_text(compressed: bool, text: str) -> None:
    assert CrashReport(payload_compressed=compressed).raw_crash()["metadata"]["payload_compressed"] == text


@pytest.mark.parametrize(
    "value",
    ["naïve", "\N{PILE OF POO}", "\0\x1b\u2028", None, True, 5, -0.5, 10**4000, [1, {"b": [], "a": {}}], ""],
)
def test_values_are_stored_as_they_came(value: Any) -> None:
    stored = CrashReport(annotations={"Value": value, "A": "first"}).encoded_raw_crash()

    assert json.loads(stored)["Value"] == value
    assert list(json.loads(stored)) == ["A", "Value", "metadata", "submitted_timestamp", "uuid", "version"]
    assert stored.isascii()


def large_report(annotations: dict[str, Any]) -> CrashReport:
    return CrashReport(annotations=annotations, annotations_size=20_000_000)


LARGE: list[dict[str, Any]] = [
    {},
    {"Notes": "\xe9" * 1_000_000},
    {"Notes": "\0\N{PILE OF POO}" * 100_000, "\xe9" * 1000: "x" * 65_535, "A": "x" * 65_536, "B": "x" * 65_537},
    {"b": [], "a": {}, "c": [[{"b": None, "a": True}, 0.5, -1, "", "\xe9" * 100_000]], "d": {"\xe9" * 200_000: 1e300}},
    {"a": list(range(49_000)), "b": {str(number): [] for number in range(1000)}},
]


@pytest.mark.parametrize("annotations", LARGE, ids=lambda annotations: ", ".join(annotations)[:20])
def test_large_ones_are_stored_as_small_ones_are(annotations: dict[str, Any]) -> None:
    report = large_report(annotations)
    expected = json.dumps(report.raw_crash(), sort_keys=True).encode("ascii")

    assert report.encoded_raw_crash() == expected
    assert put_together(report.raw_crash_pieces()) == expected
    assert run_blocking(report.encoded_raw_crash) == expected


@pytest.mark.parametrize(
    "annotations", [{"Notes": "\xe9" * 5_000_000}, {"Notes": [0.5] * 200_000}], ids=["text", "values"]
)
def test_large_ones_are_encoded_while_others_have_their_turn(annotations: dict[str, Any]) -> None:
    encoding = gevent.spawn(put_together, large_report(annotations).raw_crash_pieces())
    turns = 0
    while not encoding.ready():
        gevent.sleep(0.001)
        turns += 1

    assert json.loads(encoding.get())["Notes"] == annotations["Notes"]
    assert turns > 5


def test_large_ones_are_in_memory_once_when_they_are_encoded() -> None:
    report = large_report({"Notes": "\xe9" * 2_000_000})
    tracemalloc.start()
    try:
        encoded = put_together(report.raw_crash_pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(encoded) > 12_000_000
    assert peak < 1.3 * len(encoded)


def test_small_ones_are_encoded_in_one_go() -> None:
    report = CrashReport(annotations={"Notes": "x" * 20_000}, annotations_size=20_000)

    assert list(report.raw_crash_pieces()) == [report.encoded_raw_crash()]


@pytest.mark.parametrize("depth", [1, 190])
def test_depth_makes_encoding_no_slower(depth: int) -> None:
    """The generators of the standard library took ten times as long."""
    deep: list[Any] = [0] * 100_000
    for _ in range(depth):
        deep = [deep]
    begun = time.process_time()
    encoded = large_report({"Deep": deep}).encoded_raw_crash()

    assert json.loads(encoded)["Deep"] == deep
    assert time.process_time() - begun < 0.5


def test_dump_names_are_sorted() -> None:
    assert make_report({"b": b"", "upload_file_minidump": b"", "a": b""}).encoded_dump_names() == (
        b'["a", "b", "upload_file_minidump"]'
    )
    assert make_report({}).encoded_dump_names() == b"[]"
