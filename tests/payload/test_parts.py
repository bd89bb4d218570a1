# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

"""The type of a part, and whether it has a file name, decide what it is. Its name does not."""

import base64
import json
import random
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from antenna.crash.report import CrashReport
from antenna.limits import PartLimits
from antenna.payload.annotations import NOTE_BOTH
from antenna.payload.memory import AnnotationMemory
from antenna.payload.parts import PartCollector
from antenna.refusal import Reason, Refusal
from tests.support.crashes import make_room
from tests.support.reports import annotation, dump, extra

PRODUCT = annotation("ProductName", "Firefox")


def part(headers: str, content: bytes = b"content") -> bytes:
    return headers.replace("\n", "\r\n").encode() + b"\r\n\r\n" + content


class Read:
    """Reports made of parts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._resources = ExitStack()

    def __call__(self, *parts: bytes, memory: int = 768 * 1024, **limits: int) -> CrashReport:
        room = make_room(memory, self._directory)
        collector = PartCollector(room, PartLimits(**limits))
        self._resources.callback(collector.close)
        for each in parts:
            head, _, content = each.partition(b"\r\n\r\n")
            collector.part_begun(head)
            for start in range(0, len(content), 1000):
                collector.part_data(content[start : start + 1000])
            collector.part_ended()
        return collector.report("md5", AnnotationMemory(memory).share(self._resources))

    def close(self) -> None:
        self._resources.close()


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    with closing(Read(tmp_path)) as reading:
        yield reading


def dumps_of(report: CrashReport) -> dict[str, bytes]:
    return {name: b"".join(each.pieces()) for name, each in report.dumps.items()}


class TestKindOfPart:
    @pytest.mark.parametrize(
        "headers",
        [
            'Content-Disposition: form-data; name="extra"; filename="extra.json"\nContent-Type: application/json',
            'Content-Disposition: form-data; name="extra"; filename="blob"\nContent-Type: application/json',
            'Content-Disposition: form-data; name="extra"\nContent-Type: application/json',
            "Content-Disposition: form-data; name=anything\nContent-Type: Application/JSON; charset=utf-8",
            'content-type:APPLICATION/JSON\ncontent-disposition:form-data;name=""',
        ],
    )
    def test_annotations_as_json(self, read: Read, headers: str) -> None:
        report = read(part(headers, b'{"a": 1}'))

        assert report.annotations == {"a": 1}
        assert report.dumps == {}
        assert report.payload == "json"
        assert report.notes == []

    @pytest.mark.parametrize(
        ("headers", "name"),
        [
            ('Content-Disposition: form-data; name="a"', "a"),
            ("Content-Disposition: form-data; name=a", "a"),
            ('Content-Disposition: form-data; name="a"\nContent-Type: text/plain', "a"),
            ('Content-Disposition: form-data; name="a"\nContent-Type: Text/Plain; charset=utf-8', "a"),
            ('Content-Disposition: form-data; name="upload_file_minidump"', "upload_file_minidump"),
            ('Content-Disposition: form-data; name="extra"', "extra"),
            ('Content-Disposition: attachment; name="a"', "a"),
            ('Content-Disposition: form-data; name="%22a%C3%A4"', "%22a%C3%A4"),
            ('Content-Disposition: form-data; name="ä b\0"', "ä b\0"),
            ('Content-Disposition: form-data; name=""', ""),
            ('Content-Disposition: form-data; name="a"; filename=""', "a"),
            ('Content-Disposition: form-data; name="a"; filename=\nContent-Type: text/plain', "a"),
            ('Content-Disposition: form-data; filename=""; name="a"\nContent-Type: Text/Plain;charset=utf-8', "a"),
            ("Content-Disposition: form-data; name*=utf-8''caf%C3%A9", "café"),
            ('Content-Disposition: form-data; name="path\\"', "path\\"),
        ],
    )
    def test_annotation_as_text(self, read: Read, headers: str, name: str) -> None:
        report = read(part(headers, b"v\xc3\xa4lue\r\n"))

        assert report.annotations == {name: "välue\r\n"}
        assert report.dumps == {}
        assert report.payload == "multipart"
        assert report.notes == []

    @pytest.mark.parametrize(
        ("headers", "content_type"),
        [
            ('Content-Disposition: form-data; name="d"; filename="x"\nContent-Type: application/octet-stream', None),
            ('Content-Disposition: form-data; name="d"\nContent-Type: application/octet-stream', None),
            ('Content-Disposition: form-data; name="d"\nContent-Type: Application/GZip', None),
            ('Content-Disposition: form-data; name="d"; filename=""\nContent-Type: application/octet-stream', None),
            ('Content-Disposition: form-data; filename="C:\\d\\"; name="d"', None),
            ("Content-Disposition: form-data; name*=utf-8''d; filename*=utf-8''x%C3%A9.dmp", None),
            ("Content-Disposition: form-data; name=d; filename*=utf-8''x", None),
            (
                'Content-Disposition: form-data; name="d"; filename="x"\nContent-Type: application/vnd.tcpdump.pcap',
                "application/vnd.tcpdump.pcap",
            ),
            ('Content-Disposition: form-data; name="d"; filename="x"\nContent-Type: text/plain', "text/plain"),
            ('Content-Disposition: form-data; name="d"\nContent-Type: text/html; charset=x', "text/html"),
            ('Content-Disposition: form-data; name="d"\nContent-Type: \0ä', "\0ä"),
        ],
    )
    def test_dump(self, read: Read, headers: str, content_type: str | None) -> None:
        report = read(PRODUCT, part(headers, bytes(range(256))))

        assert dumps_of(report) == {"d": bytes(range(256))}
        assert report.annotations == {"ProductName": "Firefox"}
        assert report.notes == ([f"Dump d has content type {content_type}."] if content_type else [])

    @pytest.mark.parametrize(
        "headers",
        [
            "",
            "Content-Type: text/plain",
            "Content-Type: application/json",
            "Content-Disposition: form-data",
            'Content-Disposition: form-data; filename="x"',
            "no header",
        ],
    )
    def test_part_without_a_name_is_ignored_and_noted(self, read: Read, headers: str) -> None:
        report = read(PRODUCT, part(headers))

        assert report.annotations == {"ProductName": "Firefox"}
        assert report.dumps == {}
        assert report.notes == ["Ignored parts without a name: 1."]


class TestTransferEncoding:
    """See also test_transfer_encoding."""

    ANNOTATION = 'Content-Disposition: form-data; name="a"\nContent-Transfer-Encoding: '
    DUMP = 'Content-Disposition: form-data; name="d"; filename="x.dmp"\nContent-Transfer-Encoding: '
    JSON = 'Content-Disposition: form-data; name="e"\nContent-Type: application/json\nContent-Transfer-Encoding: '

    @pytest.mark.parametrize(
        ("encoding", "content", "decoded", "notes"),
        [
            ("base64", b"TURN\r\nUA==", b"MDMP", ["Decoded {} from base64."]),
            ("BASE64", b"", b"", ["Decoded {} from base64."]),
            ("Quoted-Printable", b"caf=C3=A9=\r\n", "café".encode(), ["Decoded {} from quoted-printable."]),
            ("base64", b"MDMP!", b"MDMP!", ["Kept {} as it came: damaged base64."]),
            ("base64", b"TURNUA", b"TURNUA", ["Kept {} as it came: damaged base64."]),
            ("x-uuencode", b"TURN", b"TURN", ["Kept {} as it came: unknown transfer encoding x-uuencode."]),
            ("7bit", b"TURN", b"TURN", []),
            ("8BIT", b"TURN", b"TURN", []),
            ("binary", b"TURN=41", b"TURN=41", []),
            ("", b"TURN=41", b"TURN=41", []),
        ],
    )
    def test_of_annotations_and_dumps(
        self, read: Read, encoding: str, content: bytes, decoded: bytes, notes: list[str]
    ) -> None:
        report = read(PRODUCT, part(self.ANNOTATION + encoding, content), part(self.DUMP + encoding, content))

        assert report.annotations == {"ProductName": "Firefox", "a": decoded.decode()}
        assert dumps_of(report) == {"d": decoded}
        assert report.notes == [note.format(name) for name in "ad" for note in notes]

    def test_of_json(self, read: Read) -> None:
        report = read(part(self.JSON + "base64", base64.encodebytes(b'{"a": "\xc3\xa9"}')))

        assert report.annotations == {"a": "é"}
        assert report.notes == ["Decoded e from base64."]

    def test_with_a_charset(self, read: Read) -> None:
        headers = self.ANNOTATION + "quoted-printable\nContent-Type: text/plain; charset=iso-8859-1"

        assert read(part(headers, b"caf=E9")).annotations == {"a": "café"}

    def test_of_a_large_dump(self, read: Read, tmp_path: Path) -> None:
        content = random.Random(1).randbytes(3_000_000)
        report = read(PRODUCT, part(self.DUMP + "base64", base64.encodebytes(content)), dump(b"MDMP"))

        assert dumps_of(report) == {"d": content, "upload_file_minidump": b"MDMP"}
        assert list(tmp_path.iterdir()) == []

    def test_of_a_part_without_a_name(self, read: Read) -> None:
        report = read(PRODUCT, part("Content-Transfer-Encoding: base64", b"TURNUA=="))

        assert report.notes == ["Ignored parts without a name: 1."]

    @pytest.mark.parametrize("content", [b"TURN" * 3, b"TU\r\nRN" * 2, b"!" * 12])
    def test_limit_counts_what_came(self, read: Read, content: bytes) -> None:
        with pytest.raises(Refusal) as raised:
            read(annotation("b", "1"), part(self.ANNOTATION + "base64", content), annotations_size=12)
        assert raised.value.reason is Reason.TOO_LARGE

    def test_limit_is_for_all_parts_together(self, read: Read) -> None:
        parts = [PRODUCT, part(self.DUMP + "base64", b"TURN" * 3), part(self.ANNOTATION + "base64", b"TURN")]

        assert read(*parts, encoded_size=16).annotations["a"] == "MDM"
        with pytest.raises(Refusal) as raised:
            read(*parts, encoded_size=15)
        assert raised.value.reason is Reason.TOO_LARGE

    def test_of_a_part_that_is_not_there_to_its_end(self, tmp_path: Path) -> None:
        open_before = psutil.Process().num_fds()
        collector = PartCollector(make_room(0, tmp_path))
        collector.part_begun(self.DUMP.replace("\n", "\r\n").encode() + b"base64")
        collector.part_data(b"TURN" * 1000)
        assert psutil.Process().num_fds() > open_before
        collector.close()

        assert psutil.Process().num_fds() == open_before


class TestAnnotations:
    def test_before_and_after_dumps(self, read: Read) -> None:
        report = read(annotation("a", "1"), dump(b"d"), annotation("b", "2"), dump(b"e", "e"), extra({"c": 3}))

        assert report.annotations == {"a": "1", "b": "2", "c": 3}
        assert dumps_of(report) == {"upload_file_minidump": b"d", "e": b"e"}

    def test_json_wins_and_nothing_is_dropped(self, read: Read) -> None:
        for parts in (
            [extra({"a": 1, "b": 2}), annotation("a", "x"), annotation("c", "y")],
            [annotation("a", "x"), annotation("c", "y"), extra({"a": 1, "b": 2})],
        ):
            report = read(*parts)

            assert report.annotations == {"a": 1, "b": 2, "c": "y"}
            assert report.notes == [NOTE_BOTH]
            assert report.payload == "json"

    def test_last_of_repeated_ones_wins(self, read: Read) -> None:
        report = read(annotation("a", "1"), annotation("b", "2"), annotation("a", "3"))

        assert report.annotations == {"a": "3", "b": "2"}
        assert report.notes == ["Repeated annotation a: the last one was kept."]

    def test_last_of_repeated_json_parts_wins(self, read: Read) -> None:
        report = read(extra({"a": 1, "b": 2}), extra({"b": 3, "a": 4}))

        assert report.annotations == {"a": 4, "b": 3}
        assert report.notes == [f"Repeated annotation {name}: the last one was kept." for name in "ba"]

    def test_text_that_is_not_valid_is_left_out_and_noted(self, read: Read) -> None:
        report = read(PRODUCT, annotation("a", b"\xff"))

        assert report.annotations == {"ProductName": "Firefox"}
        assert report.notes == ["Removed a: not valid in its charset."]

    def test_text_in_another_charset(self, read: Read) -> None:
        latin = 'Content-Disposition: form-data; name="a"\nContent-Type: text/plain; charset="ISO-8859-1"'

        assert read(part(latin, b"\xe4")).annotations == {"a": "ä"}

    @pytest.mark.parametrize("parts", [[], [dump(b"d")], [extra({})], [annotation("a", b"\xff")], [part("")]])
    def test_none(self, read: Read, parts: list[bytes]) -> None:
        with pytest.raises(Refusal) as raised:
            read(*parts)
        assert raised.value.reason is Reason.NO_ANNOTATIONS

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"{", Reason.INVALID_JSON),
            (b"", Reason.INVALID_JSON),
            (b"[]", Reason.INVALID_JSON_VALUE),
            (b"null", Reason.INVALID_JSON_VALUE),
        ],
    )
    def test_json_that_is_not_an_object(self, read: Read, content: bytes, reason: Reason) -> None:
        with pytest.raises(Refusal) as raised:
            read(PRODUCT, extra(content))
        assert raised.value.reason is reason


class TestDumps:
    def test_names_that_collide_are_changed_and_noted(self, read: Read) -> None:
        report = read(PRODUCT, dump(b"1", "dump"), dump(b"2"), dump(b"3", "d/u.m-p"), dump(b"4", "ä"))

        assert dumps_of(report) == {"dump_1": b"1", "upload_file_minidump": b"2", "dump_2": b"3", "unnamed_1": b"4"}
        assert report.notes == [
            "Dump dump is stored as dump_1.",
            "Dump d/u.m-p is stored as dump_2.",
            "Dump ä is stored as unnamed_1.",
        ]

    def test_name_of_another_object_is_refused(self, read: Read) -> None:
        with pytest.raises(Refusal) as raised:
            read(PRODUCT, dump(b"", "raw_crash"))
        assert raised.value.reason is Reason.INVALID_DUMP_NAME

    @pytest.mark.parametrize("content", [b"", b"x", bytes(3_000_000)], ids=len)
    def test_of_any_size(self, read: Read, content: bytes, tmp_path: Path) -> None:
        report = read(PRODUCT, dump(content))

        assert dumps_of(report) == {"upload_file_minidump": content}
        assert list(tmp_path.iterdir()) == []


class TestLimits:
    @pytest.mark.parametrize(
        ("parts", "options"),
        [
            pytest.param([annotation("a", ""), annotation("a", "")], {"annotations": 1}, id="annotations"),
            pytest.param([extra({"a": 1, "b": 2})], {"annotations": 1}, id="annotations in JSON"),
            pytest.param([extra({"a": 1}), annotation("b", "")], {"annotations": 1}, id="annotations in both"),
            pytest.param([PRODUCT, part(""), part("")], {"annotations": 1}, id="parts without a name"),
            pytest.param([annotation("a" * 11, "")], {"annotation_name_size": 10}, id="name"),
            pytest.param([annotation("a" * 11, b"\xff")], {"annotation_name_size": 10}, id="name of bad text"),
            pytest.param([extra({"a" * 11: ""})], {"annotation_name_size": 10}, id="name in JSON"),
            pytest.param([annotation("a", "x" * 6)] * 2, {"annotations_size": 11}, id="size of annotations"),
            pytest.param([extra({"a": "x" * 6})], {"annotations_size": 11}, id="size of JSON"),
            pytest.param([extra({"a": [0] * 60_000}), extra({"b": [0] * 60_000})], {}, id="values in JSON"),
            pytest.param([extra({"a": [10**900] * 150}), extra({"b": [10**900] * 150})], {}, id="digits in JSON"),
            pytest.param([extra({f"a{number}": "" for number in range(2000)})] * 26, {}, id="texts in JSON"),
            pytest.param([PRODUCT, dump(b"", "a"), dump(b"", "b")], {"dumps": 1}, id="dumps"),
        ],
    )
    def test_over(self, read: Read, parts: list[bytes], options: dict[str, int]) -> None:
        with pytest.raises(Refusal) as raised:
            read(*parts, **options)
        assert raised.value.reason is Reason.TOO_LARGE

    @pytest.mark.parametrize(
        ("parts", "options"),
        [
            pytest.param([annotation("a", "")], {"annotations": 1}, id="annotations"),
            pytest.param([extra({"a": 1}), annotation("a", "")], {"annotations": 2}, id="annotations in both"),
            pytest.param([annotation("a" * 10, "")], {"annotation_name_size": 10}, id="name"),
            pytest.param([annotation("a", "x" * 5)] * 2, {"annotations_size": 10}, id="size of annotations"),
            pytest.param([PRODUCT, dump(b"", "a")], {"dumps": 1}, id="dumps"),
            pytest.param([PRODUCT, dump(bytes(9000))], {"memory": 0}, id="no memory"),
        ],
    )
    def test_within(self, read: Read, parts: list[bytes], options: dict[str, int]) -> None:
        assert read(*parts, **options).annotations

    def test_as_many_annotations_as_the_default_allows(self, read: Read) -> None:
        names = [f"Annotation{number}" for number in range(2000)]

        assert len(read(*(annotation(name, "value") for name in names)).annotations) == 2000
        assert len(read(extra(dict.fromkeys(names, "value"))).annotations) == 2000

    def test_notes_are_bounded(self, read: Read) -> None:
        odd = [annotation("a" * 1024, b"\xff"), dump(b"", "ä" * 5000, "x/" + "y" * 9000)]
        report = read(PRODUCT, *odd * 30)

        assert len(json.dumps(report.notes)) < 100_000


def test_size_of_annotations(read: Read) -> None:
    assert read(annotation("a", "x" * 50), extra(b'{"b": 1}'), dump(b"MDMP")).annotations_size == 58


def test_annotations_may_be_in_a_file(read: Read) -> None:
    values: dict[str, Any] = {f"a{number}": "x" * number for number in range(1500)}
    parts = [annotation(name, value) for name, value in values.items()]
    report = read(*parts[:700], dump(bytes(900_000)), *parts[700:])

    assert report.annotations == values
    assert dumps_of(report) == {"upload_file_minidump": bytes(900_000)}
